"""Who is on the other side, where proxies may stand between. Pure.

What a client may write itself can only make things worse for it: X-Forwarded-For adds addresses
that must pass too; where one of them stands for the client, it is the last, which the nearest
proxy has written.
"""

from __future__ import annotations

from collections.abc import Iterable

from was.config.addresses import parse_address

__all__ = ["InvalidForwardedError", "forwarded_addresses"]

_MOST = 32


class InvalidForwardedError(ValueError):
    """X-Forwarded-For holds what is no address: 400.10."""


def forwarded_addresses(fields: Iterable[tuple[str, str]]) -> list[str]:
    """The addresses of X-Forwarded-For, the farthest first. Raises InvalidForwardedError.

    So it does for more than 32: each may cost a look-up, and no request has come that far.
    """
    found: list[str] = []
    for name, value in fields:
        if name.lower() == "x-forwarded-for":
            parts = value.split(",", _MOST)
            if len(found) + len(parts) > _MOST:
                raise InvalidForwardedError("more addresses than a request passes on its way")
            found += [_address(part.strip()) for part in parts if part.strip()]
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
