"""What a configuration may say has an effect, or `was config validate` says that it has none."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Where settings are declared, but not used.
DECLARED = {"settings", "security_settings", "log_settings", "pool_settings", "site_records"}
# Those of which one is done wherever the other is not asked for.
OTHERWISE = {"MatchAll", "IsFile"}
# Keys and names that are read by their place in an item, and what is for people.
BY_PLACE = {"fileExtension", "requestHeader", "groupId"}


def snake(name: str) -> str:
    """The name that a typed view has for an attribute."""
    words = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", words).lower()


def attributes(element: ET.Element, path: str, is_said: bool) -> Iterator[tuple[str, ET.Element]]:
    """(where, attribute) of each attribute that is not said to have no effect."""
    for child in element:
        has_none = is_said or child.get("noEffect") == "true"
        name = child.get("name", "")
        if child.tag == "attribute" and not has_none:
            yield f"{path}/@{name}", child
        elif child.tag in ("sectionSchema", "element", "collection"):
            yield from attributes(child, f"{path}/{name}" if name else path, has_none)


ATTRIBUTES = [
    found
    for schema in sorted((ROOT / "config" / "schema").glob("*_schema.xml"))
    for found in attributes(ET.fromstring(schema.read_text()), "", False)
]


def words_of_the_code(*, without: set[str]) -> set[str]:
    """Every word of every file but those of these names."""
    folders = ("config", "worker", "listener", "was")
    files = {file.resolve() for folder in folders for file in (ROOT / folder).rglob("*.py")}
    words = set[str]()
    for file in files:
        if file.stem not in without:
            words |= set(re.findall(r"\w+", file.read_text()))
    return words


def test_no_attribute_is_accepted_in_silence():
    """Each name of the schemas is used by the code, or has `noEffect` there."""
    used = words_of_the_code(without=DECLARED)
    silent = [
        where
        for where, attribute in ATTRIBUTES
        if not used & {name := attribute.get("name", ""), s := snake(name), f"{s}_s", f"{s}_kb"}
    ]
    assert [where for where in silent if where.rpartition("@")[2] not in BY_PLACE] == []


def test_no_value_is_accepted_in_silence():
    """The same of what an enum or flags attribute may be."""
    used = words_of_the_code(without={"choices"}) | OTHERWISE
    silent = [
        f"{where}={value}"
        for where, attribute in ATTRIBUTES
        for choice in attribute
        if choice.get("noEffect") != "true"
        if not used & {value := choice.get("name", ""), snake(value).upper()}
    ]
    assert silent == []
