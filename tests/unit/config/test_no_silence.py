"""What a configuration may say has an effect, or `was config validate` says that it has none."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Where settings are declared, but not used.
DECLARED = {"settings", "security_settings", "log_settings", "pool_settings", "site_records"}
# Keys and names that are read by their place in an item, and what is for people.
BY_PLACE = {"fileExtension", "requestHeader", "groupId"}


def snake(name: str) -> str:
    """The name that a typed view has for an attribute."""
    words = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", words).lower()


def attributes(element: ET.Element, path: str, is_said: bool) -> Iterator[tuple[str, str]]:
    """(where, name) of each attribute that is not said to have no effect."""
    for child in element:
        has_none = is_said or child.get("noEffect") == "true"
        name = child.get("name", "")
        if child.tag == "attribute" and not has_none:
            yield path, name
        elif child.tag in ("sectionSchema", "element", "collection"):
            yield from attributes(child, f"{path}/{name}" if name else path, has_none)


def test_no_attribute_is_accepted_in_silence():
    """Each name of IIS's schema is used by the code, or has `noEffect` in the schema."""
    folders = ("config", "worker", "listener", "was")
    files = {file.resolve() for folder in folders for file in (ROOT / folder).rglob("*.py")}
    used = set[str]()
    for file in files:
        if file.stem not in DECLARED:
            used |= set(re.findall(r"\w+", file.read_text()))
    schema = resources.files("was.config.schema") / "IIS_schema.xml"
    silent = [
        f"{path}/@{name}"
        for path, name in attributes(ET.fromstring(schema.read_text()), "", False)
        if not used & {name, snake(name), f"{snake(name)}_s", f"{snake(name)}_kb"}
    ]
    assert [s for s in silent if s.rpartition("@")[2] not in BY_PLACE] == []
