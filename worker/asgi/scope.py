"""The scope of a request (ASGI 3): what of it is the application's, and what comes from each head.

`path` is the whole decoded path and `root_path` the application's part of it, as frameworks of
today expect. Names of fields are lower-case bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from was.known import keep

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["http_scope", "request_path", "request_scope"]

# send() raises an OSError for a client that has gone, as from 2.4 on. But a framework that is told
# so by an HTTP scope looks no more for http.disconnect while it streams (Starlette), so that a
# stream with nothing to say would outlive its client.
SPEC_VERSIONS = {"http": "2.3", "websocket": "2.4"}

_NAME_LIMIT = 64
_CACHE_LIMIT = 1024
_names: dict[str, bytes] = {}


# What a scope takes from the head alone: path, raw_path, query_string, headers, and whether the
# client would have trailers. No NamedTuple: that is made in Python.
_Head = tuple[str, bytes, bytes, list[tuple[bytes, bytes]], bool]
_heads: dict[int, _Head] = {}  # those that come again, by their numbers


def http_scope(context: HttpContext, state: dict[str, Any] | None) -> dict[str, Any]:
    """A new scope of type http, the application's to change."""
    message = context.message
    number = message.head_number
    head = (_heads.get(context.head_number) if number else None) or _read_head(context)
    extensions: dict[str, Any] = {"http.response.pathsend": {}}
    if message.version >= 11:
        extensions["http.response.early_hint"] = {}
        if head[4]:
            extensions["http.response.trailers"] = {}
    scheme = "https" if message.secure else "http"
    scope = request_scope(context, "http", scheme, state, extensions, head)
    scope["method"] = context.method
    return scope


def request_scope(
    context: HttpContext,
    kind: str,
    scheme: str,
    state: dict[str, Any] | None,
    extensions: dict[str, Any],
    head: _Head | None = None,
) -> dict[str, Any]:
    """What scopes of type http and websocket have in common; `extensions` are those of the kind."""
    message, application, user = context.message, context.application, context.user
    path, raw_path, query_string, headers, _ = head or _read_head(context)
    # What the server knows of the request.
    extensions["was"] = {
        "request_id": f"{message.id:016x}",
        "attempt": message.attempt,
        "app_pool": application.pool,
        "remote_user": user.remote_user_name if user is not None else "",
        "report_unhealthy": application.server.report_unhealthy,
        "context": context,
    }
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": SPEC_VERSIONS[kind]},
        "http_version": "1.1" if message.version >= 11 else "1.0",
        "scheme": scheme,
        "path": path,
        "raw_path": raw_path,
        "query_string": query_string,
        "root_path": application.prefix,
        "headers": headers.copy(),
        "client": (message.remote_addr, message.remote_port),
        "server": (message.local_addr, message.local_port),
        "extensions": extensions,
    }
    if state is not None:
        scope["state"] = state.copy()
    return scope


def _read_head(context: HttpContext) -> _Head:
    message, path, query = context.message, context.path, context.query
    if path == message.target and path == message.path:
        raw_path = path.encode("ascii", "replace")
    else:
        path, raw_path = request_path(context)
    try:
        headers = [(_names[name], value.encode("latin-1")) for name, value in context.fields]
    except (KeyError, UnicodeEncodeError):
        headers = [
            (_name_of(name), value.encode("latin-1", "replace")) for name, value in context.fields
        ]
    wants_trailers = False
    for key, text in headers:
        if key == b"te" and b"trailers" in text.lower():
            wants_trailers = True
    query_string = query.encode("latin-1", "replace") if query else b""
    head = path, raw_path, query_string, headers, wants_trailers
    if context.message.head_number and (number := context.head_number):
        keep(_heads, number, head, _CACHE_LIMIT)
    return head


def request_path(context: HttpContext) -> tuple[str, bytes]:
    """The decoded path, and as the client wrote it unless a module has changed it."""
    path = context.path
    if path == context.message.path == context.message.target:
        return path, path.encode("ascii", "replace")
    if not path.isascii():
        path = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if context.path == context.message.path:
        raw = context.message.target.partition("?")[0]
        if not raw.startswith("/"):  # absolute-form
            raw = "/" + raw.partition("://")[2].partition("/")[2]
        return path, raw.encode("latin-1", "replace")
    return path, quote(path).encode("ascii")


def _name_of(name: str) -> bytes:
    known = _names.get(name)
    if known is None:
        known = name.lower().encode("latin-1", "replace")
        if len(name) <= _NAME_LIMIT:
            keep(_names, name, known, _CACHE_LIMIT)
    return known
