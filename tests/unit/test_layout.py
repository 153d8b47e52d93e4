"""The layout: one import root over four folders, by three symbolic links."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["worker", "listener", "config"])
def test_a_folder_is_linked_into_the_import_root(name):
    """A checkout that lost its links would build a wheel without these packages, silently."""
    link = ROOT / "was" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name
    assert (link / "__init__.py").is_file()


def test_no_module_has_a_second_name():
    """`config.model` beside `was.config.model` would make each class exist twice."""
    for name in ("worker", "listener", "config"):
        module = sys.modules.get(name)
        origin = getattr(module, "__file__", None) or ""
        assert not origin.startswith(str(ROOT / name)), origin


def test_the_schema_is_package_data():
    """The schema is found through the package, not through a path of the checkout."""
    schema = files("was.config.schema") / "IIS_schema.xml"
    assert "<configSchema>" in schema.read_text(encoding="utf-8")


def test_importing_was_imports_nothing():
    """The root package costs nothing: it is imported by every worker."""
    program = "import sys; a = set(sys.modules); import was; print(*(set(sys.modules) - a))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["was"]
