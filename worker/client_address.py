"""Who is on the other side, where proxies may stand between. Pure.

What a client may write itself can only make things worse for it: X-Forwarded-For adds addresses
that must pass too; where one of them stands for the client, it is the last, which the nearest
proxy has written.
"""

from __future__ import annotations

from collections.abc import Iterable

from was.config.addresses import parse_address

__all__ = ["InvalidForwardedError", "forwarded_addresses", "normal_address"]


class InvalidForwardedError(ValueError):
    """X-Forwarded-For holds what is no address: 400.10."""


def normal_address(text: str) -> str:
    """An address in its one spelling; the text itself where it is none (a Unix socket's peer)."""
    try:
        return str(parse_address(text))
    except ValueError:
        return text


def forwarded_addresses(fields: Iterable[tuple[str, str]]) -> list[str]:
    """The addresses of X-Forwarded-For, the farthest first. Raises InvalidForwardedError."""
    found: list[str] = []
    for name, value in fields:
        if name.lower() == "x-forwarded-for":
            found += [_address(part.strip()) for part in value.split(",") if part.strip()]
    return found


def _address(text: str) -> str:
    """One element: an address, maybe with brackets and a port."""
    bare = text
    if text.startswith("["):
        bare = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        bare = text.partition(":")[0]
    try:
        return str(parse_address(bare))
    except ValueError:
        raise InvalidForwardedError(f"not an address: {text[:80]!r}") from None
