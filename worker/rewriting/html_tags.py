"""Attributes of HTML tags that hold URLs: found and replaced in a page, in one pass. Pure.

What is looked at is a tag by its name and in it attributes, in double quotes, single quotes or
none; comments are passed over. The work grows with the length of the page, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

__all__ = ["TAGS", "replace_attributes"]

# filterByTags -> tag and attributes, as URL Rewrite documents them.
TAGS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "A": ("a", ("href",)),
    "Area": ("area", ("href",)),
    "Base": ("base", ("href",)),
    "Form": ("form", ("action",)),
    "Frame": ("frame", ("src", "longdesc")),
    "Head": ("head", ("profile",)),
    "IFrame": ("iframe", ("src", "longdesc")),
    "Img": ("img", ("src", "longdesc", "usemap")),
    "Input": ("input", ("src", "usemap")),
    "Link": ("link", ("href",)),
    "Script": ("script", ("src",)),
}

LONGEST_VALUE = 65536
_TAG = re.compile(r"<(?:!--|([A-Za-z][A-Za-z0-9:_-]*)(?=[\s/>]))")
_ATTRIBUTE = re.compile(
    r"[\s/]*([^\s=>/\"'][^\s=>/]*)"
    rf"(?:\s*=\s*(?:\"([^\"]{{0,{LONGEST_VALUE}}})\"|'([^']{{0,{LONGEST_VALUE}}})'|([^\s>\"']+)))?"
)

# Tag, attribute and value, in lower case but for the value -> the new value, None for no change.
Replace = Callable[[str, str, str], str | None]


def replace_attributes(page: str, wanted: Mapping[str, Collection[str]], replace: Replace) -> str:
    """The page with what `replace` says for the wanted attributes of the wanted tags."""
    pieces: list[str] = []
    done = 0
    at = 0
    while (tag := _TAG.search(page, at)) is not None:
        at = tag.end()
        name = tag[1]
        if name is None:  # a comment
            end = page.find("-->", at)
            if end < 0:
                break
            at = end + 3
            continue
        name = name.lower()
        attributes = wanted.get(name)
        if attributes is None:
            continue
        while (found := _ATTRIBUTE.match(page, at)) is not None:
            at = found.end()
            attribute = found[1].lower()
            if attribute not in attributes or found.lastindex == 1:
                continue
            group = found.lastindex or 1
            new = replace(name, attribute, found[group])
            if new is not None:
                start, end = found.span(group)
                pieces += [page[done:start], _quoted(new, group)]
                done = end
    if not pieces:
        return page
    pieces.append(page[done:])
    return "".join(pieces)


def _quoted(value: str, group: int) -> str:
    """A value that does not end its attribute."""
    if group == 2:
        return value.replace('"', "&quot;")
    if group == 3:
        return value.replace("'", "&#39;")
    escaped = value.replace('"', "&quot;")
    return f'"{escaped}"'
