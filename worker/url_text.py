"""URL paths as text in a Location or a link."""

from __future__ import annotations

__all__ = ["quote_path"]

_SAFE = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/!$&'()*+,;=:@"
)


def quote_path(path: str) -> str:
    """A decoded path, percent-encoded; one leading slash only, since two would name a host."""
    raw = path.encode("utf-8", "surrogateescape")
    text = "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in raw)
    return "/" + text.lstrip("/") if text.startswith("//") else text
