"""A request as the variables that CGI and FastCGI programs get: RFC 3875 and IIS's own names.

PATH_INFO is what follows the script's name, and empty for most mappings, as the RFC has it; IIS
gives the whole path where a mapping has no allowPathInfo (decision 0042).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.worker.context import HttpContext

__all__ = ["VariableBuilder", "to_bytes"]

# Taken one by one from the server variables, so that what modules have set counts.
_ASKED = (
    "APPL_MD_PATH",
    "APPL_PHYSICAL_PATH",
    "APP_POOL_ID",
    "DOCUMENT_ROOT",
    "HTTPS",
    "INSTANCE_ID",
    "LOCAL_ADDR",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REMOTE_PORT",
    "REQUEST_ATTEMPT",
    "REQUEST_ID",
    "REQUEST_METHOD",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PORT_SECURE",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
    "URL",
)
_CACHE_LIMIT = 1024
_names: dict[str, bytes] = {}


def to_bytes(text: str) -> bytes:
    """Text of paths and settings as the system has it."""
    return text.encode("utf-8", "surrogateescape")


class VariableBuilder:
    """Makes the variables of each request."""

    def build(self, context: HttpContext) -> dict[bytes, bytes]:
        """All variables, without those of the environment that the program inherits."""
        ask = context.get_server_variable
        found = {name.encode(): to_bytes(ask(name) or "") for name in _ASKED}
        script, path_info = context.script_name, context.path_info
        file = context.map_path(script)
        found[b"GATEWAY_INTERFACE"] = b"CGI/1.1"
        found[b"REDIRECT_STATUS"] = b"200"  # PHP built for Apache runs no script without it
        found[b"SCRIPT_NAME"] = to_bytes(script)
        found[b"PATH_INFO"] = to_bytes(path_info)
        found[b"SCRIPT_FILENAME"] = to_bytes(file)
        found[b"SCRIPT_TRANSLATED"] = to_bytes(file)
        found[b"REQUEST_FILENAME"] = to_bytes(context.physical_path)
        if path_info:
            found[b"PATH_TRANSLATED"] = to_bytes(
                context.application.physical_path.rstrip("/") + path_info
            )
        # What the client has asked for, also where this is the default document of it.
        found[b"REQUEST_URI"] = to_bytes(context.root_context.message.target)
        found[b"HTTP_URL"] = found[b"REQUEST_URI"]
        kind = ask("CONTENT_TYPE")
        if kind:
            found[b"CONTENT_TYPE"] = kind.encode("latin-1", "replace")
        has_user = _add_user(context, found)
        _add_fields(context, found, has_user=has_user)
        length = context.message.body_length
        if length >= 0 and (length or b"HTTP_CONTENT_LENGTH" in found):
            found[b"CONTENT_LENGTH"] = b"%d" % length
        found.pop(b"HTTP_CONTENT_LENGTH", None)
        if context.variables:
            for name, value in context.variables.items():
                if value is None:
                    found.pop(to_bytes(name), None)
                else:
                    found[to_bytes(name)] = to_bytes(value)
        return found


def _add_user(context: HttpContext, found: dict[bytes, bytes]) -> bool:
    """Who asks; whether the server knows."""
    user = context.user
    name = user.remote_user_name if user is not None else ""
    if user is None or not name:
        return False
    found[b"AUTH_TYPE"] = to_bytes(user.authentication_type)
    found[b"AUTH_USER"] = found[b"LOGON_USER"] = to_bytes(user.user_name)
    found[b"REMOTE_USER"] = to_bytes(name)
    return True


def _add_fields(context: HttpContext, found: dict[bytes, bytes], *, has_user: bool) -> None:
    """The request's fields as HTTP_*; one that comes again is joined to the first.

    Left out: names with "_", which would share a key with those that have "-"; Proxy, which
    programs would take for HTTP_PROXY; and the credentials of a user whom the server has checked
    (RFC 3875, 9.2).
    """
    seen: set[bytes] = set()
    for name, value in context.fields:
        key = _names.get(name)
        if key is None:
            key = _key_of(name)
        if not key or (has_user and key == b"HTTP_AUTHORIZATION"):
            continue
        encoded = value.encode("latin-1", "replace")
        if key in seen:
            joint = b"; " if key == b"HTTP_COOKIE" else b", "
            encoded = found[key] + joint + encoded
        seen.add(key)
        found[key] = encoded


def _key_of(name: str) -> bytes:
    lower = name.lower()
    if "_" in name or lower in ("proxy", "content-type"):
        key = b""
    else:
        key = b"HTTP_" + lower.upper().replace("-", "_").encode("latin-1", "replace")
    if len(name) <= 64:
        if len(_names) >= _CACHE_LIMIT:
            _names.clear()
        _names[name] = key
    return key
