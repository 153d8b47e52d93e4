"""Pages with server-side includes, as pieces: bytes, and directives with their parameters. Pure.

    <!--#directive name="value" …-->

Names ignore case. What is no directive of ours, or has no end, is part of the page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["DIRECTIVES", "Directive", "parse_page"]

DIRECTIVES = frozenset({"config", "echo", "exec", "flastmod", "fsize", "include"})

LONGEST_DIRECTIVE = 8192
_START = re.compile(rb"<!--\s{0,16}#\s{0,16}([A-Za-z]{1,16})\b")
_PARAMETER = re.compile(rb"\s*([A-Za-z]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"']+))")


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive; `parameters` in their order, names in lower case, values decoded."""

    name: str
    parameters: tuple[tuple[str, str], ...]


def parse_page(page: bytes) -> list[bytes | Directive]:
    """The pieces of a page, in order; no piece of bytes is empty."""
    pieces: list[bytes | Directive] = []
    done = at = 0
    while (start := _START.search(page, at)) is not None:
        at = start.end()
        name = start[1].decode("ascii").lower()
        end = page.find(b"-->", at, at + LONGEST_DIRECTIVE)
        if name not in DIRECTIVES or end < 0:
            continue
        if start.start() > done:
            pieces.append(page[done : start.start()])
        pieces.append(Directive(name, _parameters(page[at:end])))
        done = at = end + 3
    if done < len(page):
        pieces.append(page[done:])
    return pieces


def _parameters(text: bytes) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for match in _PARAMETER.finditer(text):
        value = next(group for group in match.groups()[1:] if group is not None)
        found.append((match[1].decode("ascii").lower(), value.decode("utf-8", "surrogateescape")))
    return tuple(found)
