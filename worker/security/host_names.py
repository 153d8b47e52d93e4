"""Names of addresses, from the reverse DNS and confirmed by the forward one."""

from __future__ import annotations

import socket

from was.config.addresses import parse_address
from was.worker.security.slow_answers import SlowAnswers

__all__ = ["HOST_NAMES", "look_up"]

# Shared by all applications of the worker.
HOST_NAMES: SlowAnswers[str, tuple[str, ...]] = SlowAnswers(
    lifetime_s=300.0, most=4096, threads=4, most_waiting=256
)


def look_up(address: str) -> tuple[str, ...]:
    """The names of an address in lower case, those that lead back to it; () if it has none.

    Whoever owns an address can have it called anything; only the owner of a name says where that
    leads.
    """
    try:
        name, aliases, _ = socket.gethostbyaddr(address)
    except OSError:
        return ()
    return tuple(n.rstrip(".").lower() for n in (name, *aliases) if _leads_to(n, address))


def _leads_to(name: str, address: str) -> bool:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    wanted = parse_address(address)
    return any(parse_address(str(entry[4][0])) == wanted for entry in found)
