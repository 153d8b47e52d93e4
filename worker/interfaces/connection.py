"""IHttpConnection, and whether a client is local."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.ipc.messages import Request
    from was.worker.interfaces.connection_contexts import (
        ConnectionContexts,
        ConnectionModuleContextContainer,
    )
    from was.worker.request_exchange import RequestExchange

__all__ = ["HttpConnection", "is_local_request"]

_FORWARDING = frozenset({"forwarded", "via"})


class HttpConnection:
    """The client's connection, as far as one of its requests shows it."""

    __slots__ = ("_contexts", "_exchange")

    def __init__(self, exchange: RequestExchange, contexts: ConnectionContexts) -> None:
        self._exchange = exchange
        self._contexts = contexts

    @property
    def id(self) -> int:
        """The listener's number of the connection."""
        return self._exchange.request.connection_id

    @property
    def module_context_container(self) -> ConnectionModuleContextContainer:
        """What modules have attached to the connection; it lasts as long as that.

        HResultError, ERROR_CONNECTION_INVALID: for requests that no client has sent, and after a
        request's end.
        """
        return self._contexts.of(self._exchange.request)

    def allocate_memory(self, size: int) -> bytearray:
        """Zeroed memory; it lives as long as somebody holds it."""
        return bytearray(size)

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
