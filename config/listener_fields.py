"""Response fields that only the listener may say, in lower case: nobody else sends them."""

from __future__ import annotations

__all__ = ["LISTENER_FIELDS", "OWNED"]

# Fields about a connection, not about the message (RFC 9110 7.6.1), and those that frame it.
OWNED = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Not in a worker's block: the listener writes them (Proxy-Authenticate may be a module's business).
LISTENER_FIELDS = OWNED | {"date"}
