"""Outbound rules: what becomes of a response's headers and body.

A rule with a server variable is about a header (RESPONSE_Name), one with tags about the attributes
of these tags, any other about the whole body. Each attribute goes through all rules for its tag,
the next rule seeing what the one before has left; then the rules for the whole body follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from was.config.model import SectionView
from was.config.patterns import compile_pattern
from was.config.templates import parse_template
from was.worker.rewriting.conditions import Conditions, groups_of
from was.worker.rewriting.expressions import Maps, RewriteError, Scope, build_expression
from was.worker.rewriting.html_tags import TAGS, replace_attributes

__all__ = [
    "OutboundRule",
    "OutboundRules",
    "RewrittenResponse",
    "rewrite_body",
    "rewrite_headers",
]


class RewrittenResponse(Protocol):
    """The response, as rules see and change it."""

    def variable(self, name: str) -> str:
        """A server variable or, with RESPONSE_ in front, a header; "" if there is none."""
        ...

    def values(self, name: str) -> list[str]:
        """The values of all headers of a name that is written as a variable."""
        ...

    def set_values(self, name: str, values: list[str]) -> None:
        """Put these in their place."""
        ...


class OutboundRule:
    """One rule, compiled."""

    def __init__(
        self, view: SectionView, maps: Maps, custom: Mapping[str, frozenset[tuple[str, str]]]
    ) -> None:
        match, action = view.elements["match"], view.elements["action"]
        syntax = str(view["patternSyntax"])
        self.pre_condition = str(view["preCondition"]).lower()
        self.stops = bool(view["stopProcessing"])
        self.variable = str(match["serverVariable"]).upper()
        self.attributes = _attributes(match, custom)
        is_whole = not (self.variable or self.attributes)
        self.pattern = compile_pattern(
            str(match["pattern"]), syntax, bool(match["ignoreCase"]), part=is_whole
        )
        self.negate = bool(match["negate"])
        self.occurrences = int(str(match["occurrences"]))
        self.conditions = Conditions(view.elements["conditions"], syntax, maps)
        self.value = build_expression(parse_template(str(action["value"])), maps)
        self.replaces = bool(action["replace"])
        self.acts = action["type"] == "Rewrite"

    def apply(self, text: str, scope: Scope) -> str | None:
        """What stands in the place of a text, None where the rule is not about it."""
        match = self.pattern.search(text)
        if (match is None) is not self.negate:
            return None
        scope.rule = () if match is None else groups_of(match)
        scope.conditions = ()
        return self.value(scope) if self.conditions.hold(scope) else None


class OutboundRules:
    """The outbound rules in force at a path. Raises RewriteError if they cannot be compiled."""

    def __init__(self, section: SectionView, maps: Maps) -> None:
        custom = {
            str(tags["name"]).lower(): frozenset(
                (str(tag["name"]).lower(), str(tag["attribute"]).lower()) for tag in tags.items
            )
            for tags in section.elements["customTags"].items
        }
        self._rules = [
            OutboundRule(view, maps, custom) for view in section.items if view["enabled"]
        ]
        self._conditions = {
            str(view["name"]).lower(): Conditions(view, str(view["patternSyntax"]), maps)
            for view in section.elements["preConditions"].items
        }
        for rule in self._rules:
            if rule.pre_condition and rule.pre_condition not in self._conditions:
                raise RewriteError(f"There is no preCondition '{rule.pre_condition}'")

    def rules_for(
        self, response: RewrittenResponse
    ) -> tuple[list[OutboundRule], list[OutboundRule]]:
        """The rules whose pre-conditions hold: those about headers, those about the body."""
        scope = Scope(response.variable)
        known: dict[str, bool] = {"": True}
        held: list[OutboundRule] = []
        for rule in self._rules:
            holds = known.get(rule.pre_condition)
            if holds is None:
                holds = self._conditions[rule.pre_condition].hold(scope)
                known[rule.pre_condition] = holds
            if holds and rule.acts:
                held.append(rule)
        return [r for r in held if r.variable], [r for r in held if not r.variable]


def rewrite_headers(rules: Iterable[OutboundRule], response: RewrittenResponse) -> None:
    """Run the rules about headers."""
    stopped: set[str] = set()
    for rule in rules:
        name = rule.variable
        if name in stopped:
            continue
        scope = Scope(response.variable)
        before = response.values(name)
        if before and not rule.replaces:
            continue
        after = [rule.apply(value, scope) for value in before or [""]]
        if any(value is not None for value in after):
            kept = [
                old if new is None else new for old, new in zip(before or [""], after, strict=True)
            ]
            response.set_values(name, [value for value in kept if value])
            if rule.stops:
                stopped.add(name)


def rewrite_body(rules: list[OutboundRule], body: bytes, response: RewrittenResponse) -> bytes:
    """Run the rules about the body; bytes that are no UTF-8 stay what they are."""
    text = body.decode("utf-8", "surrogateescape")
    scope = Scope(response.variable)
    by_tag = [rule for rule in rules if rule.attributes]
    if by_tag:
        text = _TagRules(by_tag, scope).run(text)
    for rule in rules:
        if rule.attributes:
            continue
        before, text = text, _rewrite_whole(rule, text, scope)
        if rule.stops and text is not before:
            break
    return text.encode("utf-8", "surrogateescape")


class _TagRules:
    """Rules about attributes, running over one page."""

    def __init__(self, rules: list[OutboundRule], scope: Scope) -> None:
        self._rules = rules
        self._scope = scope
        self._left = [rule.occurrences or -1 for rule in rules]

    def run(self, page: str) -> str:
        wanted: dict[str, set[str]] = {}
        for rule in self._rules:
            for tag, attribute in rule.attributes:
                wanted.setdefault(tag, set()).add(attribute)
        return replace_attributes(page, wanted, self._replace)

    def _replace(self, tag: str, attribute: str, value: str) -> str | None:
        changed: str | None = None
        for number, rule in enumerate(self._rules):
            if (tag, attribute) not in rule.attributes or self._left[number] == 0:
                continue
            new = rule.apply(value if changed is None else changed, self._scope)
            if new is not None:
                changed = new
                self._left[number] -= 1
                if rule.stops:
                    break
        return changed


def _rewrite_whole(rule: OutboundRule, text: str, scope: Scope) -> str:
    """What the pattern finds is replaced; with `negate`, all of a text that it is not found in."""
    if rule.negate:
        new = rule.apply(text, scope)
        return text if new is None else new

    def replace(match: re.Match[str]) -> str:
        scope.rule = groups_of(match)
        scope.conditions = ()
        return rule.value(scope) if rule.conditions.hold(scope) else match[0]

    return rule.pattern.sub(replace, text, count=rule.occurrences)


def _attributes(
    match: SectionView, custom: Mapping[str, frozenset[tuple[str, str]]]
) -> frozenset[tuple[str, str]]:
    """The (tag, attribute) pairs that filterByTags and customTags name."""
    flags = match["filterByTags"]
    found: set[tuple[str, str]] = set()
    for flag in flags if isinstance(flags, frozenset) else frozenset[str]():
        if flag in TAGS:
            tag, attributes = TAGS[flag]
            found.update((tag, attribute) for attribute in attributes)
        elif flag == "CustomTags":
            name = str(match["customTags"]).lower()
            if name not in custom:
                raise RewriteError(f"There are no customTags '{name}'")
            found |= custom[name]
    return frozenset(found)
