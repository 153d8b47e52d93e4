"""`customHeaders` and `redirectHeaders`: which of them no response can have. Pure."""

from __future__ import annotations

from was.config.http_text import TEXT, TOKEN
from was.config.level import Level
from was.config.listener_fields import LISTENER_FIELDS
from was.config.merge import added_items

__all__ = ["field_remarks", "why_not_sent"]

_SECTION = "system.webServer/httpProtocol"


def why_not_sent(name: str, value: str) -> str:
    """What keeps a field out of responses, "" if nothing does."""
    if name.lower() in LISTENER_FIELDS:
        return "the listener alone says this field"
    if TOKEN.fullmatch(name) is None:
        return "no field of HTTP has such a name"
    return "" if TEXT.fullmatch(value) is not None else "no field of HTTP has such a value"


def field_remarks(level: Level) -> list[str]:
    """Fields that are accepted and not sent, a line each."""
    found: list[str] = []
    for scope in level.all_scopes():
        section = scope.sections.get(_SECTION)
        for collection in () if section is None else section.elements.values():
            for item in added_items(collection):
                name = str(item.values["name"])
                why = why_not_sent(name, str(item.values.get("value", "")))
                if why:
                    what = f"{collection.name} {name}: no effect here, {why}"
                    found.append(f"{item.file}:{item.line}: {what}")
    return found
