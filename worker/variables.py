"""Server variables: IIS's names for what is known of a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.worker.context import HttpContext

__all__ = ["NO_CONNECTION", "read_variable"]

# Connection of requests that warm an application up; those of clients count from 1.
NO_CONNECTION = 0


def read_variable(context: HttpContext, name: str) -> str | None:
    """The value of a server variable, None if there is none of that name."""
    reader = _READERS.get(name)
    if reader is not None:
        return reader(context)
    if name.startswith("HTTP_"):
        return context.request.get_header(name[5:].replace("_", "-"))
    return None


def _host(context: HttpContext) -> str:
    host = context.request.get_header("Host") or context.message.local_addr
    if host.endswith("]"):
        return host
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _unmapped_user(context: HttpContext) -> str:
    if context.user is None:
        return ""
    sent = context.user.get_user_variable("UNMAPPED_REMOTE_USER")
    return sent if isinstance(sent, str) else context.user.remote_user_name


_READERS: dict[str, Callable[[HttpContext], str | None]] = {
    "APPL_MD_PATH": lambda c: c.application.id,
    "APPL_PHYSICAL_PATH": lambda c: c.application.physical_path,
    "APP_POOL_ID": lambda c: c.application.pool,
    "APP_WARMING_UP": lambda c: "1" if c.message.connection_id == NO_CONNECTION else None,
    "AUTH_TYPE": lambda c: c.user.authentication_type if c.user else "",
    "AUTH_PASSWORD": lambda c: c.user.password if c.user else "",
    "AUTH_USER": lambda c: c.user.remote_user_name if c.user else "",
    "CONTENT_LENGTH": lambda c: str(c.message.body_length) if c.message.body_length >= 0 else "",
    "CONTENT_TYPE": lambda c: c.request.get_header("Content-Type") or "",
    "DOCUMENT_ROOT": lambda c: c.application.physical_path,
    "HTTPS": lambda c: "on" if c.message.secure else "off",
    "HTTP_METHOD": lambda c: c.method,
    "HTTP_URL": lambda c: c.message.target,
    "INSTANCE_ID": lambda c: str(c.message.site_id),
    "LOCAL_ADDR": lambda c: c.message.local_addr,
    "LOGON_USER": lambda c: c.user.user_name if c.user else "",
    "PATH_INFO": lambda c: c.path_info,
    "PATH_TRANSLATED": lambda c: c.physical_path,
    "QUERY_STRING": lambda c: c.query,
    "REMOTE_ADDR": lambda c: c.message.remote_addr,
    "REMOTE_HOST": lambda c: c.message.remote_addr,
    "REMOTE_PORT": lambda c: str(c.message.remote_port),
    "REMOTE_USER": lambda c: c.user.remote_user_name if c.user else "",
    "REQUEST_ATTEMPT": lambda c: str(c.message.attempt),
    "REQUEST_ID": lambda c: c.request_id,
    "REQUEST_METHOD": lambda c: c.method,
    "SCRIPT_NAME": lambda c: c.script_name,
    "SCRIPT_TRANSLATED": lambda c: c.physical_path,
    "SERVER_NAME": _host,
    "SERVER_PORT": lambda c: str(c.message.local_port),
    "SERVER_PORT_SECURE": lambda c: "1" if c.message.secure else "0",
    "SERVER_PROTOCOL": lambda c: "HTTP/1.1" if c.message.version >= 11 else "HTTP/1.0",
    "SERVER_SOFTWARE": lambda c: "was",
    "UNENCODED_URL": lambda c: c.message.target,
    "UNMAPPED_REMOTE_USER": _unmapped_user,
    "URL": lambda c: c.path,
}
