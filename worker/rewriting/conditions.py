"""Conditions of rewrite rules and pre-conditions of outbound ones."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable

from was.config.model import SectionView
from was.config.patterns import compile_pattern
from was.config.templates import Variable, parse_template
from was.worker.rewriting.expressions import Expression, Maps, Scope, build_expression

__all__ = ["Conditions", "Search", "groups_of", "searcher"]

Search = Callable[[str], "re.Match[str] | None"]


def searcher(text: str, syntax: str, ignore_case: bool) -> Search:
    """The function that looks for a pattern in a text."""
    pattern = compile_pattern(text, syntax, ignore_case)
    # From the beginning only: the engine would try every other place before it gives up.
    is_anchored = text.startswith("^") and "|" not in text
    return pattern.match if is_anchored else pattern.search


def groups_of(match: re.Match[str]) -> tuple[str, ...]:
    """What a match has captured: the whole, then its groups; "" for one that took no part."""
    return (match[0], *match.groups(""))


class Conditions:
    """The conditions of one rule."""

    def __init__(self, view: SectionView, syntax: str, maps: Maps) -> None:
        self._checks = tuple([_Check(item, syntax, maps) for item in view.items])
        self._is_any = view["logicalGrouping"] == "MatchAny"
        self._tracks_all = bool(view.attributes.get("trackAllCaptures", False))

    def hold(self, scope: Scope) -> bool:
        """Whether they hold; the captures of those that do are left in the scope."""
        if not self._checks:
            return True
        scope.conditions = ()
        for check in self._checks:
            holds, captured = check.ask(scope)
            if captured:
                keeps = self._tracks_all and scope.conditions
                scope.conditions = scope.conditions + captured[1:] if keeps else captured
            if holds == self._is_any:
                return holds
        return not self._is_any


class _Check:
    __slots__ = ("_input", "_is_kind", "_negate", "_search")

    def __init__(self, view: SectionView, syntax: str, maps: Maps) -> None:
        kind = view["matchType"]
        text = str(view["input"])
        template = parse_template(text) if text else (Variable("REQUEST_FILENAME"),)
        self._input: Expression = build_expression(template, maps)
        self._negate = bool(view["negate"])
        self._search: Search | None = None
        self._is_kind = stat.S_ISDIR if kind == "IsDirectory" else stat.S_ISREG
        if kind == "Pattern":
            if not text:
                self._input = build_expression((), maps)
            pattern, ignore_case = str(view["pattern"]), bool(view["ignoreCase"])
            self._search = searcher(pattern, syntax, ignore_case)

    def ask(self, scope: Scope) -> tuple[bool, tuple[str, ...]]:
        """Whether it holds, and what its pattern has captured."""
        text = self._input(scope)
        if self._search is None:
            return self._is_there(text) is not self._negate, ()
        match = self._search(text)
        if match is None:
            return self._negate, ()
        return (False, ()) if self._negate else (True, groups_of(match))

    def _is_there(self, path: str) -> bool:
        # Paths of rules that were written for Windows are joined with backslashes.
        path = path.replace("\\", "/")
        try:
            return path.startswith("/") and self._is_kind(os.stat(path).st_mode)
        except (OSError, ValueError):
            return False
