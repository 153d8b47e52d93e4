"""Rewrite rules as a file holds them: patterns and substitutions that are none, and remarks. Pure.

What a rule calls that another file may bring (a map, a pre-condition) is looked for when the rules
in force at a path are compiled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from was.config.faults import fault_at
from was.config.level import Level, Scope
from was.config.merge import Element, added_items
from was.config.patterns import InvalidPatternError, compile_pattern, repeats_repeats
from was.config.schema import SchemaValue
from was.config.templates import InvalidTemplateError, parse_template
from was.errors import ConfigError

__all__ = ["check_rewrite", "rewrite_remarks"]

_REWRITE = "system.webServer/rewrite/"
_INBOUND = (_REWRITE + "globalRules", _REWRITE + "rules")
_OUTBOUND = _REWRITE + "outboundRules"
_SECTIONS = frozenset({*_INBOUND, _OUTBOUND})
_STATUSES = range(200, 600)
_OTHER_SERVER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def check_rewrite(level: Level, errors: list[ConfigError]) -> None:
    """Report every pattern and substitution of a file that cannot be compiled."""
    for section, rule in _rules(level):
        _check_rule(section, rule, errors)
    for item in _pre_conditions(level):
        syntax = str(_value(item, "patternSyntax"))
        _check_conditions(item, syntax, _OUTBOUND, errors)


def rewrite_remarks(level: Level) -> list[str]:
    """What rules say that is not done here, and patterns that may take very long."""
    found: list[str] = []
    for section, rule in _rules(level):
        where = f"{rule.file}:{rule.line}: rule {rule.values.get('name', '')}"
        action = rule.elements.get("action")
        url = "" if action is None else str(_value(action, "url" if section != _OUTBOUND else ""))
        if action is not None and _value(action, "type") == "Rewrite" and _OTHER_SERVER.match(url):
            found.append(f"{where}: requests are not passed on to other servers, it answers 500.50")
        if action is not None and _value(action, "type") == "CustomResponse":
            status = _value(action, "statusCode")
            if status and status not in _STATUSES:
                found.append(f"{where}: {status} is the status of no response, it answers 500")
        found.extend(
            f"{where}: the pattern '{pattern}' repeats a repeat: some texts may keep a worker busy "
            "until it is replaced"
            for pattern in _expressions(rule)
            if repeats_repeats(pattern)
        )
    return found


def _rules(level: Level) -> Iterator[tuple[str, Element]]:
    for scope in _scopes(level):
        for section in _SECTIONS & scope.sections.keys():
            for rule in added_items(scope.sections[section]):
                yield section, rule


def _pre_conditions(level: Level) -> Iterator[Element]:
    for scope in _scopes(level):
        if _OUTBOUND in scope.sections:
            yield from added_items(scope.sections[_OUTBOUND].elements.get("preConditions"))


def _scopes(level: Level) -> Iterator[Scope]:
    return (s for s in level.all_scopes() if not _SECTIONS.isdisjoint(s.sections))


def _value(element: Element, name: str) -> SchemaValue:
    found = element.values.get(name)
    return element.schema.defaults.get(name, "") if found is None else found


def _expressions(rule: Element) -> Iterator[str]:
    """The ECMAScript patterns of a rule that are valid."""
    if _value(rule, "patternSyntax") != "ECMAScript":
        return
    match, conditions = rule.elements.get("match"), rule.elements.get("conditions")
    elements = [] if match is None else [match]
    elements += [] if conditions is None else [d.element for d in conditions.directives]
    for element in elements:
        text = str(_value(element, "url") or _value(element, "pattern"))
        try:
            compile_pattern(text, "ECMAScript", True)
        except InvalidPatternError:
            continue
        yield text


def _check_rule(section: str, rule: Element, errors: list[ConfigError]) -> None:
    syntax = str(_value(rule, "patternSyntax"))
    match = rule.elements.get("match")
    if match is not None:
        name = "pattern" if section == _OUTBOUND else "url"
        _check_pattern(match, name, syntax, section, errors)
        has_input = _value(match, "filterByTags") or _value(match, "serverVariable")
        if section == _OUTBOUND and syntax == "Wildcard" and not has_input:
            text = "Wildcard patterns cannot be used for a whole response, only with filterByTags"
            errors.append(fault_at(match, text, section))
    _check_conditions(rule.elements.get("conditions"), syntax, section, errors)
    variables = rule.elements.get("serverVariables")
    for directive in () if variables is None else variables.directives:
        _check_template(directive.element, "value", section, errors)
    action = rule.elements.get("action")
    if action is not None:
        _check_template(action, "value" if section == _OUTBOUND else "url", section, errors)


def _check_conditions(
    conditions: Element | None, syntax: str, section: str, errors: list[ConfigError]
) -> None:
    for condition in added_items(conditions):
        _check_template(condition, "input", section, errors)
        _check_pattern(condition, "pattern", syntax, section, errors)


def _check_pattern(
    element: Element, name: str, syntax: str, section: str, errors: list[ConfigError]
) -> None:
    text = str(_value(element, name))
    try:
        compile_pattern(text, syntax, True)
    except InvalidPatternError as error:
        errors.append(fault_at(element, f"The {name} '{text}' is no pattern: {error}", section))


def _check_template(element: Element, name: str, section: str, errors: list[ConfigError]) -> None:
    text = str(_value(element, name))
    try:
        parse_template(text)
    except InvalidTemplateError as error:
        errors.append(fault_at(element, f"The {name} cannot be expanded: {error}", section))
