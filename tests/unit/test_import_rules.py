"""What import-linter cannot see: who has to be named in its contracts, and who meets whom."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("was", "listener", "worker", "config")
CONTRACTS = {
    contract["name"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
}
PURE = CONTRACTS["the pure files do no I/O and own no clock"]
ALWAYS_PURE = ["config.model", "ipc.codec", "ipc.messages", "listener.engines.h11"]
ALWAYS_PURE += ["listener.engines.llhttp", "listener.routing", "manager.states", "worker.pipeline"]


def _sources():
    """Each file of ours once, with its import name."""
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            if folder == "was" and parts[1] in FOLDERS:
                continue  # the links
            yield ".".join(parts if folder == "was" else ("was", *parts)), file


def _imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_zmq_is_imported_in_one_file():
    """The edge of its descriptor is easily lost: whoever uses it goes through the channel."""
    found = {
        name
        for name, file in _sources()
        if any(i.split(".")[0] == "zmq" for i in _imports(ast.parse(file.read_text())))
    }
    assert found == {"was.ipc.channel"}


def test_modules_do_not_know_each_other():
    """A file of worker/modules can be taken away without another one's notice."""
    prefix = "was.worker.modules."
    for name, file in _sources():
        if name.startswith(prefix):
            others = [i for i in _imports(ast.parse(file.read_text())) if i.startswith(prefix)]
            assert others == [], name


def test_who_says_that_it_is_pure_is_held_to_it():
    """Without sockets, clock and threads: a docstring's word is a line of the contract."""
    said = {
        name
        for name, file in _sources()
        if re.search(
            r"\bpure\b(?! but for)", ast.get_docstring(ast.parse(file.read_text())) or "", re.I
        )
        and file.name != "__init__.py"
    }
    missing = said | {f"was.{name}" for name in ALWAYS_PURE}
    assert sorted(missing - set(PURE["source_modules"])) == []


@pytest.mark.parametrize("name", ["asyncio", "socket", "subprocess", "threading", "time", "zmq"])
def test_what_the_pure_do_without(name):
    """All that would make a result depend on when, where or with whom."""
    assert name in PURE["forbidden_modules"]
