"""IHttpConnection, and whether a client is local."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.ipc.messages import Request
    from was.worker.request_exchange import RequestExchange

__all__ = ["HttpConnection", "is_local_request"]

_FORWARDING = frozenset({"forwarded", "via"})


class HttpConnection:
    """The client's connection, as far as one of its requests shows it."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: RequestExchange) -> None:
        self._exchange = exchange

    @property
    def id(self) -> int:
        """The listener's number of the connection."""
        return self._exchange.request.connection_id

    def is_connected(self) -> bool:
        """False once the worker has been told that the client is gone."""
        return not self._exchange.gone


def is_local_request(message: Request, fields: list[tuple[str, str]]) -> bool:
    """Whether the peer address is one of this machine's, and no proxy says it stood between.

    An address is ours if it is a loopback address or the one the client connected to.
    """
    address = message.remote_addr.removeprefix("::ffff:")
    ours = ("::1", message.local_addr.removeprefix("::ffff:"))
    if address not in ours and not address.startswith("127."):
        return False
    for name, _ in fields:
        lower = name.lower()
        if lower in _FORWARDING or lower.startswith("x-forwarded-"):
            return False
    return True
