"""Substitutions of rewrite rules: text with {references}, parsed once.

    {R:n} {C:n}                  back-references to the rule's and the conditions' patterns
    {NAME}                       a server variable, or a request or response header
    {ToLower:…} {UrlEncode:…} {UrlDecode:…} {HtmlEncode:…}
    {MapName:key}                a rewrite map

What stands behind a colon may hold references itself. `\\{` and `\\}` are braces. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "BackReference",
    "Call",
    "InvalidTemplateError",
    "Part",
    "Template",
    "Variable",
    "names_in",
    "parse_template",
    "variables_in",
]

_REFERENCE = re.compile(r"\{(?:([RrCc]):(\d{1,3})\}|([A-Za-z_][\w.-]*)\}|([^{}:]+):)")
_ESCAPE = re.compile(r"\\([{}])")


class InvalidTemplateError(ValueError):
    """The text is no substitution; says why."""


@dataclass(frozen=True, slots=True)
class BackReference:
    """{R:n}, or {C:n} with `is_condition`."""

    number: int
    is_condition: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """{NAME}, in capital letters."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """{Name:argument}: a function, or a map; the name in small letters."""

    name: str
    argument: Template


Part: TypeAlias = str | BackReference | Variable | Call
Template: TypeAlias = tuple[Part, ...]


def parse_template(text: str) -> Template:
    """The parts of a substitution. Raises InvalidTemplateError."""
    parts, at = _parse(text, 0, False)
    if at < len(text):
        raise InvalidTemplateError(f"a brace is closed that is not open in '{text}'")
    return parts


def _parse(text: str, at: int, is_inner: bool) -> tuple[Template, int]:
    parts: list[Part] = []
    literal = ""
    while at < len(text):
        c = text[at]
        if c == "}":
            break
        if c == "\\" and (escape := _ESCAPE.match(text, at)):
            literal += escape[1]
            at += 2
        elif c == "{":
            part, at = _reference(text, at)
            parts += [literal, part] if literal else [part]
            literal = ""
        else:
            literal += c
            at += 1
    if is_inner and at >= len(text):
        raise InvalidTemplateError(f"a brace is not closed in '{text}'")
    return (*parts, literal) if literal else tuple(parts), at


def _reference(text: str, at: int) -> tuple[Part, int]:
    match = _REFERENCE.match(text, at)
    if match is None:
        raise InvalidTemplateError(f"'{text[at : at + 20]}' begins no reference")
    if match[1]:
        return BackReference(int(match[2]), match[1] in "Cc"), match.end()
    if match[3]:
        return Variable(match[3].upper()), match.end()
    argument, end = _parse(text, match.end(), True)
    return Call(match[4].strip().lower(), argument), end + 1


def names_in(template: Template) -> set[str]:
    """The names of all functions and maps that are called, in small letters."""
    found: set[str] = set()
    for part in template:
        if isinstance(part, Call):
            found |= {part.name} | names_in(part.argument)
    return found


def variables_in(template: Template) -> set[str]:
    """The names of all variables that are referred to, in capital letters."""
    found: set[str] = set()
    for part in template:
        if isinstance(part, Variable):
            found.add(part.name)
        elif isinstance(part, Call):
            found |= variables_in(part.argument)
    return found
