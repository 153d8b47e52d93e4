"""The layout: one import root over four folders, by three symbolic links."""

import re
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


def test_every_decision_is_listed():
    """docs/decisions/README.md is how one finds them, each under its own title."""
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(
        r"^\| \[(\d{4})\]\((\1-[\w-]+\.md)\) \| (.+) \|$", (folder / "README.md").read_text(), re.M
    )
    assert [name for _, name, _ in listed] == sorted(file.name for file in folder.glob("0*.md"))
    for _, name, title in listed:
        head = (folder / name).read_text().partition("\n")[0]
        assert re.sub(r"^# (\d+\. )?", "", head) == title


@pytest.mark.parametrize(
    "folder",
    ["was/cli", "was/manager", "was/httpapi", "was/load", "listener", "worker", "config"],
)
def test_the_map_has_every_file(folder):
    """docs/architecture.md says what each file and folder is for, and names none that has gone."""
    text = (ROOT / "docs" / "architecture.md").read_text().replace("\\", "")
    section = text.split(f"\n| **{folder}/**")[1].split("\n| **")[0]
    there = {file.name for file in (ROOT / folder).glob("*.py")} - {"__init__.py"}
    named = set(re.findall(r"(?<![\w/])(\w+\.py)", section))
    assert there <= named
    below = {file.parent.name for file in (ROOT / folder).glob("*/__init__.py")}
    assert below <= set(re.findall(r"(?<![\w/])(\w+)/", section))
    assert all(list((ROOT / folder).rglob(name)) for name in named)


def test_importing_was_imports_nothing():
    """The root package costs nothing: it is imported by every worker."""
    program = "import sys; a = set(sys.modules); import was; print(*(set(sys.modules) - a))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["was"]
