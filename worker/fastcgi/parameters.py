"""A request's variables as FCGI_PARAMS has them, from pieces that many requests share.

Most of them follow from the client's connection or from the path, and are encoded once for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from was.worker.fastcgi.records import encode_pairs
from was.worker.gateway.variables import VariableBuilder, of_connection, of_request

if TYPE_CHECKING:
    from was.worker.application import HttpApplication
    from was.worker.context import HttpContext

__all__ = ["Parameters"]

# Of each kind. A client that asks for ever new paths only has the cache begin anew.
MOST = 1024

Key = TypeVar("Key")


class Parameters:
    """Those of one application, with one configuration; any thread."""

    def __init__(self, application: HttpApplication) -> None:
        self._variables = VariableBuilder(application)
        self._constant = encode_pairs(self._variables.constant)
        self._of_connection: dict[tuple[object, ...], bytes] = {}
        self._of_path: dict[tuple[str, int], bytes] = {}

    def encode(self, context: HttpContext) -> bytes:
        """All variables, with what modules have set."""
        if context.variables:
            return encode_pairs(self._variables.whole(context))
        own = of_request(context)
        if not own[b"SERVER_NAME"]:
            own[b"SERVER_NAME"] = context.message.local_addr.encode()
        return self._shared(context) + encode_pairs(own)

    def _shared(self, context: HttpContext) -> bytes:
        message = context.message
        connection = (
            message.remote_addr,
            message.remote_port,
            message.local_addr,
            message.local_port,
            message.secure,
        )
        first = self._of_connection.get(connection)
        if first is None:
            first = self._constant + encode_pairs(of_connection(message))
            _keep(self._of_connection, connection, first)
        if context.calls.map_path:
            return first + encode_pairs(self._variables.of_path(context))
        path = (context.path, context.path_info_at)
        second = self._of_path.get(path)
        if second is None:
            second = encode_pairs(self._variables.of_path(context))
            _keep(self._of_path, path, second)
        return first + second


def _keep(cache: dict[Key, bytes], key: Key, value: bytes) -> None:
    if len(cache) >= MOST:
        cache.clear()
    cache[key] = value
