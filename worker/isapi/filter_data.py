"""What the events of a filter show and let it change: the same for filters in Python and in C.

Errors are ServerFunctionErrors: 1413 a field that is not there, 87 a name without its colon or a
value with a line break.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from was.errors import LocalProtocolError
from was.worker.fields import LISTENER_FIELDS
from was.worker.interfaces.user import HttpUser
from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ServerFunctionError, invalid
from was.worker.isapi.header_text import is_method, parse_status
from was.worker.url_text import as_bytes, quote_path

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

__all__ = [
    "AccessDenied",
    "AuthComplete",
    "Authentication",
    "Headers",
    "LogFields",
    "RawData",
    "RequestHeaders",
    "ResponseHeaders",
    "UrlMap",
    "change_status",
    "put_log",
]


class Headers:
    """GetHeader, SetHeader, AddHeader: names end with a colon, but for a few special ones."""

    status = 0  # HttpStatus

    def get(self, name: str) -> str:
        """The value of a field."""
        raise NotImplementedError

    def set(self, name: str, value: str) -> None:
        """Set a field; "" removes it."""
        raise NotImplementedError

    def add(self, name: str, value: str) -> None:
        """Add a field beside those of its name."""
        raise NotImplementedError


def _bare(name: str, value: str = "") -> str:
    if not name.endswith(":") or len(name) < 2:
        raise invalid(f"a field name ends with a colon: {name[:80]!r}")
    if "\r" in value or "\n" in value or "\0" in value:
        raise invalid("a line break in a value")
    return name[:-1]


def _absent(name: str) -> ServerFunctionError:
    return ServerFunctionError(Win32.INVALID_INDEX, f"no field {name[:80]!r}")


class RequestHeaders(Headers):
    """PREPROC_HEADERS and AUTH_COMPLETE: the request; special names url, method, version."""

    def __init__(self, context: HttpContext) -> None:
        self._context = context
        self.new_url: str | None = None

    def get(self, name: str) -> str:
        """The value of a field or of a special name."""
        context = self._context
        match name:
            case "url":
                return self.new_url if self.new_url is not None else _url(context)
            case "method":
                return context.method
            case "version":
                return "HTTP/{}.{}".format(*divmod(context.message.version, 10))
            case _:
                value = context.request.get_header(_bare(name))
                if value is None:
                    raise _absent(name)
                return value

    def set(self, name: str, value: str) -> None:
        """Change a field, the method or the URL, which is then routed anew."""
        context = self._context
        match name:
            case "url":
                if not value.startswith("/") or any(c in value for c in "\r\n\0 "):
                    raise invalid(f"not a URL: {value[:80]!r}")
                self.new_url = as_bytes(value)
            case "method":
                if not is_method(value):
                    raise invalid(f"not a method: {value[:80]!r}")
                context.request.set_http_method(value)
            case "version":
                raise ServerFunctionError(Win32.NOT_SUPPORTED, "the version is the client's")
            case _:
                bare = _bare(name, value)
                if value:
                    context.request.set_header(bare, value)
                else:
                    context.request.delete_header(bare)

    def add(self, name: str, value: str) -> None:
        """Add a field."""
        self._context.request.set_header(_bare(name, value), value, replace=False)


def _url(context: HttpContext) -> str:
    if context.path == context.message.path and context.query == context.message.query:
        return context.message.target
    return quote_path(context.path) + (f"?{context.query}" if context.query else "")


class ResponseHeaders(Headers):
    """SEND_RESPONSE: the response; special name status."""

    def __init__(self, context: HttpContext) -> None:
        self._response = context.response

    @property
    def status(self) -> int:  # type: ignore[override]
        """The response's status."""
        return self._response.status

    def get(self, name: str) -> str:
        """The value of a field, or the status line's code and reason."""
        response = self._response
        if name == "status":
            return f"{response.status} {response.reason}"
        bare = _bare(name)
        if bare.lower() == "content-length" and response.content_length >= 0:
            return str(response.content_length)
        value = response.get_header(bare)
        if value is None:
            raise _absent(name)
        return value

    def set(self, name: str, value: str) -> None:
        """Change a field or the status."""
        if name == "status":
            change_status(self._response, value)
        elif value:
            self._put(_bare(name, value), value, replace=True)
        else:
            self._response.delete_header(_bare(name))

    def add(self, name: str, value: str) -> None:
        """Add a field."""
        self._put(_bare(name, value), value, replace=False)

    def _put(self, name: str, value: str, *, replace: bool) -> None:
        if name.lower() in LISTENER_FIELDS - {"content-length"}:
            raise ServerFunctionError(Win32.NOT_SUPPORTED, f"{name} is the listener's")
        try:
            self._response.set_header(name, value, replace=replace)
        except LocalProtocolError as error:
            raise invalid(str(error)) from None


def change_status(response: HttpResponse, line: str) -> None:
    """The code and reason are others; a page that is there stays, whoever wrote it.

    Raises ServerFunctionError (87).
    """
    code, reason = parse_status(line)
    has_page = code >= 400 and response.buffered_bytes() > 0
    response.set_status(
        code, reason, response.sub_status, response.hresult, try_skip_custom_errors=has_page
    )


class UrlMap:
    """URL_MAP."""

    __slots__ = ("path", "url")

    def __init__(self, url: str, path: str) -> None:
        self.url = url
        self.path = path


class Authentication:
    """AUTHENTICATION: who the client says it is; both empty: nobody in particular."""

    __slots__ = ("password", "user")

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.password = password


class AuthComplete(RequestHeaders):
    """AUTH_COMPLETE: the request once its user is known."""


class AccessDenied:
    """ACCESS_DENIED: a 401 is about to be sent."""

    __slots__ = ("path", "reason", "url")

    def __init__(self, url: str, path: str, reason: int) -> None:
        self.url = url
        self.path = path
        self.reason = reason


class RawData:
    """SEND_RAW_DATA: one block of what is sent."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class LogFields:
    """LOG: what the request's log line will say."""

    __slots__ = (
        "client",
        "operation",
        "parameters",
        "server",
        "status",
        "target",
        "user",
        "win32",
    )

    def __init__(self, context: HttpContext) -> None:
        logged = context.logged_url
        self.client = context.message.remote_addr
        self.user = context.user.user_name if context.user is not None else ""
        self.server = context.message.local_addr
        self.operation = context.method
        self.target, self.parameters = logged or (context.path, context.query)
        self.status = context.response.status
        self.win32 = context.win32_status()


def put_log(context: HttpContext, shown: LogFields) -> None:
    """What filters have changed, where HttpLoggingModule looks for it."""
    was = LogFields(context)
    if (shown.target, shown.parameters) != (was.target, was.parameters):
        context.logged_url = shown.target, shown.parameters
    if shown.operation != was.operation:
        context.method = shown.operation
    if shown.user != was.user:
        context.user = HttpUser(shown.user)
    changes = {"remote_addr": shown.client, "local_addr": shown.server}
    if (shown.client, shown.server) != (was.client, was.server):
        context.message = msgspec.structs.replace(context.message, **changes)
