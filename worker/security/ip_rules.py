"""The rules of ipSecurity, in order: pure.

The first entry that fits an address decides; where none fits, allowUnlisted does. An entry with a
domain name fits by the names of the address, which are asked for only when it comes to that.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from was.config.addresses import Network, parse_address, parse_network

if TYPE_CHECKING:
    from was.config.security_settings import IpEntry, IpSecurity

__all__ = ["IpRules", "Verdict"]


class Verdict(Enum):
    """What is to be done with an address."""

    ALLOWED = "allowed"
    ADDRESS_DENIED = "address denied"
    NAME_DENIED = "name denied"
    NEEDS_NAMES = "needs names"


class _Rule:
    __slots__ = ("allowed", "domain", "network")

    def __init__(self, entry: IpEntry, network: Network | None, domain: str) -> None:
        self.allowed = entry.allowed
        self.network = network
        self.domain = domain

    def has_name(self, names: tuple[str, ...]) -> bool:
        if self.domain.startswith("*."):
            return any(name.endswith(self.domain[1:]) for name in names)
        return self.domain in names


class IpRules:
    """One ipSecurity section. `can_deny` is False where everybody may come in."""

    def __init__(self, settings: IpSecurity) -> None:
        self._allows_unlisted = settings.allow_unlisted
        self._rules: list[_Rule] = []
        for entry in settings.entries:
            if entry.ip_address:
                network = parse_network(entry.ip_address, entry.subnet_mask)
                self._rules.append(_Rule(entry, network, ""))
            elif settings.enable_reverse_dns:
                self._rules.append(_Rule(entry, None, entry.domain_name.lower()))
        self.can_deny = not self._allows_unlisted or not all(rule.allowed for rule in self._rules)

    def judge(self, address: str, names: tuple[str, ...] | None = None) -> Verdict:
        """The verdict on an address; `names` in lower case, None: not known yet.

        What is no address (the peer of a Unix socket) fits no entry.
        """
        try:
            parsed = parse_address(address)
        except ValueError:
            parsed = None
        for rule in self._rules:
            if rule.network is not None:
                if parsed is None or parsed not in rule.network:
                    continue
                return Verdict.ALLOWED if rule.allowed else Verdict.ADDRESS_DENIED
            if names is None:
                return Verdict.NEEDS_NAMES
            if rule.has_name(names):
                return Verdict.ALLOWED if rule.allowed else Verdict.NAME_DENIED
        return Verdict.ALLOWED if self._allows_unlisted else Verdict.ADDRESS_DENIED
