"""A request's variables as FCGI_PARAMS has them, from pieces that many requests share.

Most of them follow from the client's connection or from the path, and are encoded once for each.
What follows from a head that comes again (docs/decisions/0052) is found by its number alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.known import keep
from was.worker.fastcgi.records import encode_pairs
from was.worker.gateway.variables import (
    VariableBuilder,
    of_connection,
    of_fields,
    of_line,
    of_request,
)

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

__all__ = ["Parameters"]

# Of each kind. A client that asks for ever new paths only has the cache begin anew.
MOST = 1024
# Longer ones are not kept.
MOST_BYTES = 2048


class Parameters:
    """Those of one application, with one configuration; any thread."""

    def __init__(self, application: HttpApplication) -> None:
        self._variables = VariableBuilder(application)
        self._constant = encode_pairs(self._variables.constant)
        self._of_connection: dict[tuple[object, ...], bytes] = {}
        self._of_path: dict[tuple[str, int], bytes] = {}
        # With: whether a host is named, whether there is a Content-Length.
        self._of_fields: dict[tuple[tuple[str, str], ...], tuple[bytes, bool, bool]] = {}
        self._of_line: dict[tuple[object, ...], bytes] = {}
        self._of_head: dict[tuple[int, ...], bytes] = {}

    def encode(self, context: HttpContext) -> bytes:
        """All variables, with what modules have set."""
        if context.variables:
            return encode_pairs(self._variables.whole(context))
        user = context.user
        if user is not None and user.remote_user_name:
            own = of_request(context)
            if not own[b"SERVER_NAME"]:
                own[b"SERVER_NAME"] = context.message.local_addr.encode()
            return self._connection(context) + self._path(context) + encode_pairs(own)
        return b"%b%b\x0a\x10REQUEST_ID%016x" % (
            self._connection(context),
            self._head(context),
            context.message.id,
        )

    def _head(self, context: HttpContext) -> bytes:
        message = context.message
        number = context.head_number if message.head_number else 0
        key = (number, context.path_info_at, message.attempt)
        found = self._of_head.get(key) if number else None
        if found is not None:
            return found
        fields, has_host, has_length = self._fields(context)
        if not has_host:
            fields += encode_pairs({b"SERVER_NAME": message.local_addr.encode()})
        found = self._path(context) + fields + self._line(context, has_length=has_length)
        # Who maps paths may answer otherwise the next time; an address is not the head's.
        if number and has_host and not context.calls.map_path and len(found) <= 2 * MOST_BYTES:
            keep(self._of_head, key, found, MOST)
        return found

    def _connection(self, context: HttpContext) -> bytes:
        message = context.message
        key = (
            message.remote_addr,
            message.remote_port,
            message.local_addr,
            message.local_port,
            message.secure,
        )
        found = self._of_connection.get(key)
        if found is None:
            found = self._constant + encode_pairs(of_connection(message))
            keep(self._of_connection, key, found, MOST)
        return found

    def _path(self, context: HttpContext) -> bytes:
        if context.calls.map_path:
            return encode_pairs(self._variables.of_path(context))
        key = (context.path, context.path_info_at)
        found = self._of_path.get(key)
        if found is None:
            found = encode_pairs(self._variables.of_path(context))
            if len(found) <= MOST_BYTES:
                keep(self._of_path, key, found, MOST)
        return found

    def _fields(self, context: HttpContext) -> tuple[bytes, bool, bool]:
        key = tuple(context.fields)
        found = self._of_fields.get(key)
        if found is None:
            pairs, has_length = of_fields(context, has_user=False)
            has_host = bool(pairs[b"SERVER_NAME"])
            if not has_host:
                del pairs[b"SERVER_NAME"]
            found = encode_pairs(pairs), has_host, has_length
            if len(found[0]) <= MOST_BYTES:
                keep(self._of_fields, key, found, MOST)
        return found

    def _line(self, context: HttpContext, *, has_length: bool) -> bytes:
        message = context.message
        key = (
            message.target if context.child is None else context.root_context.message.target,
            context.query,
            context.method,
            message.attempt,
            message.version,
            message.body_length,
            has_length,
        )
        found = self._of_line.get(key)
        if found is None:
            found = encode_pairs(of_line(context, has_length=has_length))
            if len(found) <= MOST_BYTES:
                keep(self._of_line, key, found, MOST)
        return found
