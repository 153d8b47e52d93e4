"""Server variables: IIS's names for what is known of a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from was.worker.url_text import host_name

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["NO_CONNECTION", "read_variable"]

_OF_TLS = (
    "CERT_COOKIE",
    "CERT_ISSUER",
    "CERT_KEYSIZE",
    "CERT_SECRETKEYSIZE",
    "CERT_SERIALNUMBER",
    "CERT_SERVER_ISSUER",
    "CERT_SERVER_SUBJECT",
    "CERT_SUBJECT",
    "CRYPT_CIPHER_ALG_ID",
    "CRYPT_HASH_ALG_ID",
    "CRYPT_KEYEXCHANGE_ALG_ID",
    "CRYPT_PROTOCOL",
    "HTTPS_KEYSIZE",
    "HTTPS_SECRETKEYSIZE",
    "HTTPS_SERVER_ISSUER",
    "HTTPS_SERVER_SUBJECT",
)

# Connection of requests that warm an application up; those of clients count from 1.
NO_CONNECTION = 0


def read_variable(context: HttpContext, name: str) -> str | None:
    """The value of a server variable, None if there is none of that name."""
    reader = _READERS.get(name)
    if reader is not None:
        return reader(context)
    if name.startswith("HTTP_"):
        return context.request.get_header(name[5:].replace("_", "-"))
    if name.startswith("HEADER_"):
        return context.request.get_header(name[7:])
    return None


def _host(context: HttpContext) -> str:
    host = context.request.get_header("Host")
    return host_name(host) if host else context.message.local_addr


def _unmapped_user(context: HttpContext) -> str:
    if context.user is None:
        return ""
    sent = context.user.get_user_variable("UNMAPPED_REMOTE_USER")
    return sent if isinstance(sent, str) else context.user.remote_user_name


def _all_http(context: HttpContext) -> str:
    return "".join(
        f"HTTP_{name.upper().replace('-', '_')}:{value}\n" for name, value in context.fields
    )


def _cache_url(context: HttpContext) -> str:
    """The same for all requests that a cache may answer alike."""
    scheme = "https" if context.message.secure else "http"
    return f"{scheme}://{_host(context)}:{context.message.local_port}{context.path}"


def _version(context: HttpContext) -> str:
    return "HTTP/{}.{}".format(*divmod(context.message.version, 10))


def _request_flags(context: HttpContext) -> str:
    """HTTP_REQUEST_FLAG_MORE_ENTITY_BODY_EXISTS, or nothing."""
    return "1" if context.message.pull else "0"


def _warming_up(context: HttpContext) -> str | None:
    """For the requests that warm up, and for those of clients meanwhile (of rewrite rules, say)."""
    is_own = context.message.connection_id == NO_CONNECTION
    return "1" if is_own or context.application.query_is_warming_up() else None


_READERS: dict[str, Callable[[HttpContext], str | None]] = {
    "ALL_HTTP": _all_http,
    "ALL_RAW": lambda c: "".join(f"{name}: {value}\r\n" for name, value in c.fields),
    "APPL_MD_PATH": lambda c: c.application.id,
    # As in IIS, so that a name may be put behind it.
    "APPL_PHYSICAL_PATH": lambda c: c.application.physical_path.rstrip("/") + "/",
    "APP_POOL_CONFIG": lambda c: str(c.application.server.app_pool_config_file),
    "APP_POOL_ID": lambda c: c.application.pool,
    "APP_WARMING_UP": _warming_up,
    "AUTH_PASSWORD": lambda c: c.user.password if c.user else "",
    "AUTH_TYPE": lambda c: c.user.authentication_type if c.user else "",
    "AUTH_USER": lambda c: c.user.remote_user_name if c.user else "",
    "CACHE_URL": _cache_url,
    "CERT_FLAGS": lambda _: "0",
    "CONTENT_LENGTH": lambda c: str(c.message.body_length) if c.message.body_length >= 0 else "",
    "CONTENT_TYPE": lambda c: c.request.get_header("Content-Type") or "",
    "DOCUMENT_ROOT": lambda c: c.application.physical_path,
    "FORWARDED_URL": lambda c: c.path,
    "GATEWAY_INTERFACE": lambda _: "CGI/1.1",
    "HTTPS": lambda c: "on" if c.message.secure else "off",
    "HTTP_METHOD": lambda c: c.method,
    "HTTP_URL": lambda c: c.message.target,
    "HTTP_VERSION": _version,
    "INSTANCE_ID": lambda c: str(c.message.site_id),
    "INSTANCE_META_PATH": lambda c: f"/LM/W3SVC/{c.message.site_id}",
    "INSTANCE_NAME": lambda c: c.site.site_name,
    "LOCAL_ADDR": lambda c: c.message.local_addr,
    "LOGON_USER": lambda c: c.user.user_name if c.user else "",
    "MANAGED_PIPELINE_MODE": lambda _: "Integrated",
    "PATH_INFO": lambda c: c.path_info,
    "PATH_TRANSLATED": lambda c: c.physical_path,
    "QUERY_STRING": lambda c: c.query,
    "REMOTE_ADDR": lambda c: c.message.remote_addr,
    "REMOTE_HOST": lambda c: c.message.remote_addr,
    "REMOTE_PORT": lambda c: str(c.message.remote_port),
    "REMOTE_USER": lambda c: c.user.remote_user_name if c.user else "",
    "REQUEST_ATTEMPT": lambda c: str(c.message.attempt),
    "REQUEST_FILENAME": lambda c: c.physical_path,
    "REQUEST_FLAGS": _request_flags,
    "REQUEST_ID": lambda c: c.request_id,
    "REQUEST_METHOD": lambda c: c.method,
    "REQUEST_URI": lambda c: c.message.target.partition("?")[0],
    "SCRIPT_FILENAME": lambda c: c.physical_path,
    "SCRIPT_NAME": lambda c: c.script_name,
    "SCRIPT_TRANSLATED": lambda c: c.physical_path,
    "SERVER_ADDR": lambda c: c.message.local_addr,
    "SERVER_NAME": _host,
    "SERVER_PORT": lambda c: str(c.message.local_port),
    "SERVER_PORT_SECURE": lambda c: "1" if c.message.secure else "0",
    "SERVER_PROTOCOL": lambda c: "HTTP/1.1" if c.message.version >= 11 else "HTTP/1.0",
    "SERVER_SOFTWARE": lambda c: "was/10.0",
    "UNENCODED_URL": lambda c: c.message.target,
    "UNMAPPED_REMOTE_USER": _unmapped_user,
    "URL": lambda c: c.path,
    # What a certificate and a cipher would say, where there is none.
    **dict.fromkeys(_OF_TLS, lambda _: ""),
}
