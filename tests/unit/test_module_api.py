"""docs/module-api.md names what is there, and all that was.api offers has its row."""

import inspect
import re
from pathlib import Path

import pytest

import was.api

DOCS = Path(__file__).resolve().parents[2] / "docs"


def names_of(page):
    """The names in the second column of a page's tables."""
    return [
        name
        for line in (DOCS / page).read_text().splitlines()
        if line.startswith("|")
        for name in re.findall(r"`([A-Za-z_]\w*(?:\.\w+)?)`", line.split("|")[2])
    ]


ROWS = names_of("module-api.md")


def has(cls, name):
    """Whether objects of a class have an attribute: of the class, or made with the object."""
    made = set()
    for base in cls.__mro__:
        made |= set(getattr(base, "__annotations__", ()))
        init = vars(base).get("__init__")
        if inspect.isfunction(init):
            made |= set(init.__code__.co_names)
    return hasattr(cls, name) or name in made


@pytest.mark.parametrize("name", sorted(set(ROWS)))
def test_every_name_on_the_right_is_there(name):
    """In was.api, and as an attribute of that class."""
    cls, _, attribute = name.partition(".")
    assert cls in was.api.__all__
    assert not attribute or has(getattr(was.api, cls), attribute)


def test_every_public_name_has_a_row():
    """Of was.api, in one of the two pages: by itself or by what it has."""
    named = {name.partition(".")[0] for name in [*ROWS, *names_of("module-api-server.md")]}
    assert set(was.api.__all__) - named == set()


@pytest.mark.parametrize(
    "cls", ["HttpRequest", "HttpModule", "HttpUser", "HttpCachePolicy", "ModuleRegistrationInfo"]
)
def test_every_public_method_has_a_row(cls):
    """What a class offers and the page does not name is the server's own."""
    servers_own = {"HttpRequest": {"charge_entity_body", "detach", "take_raw"}}.get(cls, set())
    found = {
        name
        for name, value in vars(getattr(was.api, cls)).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
    }
    assert found - {row.partition(".")[2] for row in ROWS} - servers_own == set()


def test_no_row_twice():
    """One row for each C++ name within its section."""
    text = (DOCS / "module-api.md").read_text()
    for section in text.split("\n## ")[1:]:
        left = re.findall(r"^\| ([A-Z]\w+(?:::\w+)?) \|", section, re.MULTILINE)
        assert sorted(left) == sorted(set(left))
