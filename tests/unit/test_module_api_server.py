"""docs/module-api-server.md names what is there."""

import inspect
import re
from pathlib import Path

import pytest

import was.api
from was.worker.notifications import GLOBAL_METHODS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "module-api-server.md"
ROWS = [
    cell
    for line in PAGE.read_text().splitlines()
    if line.startswith("|")
    for cell in re.findall(r"`([A-Z]\w+(?:\.\w+)?)`", line.split("|", 2)[2])
]


def has(cls, name):
    """Whether objects of a class have an attribute: of the class, or made with the object."""
    made = {n for base in cls.__mro__ for n in getattr(base, "__annotations__", ())}
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        if inspect.isfunction(init):
            made |= set(init.__code__.co_names)
    return hasattr(cls, name) or name in made


@pytest.mark.parametrize("name", sorted(set(ROWS)))
def test_every_name_on_the_right_is_there(name):
    """In was.api, and as an attribute of that class."""
    cls, _, attribute = name.partition(".")
    assert cls in was.api.__all__
    found = getattr(was.api, cls)
    assert not attribute or has(found, attribute)


def test_every_global_event_has_its_row():
    """And its method in GlobalModule."""
    for method in GLOBAL_METHODS.values():
        assert f"GlobalModule.{method}" in ROWS
        assert method in vars(was.api.GlobalModule)


@pytest.mark.parametrize(
    "cls",
    ["HttpServer", "CacheSpecificData", "CacheKey", "FileInfo", "TraceContext", "UrlInfo"],
)
def test_public_methods_have_a_row(cls):
    """What a class offers modules and the page does not name is the host's own."""
    hosts_own = {
        "HttpServer": {"query", "close", "tell_file_changes", "url_info"},
        "CacheSpecificData": {"release"},
        "FileInfo": {"release"},
        "UrlInfo": {"hit"},
    }.get(cls, set())
    found = {
        name
        for name, value in vars(getattr(was.api, cls)).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
    }
    named = {row.partition(".")[2] for row in ROWS if row.startswith(f"{cls}.")}
    assert found - named - hosts_own == set()
