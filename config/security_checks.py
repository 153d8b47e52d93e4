"""What the schema cannot say of security sections: addresses, masks, names and hashes. Pure.

A restriction that could not be understood must not look like one that holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from was.config.faults import fault_at
from was.config.level import Level
from was.config.merge import Element, added_items
from was.config.security_settings import AUTHORIZATION, IP_SECURITY, USERS
from was.errors import ConfigError

__all__ = ["check_security", "security_remarks"]

_HEX = {"digestMD5": 32, "digestSHA256": 64}
_DOMAIN = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*)(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*\Z")


def check_security(level: Level, errors: list[ConfigError]) -> None:
    """Report every entry of a file that nothing could act on."""
    for scope in level.all_scopes():
        for section, check in _CHECKS.items():
            for item in added_items(scope.sections.get(section)):
                wrong = check(item)
                if wrong:
                    errors.append(fault_at(item, wrong, section))


def security_remarks(level: Level) -> list[str]:
    """Entries that are accepted and never match, a line each."""
    found: list[str] = []
    for scope in level.all_scopes():
        for item in added_items(scope.sections.get(AUTHORIZATION)):
            if not (_text(item, "users").strip(", ") or _text(item, "roles").strip(", ")):
                text = "a rule without users and roles: no effect here, it is about nobody"
                found.append(f"{item.file}:{item.line}: authorization: {text}")
    return found


def _text(item: Element, name: str) -> str:
    return str(item.values.get(name, ""))


def _check_address(item: Element) -> str:
    # A worker needs it only where ipSecurity says something.
    from was.config.addresses import parse_network

    address, domain = _text(item, "ipAddress"), _text(item, "domainName")
    if not address and not domain:
        return "An entry of ipSecurity needs an ipAddress or a domainName"
    if domain and not _DOMAIN.match(domain):
        return f"'{domain}' is not a domain name, or *. and a domain name"
    if address:
        try:
            parse_network(address, _text(item, "subnetMask"))
        except ValueError as error:
            return f"ipSecurity: {error}"
    return ""


def _check_user(item: Element) -> str:
    from was.config.password_hash import InvalidHashError, check_hash

    name = _text(item, "name")
    if ":" in name or name in ("*", "?") or "," in name or not name.isprintable():
        return f"'{name}' cannot be the name of a user"
    stored = _text(item, "passwordHash")
    if stored:
        try:
            check_hash(stored)
        except InvalidHashError as error:
            return f"The passwordHash of user '{name}' is {error}"
    for attribute, length in _HEX.items():
        value = _text(item, attribute)
        if value and re.fullmatch(f"[0-9a-f]{{{length}}}", value) is None:
            return f"The {attribute} of user '{name}' is not {length} digits of hexadecimal"
    return ""


_CHECKS: dict[str, Callable[[Element], str]] = {IP_SECURITY: _check_address, USERS: _check_user}
