"""The WSGI environ: a template of the application, then one pass over the request's fields.

Names map to HTTP_ keys through a bounded cache; some have none. A name that comes again is joined
with ", ", Cookie with "; ".
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

from was.known import keep
from was.worker.url_text import as_bytes, host_name
from was.worker.variable_names import variable_of
from was.worker.wsgi.files import FileWrapper
from was.worker.wsgi.input import EntityReader

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

__all__ = ["EnvironBuilder"]

_CACHE_LIMIT = 1024
_NAME_LIMIT = 64

_FILLED = (
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "REQUEST_URI",
    "RAW_URI",
    "SERVER_PROTOCOL",
    "SERVER_NAME",
    "SERVER_PORT",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "LOCAL_ADDR",
    "wsgi.errors",
    "wsgi.input",
    "was.request_id",
    "was.attempt",
    "iis.context",
)

_keys: dict[str, str] = {}
_hosts: dict[str, str] = {}
_numbers: dict[int, str] = {}


class EnvironBuilder:
    """Builds the environ of each request of one application."""

    def __init__(self, application: HttpApplication) -> None:
        self._prefix_length = application.prefix_length
        self._physical_path = application.physical_path.rstrip("/")
        self._template: dict[str, Any] = {
            "SERVER_SOFTWARE": "was/10.0",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "DOCUMENT_ROOT": application.physical_path,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.multithread": application.server.is_multithread,
            "wsgi.multiprocess": application.is_multiprocess,
            "wsgi.run_once": False,
            # Our input ends where the body ends, however that was framed.
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
            "was.app_pool": application.pool,
            "was.report_unhealthy": application.server.report_unhealthy,
            # A place for what each request fills in: a copy that already has its keys, and the
            # room for those of the fields, is never resized (measured: 1.5 µs a request).
            **dict.fromkeys(_FILLED, ""),
        }

    def build(self, context: HttpContext) -> dict[str, Any]:
        """A new environ, the application's to change."""
        message = context.message
        path = context.path
        at = context.path_info_at
        if at < 0:
            at = self._prefix_length
        if not path.isascii():
            at = len(_utf8(path[:at]))
            path = _utf8(path)
        port = message.local_port
        path_info = path[at:] if at else path
        target = message.target
        local = message.local_addr
        environ = self._template.copy()
        environ["REQUEST_METHOD"] = context.method
        environ["PATH_INFO"] = path_info
        if at:
            environ["SCRIPT_NAME"] = path[:at]
        environ["PATH_TRANSLATED"] = self._physical_path + path_info
        environ["QUERY_STRING"] = context.query
        environ["REQUEST_URI"] = environ["RAW_URI"] = target
        environ["SERVER_PROTOCOL"] = "HTTP/1.1" if message.version >= 11 else "HTTP/1.0"
        environ["SERVER_NAME"] = environ["LOCAL_ADDR"] = local
        environ["SERVER_PORT"] = _numbers.get(port) or _number_of(port)
        environ["REMOTE_ADDR"] = message.remote_addr
        environ["REMOTE_PORT"] = str(message.remote_port)
        environ["wsgi.errors"] = sys.stderr
        environ["was.request_id"] = f"{message.id:016x}"
        environ["was.attempt"] = message.attempt
        environ["iis.context"] = context
        fields = context.fields
        before = len(environ)
        for name, value in fields:
            try:
                environ[_keys[name]] = value
            except KeyError:
                environ[_key_of(name)] = value
        # Fewer keys than fields: a name came twice. The key "": a name was to be dropped.
        if len(environ) - before != len(fields) or "" in environ:
            _combine(environ, fields)
        host = environ.get("HTTP_HOST")
        if host:
            environ["SERVER_NAME"] = _hosts.get(host) or _host_of(host)
        if message.secure:
            environ["wsgi.url_scheme"] = "https"
            environ["HTTPS"] = "on"
        length = message.body_length
        if length < 0:
            environ.pop("CONTENT_LENGTH", None)
        elif length and "CONTENT_LENGTH" not in environ:
            # It came in chunks and is here as a whole.
            environ["CONTENT_LENGTH"] = str(length)
        if message.pull or context.is_body_touched or context.calls.read_entity:
            environ["wsgi.input"] = EntityReader(context.request)
        else:
            environ["wsgi.input"] = BytesIO(message.body)
        user = context.user
        if user is not None and user.remote_user_name:
            environ["REMOTE_USER"] = _utf8(user.remote_user_name)
            environ["AUTH_TYPE"] = user.authentication_type
        variables = context.variables
        if variables:
            for name, variable in variables.items():
                if variable is None:
                    environ.pop(name, None)
                else:
                    environ[name] = as_bytes(variable)
        return environ


def _utf8(text: str) -> str:
    """Its UTF-8 as text of single bytes, which is what PEP 3333 calls a string."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _combine(environ: dict[str, Any], fields: list[tuple[str, str]]) -> None:
    """Put all values of a repeated name under its key, and leave out what has none."""
    combined: dict[str, str] = {}
    for name, value in fields:
        key = _key_of(name)
        if key in combined:
            value = f"{combined[key]}{'; ' if key == 'HTTP_COOKIE' else ', '}{value}"
        combined[key] = value
    environ.update(combined)
    environ.pop("", None)


def _key_of(name: str) -> str:
    """The key of a field, "" for one that gets none."""
    key = variable_of(name)
    if len(name) <= _NAME_LIMIT:
        keep(_keys, name, key, _CACHE_LIMIT)
    return key


def _host_of(host: str) -> str:
    found = host_name(host)
    if len(host) <= _NAME_LIMIT:
        keep(_hosts, host, found, _CACHE_LIMIT)
    return found


def _number_of(number: int) -> str:
    return keep(_numbers, number, str(number), _CACHE_LIMIT)
