"""A request as the variables that CGI and FastCGI programs get: RFC 3875 and IIS's own names.

PATH_INFO is what follows the script's name, and empty for most mappings, as the RFC has it; IIS
gives the whole path where a mapping has no allowPathInfo (decision 0042).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.known import keep
from was.worker.url_text import host_name
from was.worker.variable_names import variable_of

if TYPE_CHECKING:
    from was.ipc.messages import Request
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

__all__ = [
    "VariableBuilder",
    "of_connection",
    "of_fields",
    "of_line",
    "of_request",
    "to_bytes",
]

_CACHE_LIMIT = 1024
_names: dict[str, bytes] = {}


def to_bytes(text: str) -> bytes:
    """Text of paths and settings as the system has it."""
    return text.encode("utf-8", "surrogateescape")


class VariableBuilder:
    """Makes the variables of each request of one application.

    `constant` are those that all its requests share, `build` gives the others; what modules have
    set or removed is only in `whole`.
    """

    def __init__(self, application: HttpApplication) -> None:
        site = application.site
        self._root = application.physical_path.rstrip("/")
        root = to_bytes(application.physical_path)
        self.constant: dict[bytes, bytes] = {
            b"APPL_MD_PATH": to_bytes(application.id),
            b"APPL_PHYSICAL_PATH": root.rstrip(b"/") + b"/",
            b"APP_POOL_ID": to_bytes(application.pool),
            b"DOCUMENT_ROOT": root,
            b"GATEWAY_INTERFACE": b"CGI/1.1",
            b"INSTANCE_ID": b"%d" % site.site_id,
            b"REDIRECT_STATUS": b"200",  # PHP built for Apache runs no script without it
            b"SERVER_SOFTWARE": b"was/10.0",
        }

    def build(self, context: HttpContext) -> dict[bytes, bytes]:
        """What is this request's own, without what the program inherits."""
        found = self.of_path(context) | of_connection(context.message) | of_request(context)
        if not found[b"SERVER_NAME"]:
            found[b"SERVER_NAME"] = found[b"LOCAL_ADDR"]
        return found

    def of_path(self, context: HttpContext) -> dict[bytes, bytes]:
        """What follows from the path and where PATH_INFO begins in it, and from MAP_PATH."""
        script, path_info = context.script_name, context.path_info
        file = to_bytes(context.map_path(script))
        found = {
            b"PATH_INFO": to_bytes(path_info),
            b"REQUEST_FILENAME": to_bytes(context.physical_path) if path_info else file,
            b"SCRIPT_FILENAME": file,
            b"SCRIPT_NAME": to_bytes(script),
            b"SCRIPT_TRANSLATED": file,
            b"URL": to_bytes(context.path),
        }
        if path_info:
            found[b"PATH_TRANSLATED"] = to_bytes(self._root + path_info)
        return found

    def whole(self, context: HttpContext) -> dict[bytes, bytes]:
        """All variables, with what modules have set."""
        found = self.constant | self.build(context)
        for name, value in (context.variables or {}).items():
            if value is None:
                found.pop(to_bytes(name), None)
            else:
                found[to_bytes(name)] = to_bytes(value)
        return found


def of_connection(message: Request) -> dict[bytes, bytes]:
    """What all requests of a client's connection share."""
    remote = message.remote_addr.encode()
    return {
        b"HTTPS": b"on" if message.secure else b"off",
        b"LOCAL_ADDR": message.local_addr.encode(),
        b"REMOTE_ADDR": remote,
        b"REMOTE_HOST": remote,
        b"REMOTE_PORT": b"%d" % message.remote_port,
        b"SERVER_PORT": b"%d" % message.local_port,
        b"SERVER_PORT_SECURE": b"1" if message.secure else b"0",
    }


def of_request(context: HttpContext) -> dict[bytes, bytes]:
    """The rest. SERVER_NAME is empty where the client names no host."""
    user = context.user
    name = user.remote_user_name if user is not None else ""
    found, has_length = of_fields(context, has_user=bool(name))
    found |= of_line(context, has_length=has_length)
    found[b"REQUEST_ID"] = b"%016x" % context.message.id
    if user is not None and name:
        found[b"AUTH_TYPE"] = to_bytes(user.authentication_type)
        found[b"AUTH_USER"] = found[b"LOGON_USER"] = to_bytes(user.user_name)
        found[b"REMOTE_USER"] = to_bytes(name)
    return found


def of_fields(context: HttpContext, *, has_user: bool) -> tuple[dict[bytes, bytes], bool]:
    """What all requests with the same fields share; whether Content-Length is among them."""
    found = _fields(context, has_user=has_user)
    host = found.get(b"HTTP_HOST", b"").decode("latin-1")
    found[b"SERVER_NAME"] = host_name(host).encode("latin-1")
    found.pop(b"HTTP_URL", None)  # a field cannot stand for what the server knows
    return found, found.pop(b"CONTENT_LENGTH", None) is not None


def of_line(context: HttpContext, *, has_length: bool) -> dict[bytes, bytes]:
    """What all requests with the same request line, and length, share."""
    message = context.message
    # What the client has asked for, also where this is the default document of it.
    root = message if context.child is None else context.root_context.message
    target = to_bytes(root.target)
    found = {
        b"HTTP_URL": target,
        b"QUERY_STRING": to_bytes(context.query),
        b"REQUEST_ATTEMPT": b"%d" % message.attempt,
        b"REQUEST_METHOD": context.method.encode(),
        b"REQUEST_URI": target,
        b"SERVER_PROTOCOL": b"HTTP/1.1" if message.version >= 11 else b"HTTP/1.0",
    }
    length = message.body_length
    if length > 0 or (length == 0 and has_length):
        found[b"CONTENT_LENGTH"] = b"%d" % length
    return found


def _fields(context: HttpContext, *, has_user: bool) -> dict[bytes, bytes]:
    """The request's fields by their variables; one that comes again is joined to the first.

    Left out: the credentials of a user whom the server has checked (RFC 3875, 9.2).
    """
    found: dict[bytes, bytes] = {}
    for name, value in context.fields:
        key = _names.get(name)
        if key is None:
            key = _key_of(name)
        if not key or (has_user and key == b"HTTP_AUTHORIZATION"):
            continue
        encoded = value.encode("latin-1", "replace")
        if key in found:
            joint = b"; " if key == b"HTTP_COOKIE" else b", "
            encoded = found[key] + joint + encoded
        found[key] = encoded
    return found


def _key_of(name: str) -> bytes:
    key = variable_of(name).encode("latin-1", "replace")
    if len(name) <= 64:
        keep(_names, name, key, _CACHE_LIMIT)
    return key
