"""ServerSideIncludeModule: pages with directives (*.stm, *.shtm, *.shtml).

What a directive cannot do leaves the text of `#config errmsg` in its place, and the page goes on. A
virtual include is a child request where something runs for that URL; files that nothing runs for
are put in as they are, whatever their type, and their directives are followed.
"""

from __future__ import annotations

import os
import stat
import time
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import unquote

from was.ipc.scoreboard import RequestState
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.children.requests import CloneFlag, ExecuteFlag
from was.worker.chunks import close_files
from was.worker.interfaces.hresult import E_ACCESSDENIED, E_FILE_NOT_FOUND, HResultError
from was.worker.notifications import (
    CONTINUE,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse, refuse_method
from was.worker.static.ssi_page import Directive, parse_page
from was.worker.url_text import quote_path, read_url

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

_STARTED = int(RequestState.STARTED)

MOST_LEVELS = 10
MOST_DIRECTIVES = 10_000
MOST_BYTES = 16 << 20
DEFAULT_TIME_LIMIT_S = 110.0

# Handlers that hand out a file, or follow its directives: nothing runs for it.
_OF_FILES = frozenset({"StaticFileModule", "ServerSideIncludeModule"})
_METHODS = frozenset({"GET", "HEAD", "POST"})


class DirectiveError(Exception):
    """A directive cannot be followed."""


class ServerSideInclude(HttpModule):
    """The pages of one application."""

    def __init__(self, application: HttpApplication) -> None:
        section = application.settings.section("system.webServer/serverSideInclude")
        self._may_execute = not section["ssiExecDisable"]
        self._may_run_commands = self._may_execute and bool(section["cmdDirectiveEnabled"])
        self._limit_s = application.own_time_limit_s or DEFAULT_TIME_LIMIT_S

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Follow the page's directives."""
        response = context.response
        if context.method not in _METHODS:
            return refuse_method(context, "GET, HEAD, POST")
        try:
            data = _read(context.physical_path, context.application.root_of(context.path))
        except PermissionError:
            return refuse(context, 401, 3, E_ACCESSDENIED)
        except (OSError, ValueError):
            return refuse(context, 404, 0, E_FILE_NOT_FOUND)
        response.set_header("Content-Type", "text/html")
        page = _Page(context, self._may_execute, self._may_run_commands, self._limit_s)
        page.write(data, context.path, 0)
        context.is_handled = True
        return CONTINUE


class _Page:
    """One page while it is put together."""

    def __init__(
        self, context: HttpContext, may_execute: bool, may_run_commands: bool, limit_s: float
    ) -> None:
        self._context = context
        self._may_execute = may_execute
        self._may_run_commands = may_run_commands
        self._deadline = time.monotonic() + limit_s
        self._left = MOST_DIRECTIVES
        self._bytes_left = MOST_BYTES
        self._error_text = "Error processing SSI file"
        self._time_format = "%A %B %d %Y"
        self._is_abbreviated = True

    def write(self, data: bytes, url: str, level: int) -> None:
        """Add a file, whose URL path is `url`, to the body."""
        chunks = self._context.response.chunks
        for piece in parse_page(data):
            if isinstance(piece, bytes):
                chunks.append(piece)
                continue
            try:
                self._follow(piece, url, level)
            except (DirectiveError, OSError, ValueError, HResultError):
                chunks.append(self._error_text.encode("utf-8", "surrogateescape"))

    def _follow(self, directive: Directive, url: str, level: int) -> None:
        self._left -= 1
        if self._left < 0 or not directive.parameters:
            raise DirectiveError("no parameters, or too many directives")
        if directive.name == "config":
            for name, value in directive.parameters:
                self._configure(name, value)
            return
        for name, value in directive.parameters:
            if directive.name == "include":
                self._include(name, value, url, level)
                continue
            text = self._text_of(directive.name, name, value, url)
            if text is not None:
                self._context.response.chunks.append(text)

    def _text_of(self, directive: str, name: str, value: str, url: str) -> bytes | None:
        if directive == "echo":
            return self._echo(name, value, url)
        if directive == "exec":
            return self._execute(name, value, url)
        path, _ = self._place(name, value, url)
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise DirectiveError("no file")
        if directive == "fsize":
            return self._size(status.st_size).encode()
        return self._time(time.localtime(status.st_mtime)).encode()

    # ── config and echo ─────────────────────────────────────────────────────────────────────────

    def _configure(self, name: str, value: str) -> None:
        if name == "errmsg":
            self._error_text = value
        elif name == "timefmt":
            self._time_format = value
        elif name == "sizefmt" and value.lower() in ("bytes", "abbrev"):
            self._is_abbreviated = value.lower() == "abbrev"
        else:
            raise DirectiveError(name)

    def _size(self, size: int) -> str:
        return f"{(size + 1023) // 1024}K" if self._is_abbreviated else f"{size:,}"

    def _time(self, moment: time.struct_time) -> str:
        return escape(time.strftime(self._time_format, moment))

    def _echo(self, name: str, value: str, url: str) -> bytes:
        if name != "var":
            raise DirectiveError(name)
        context, variable = self._context, value.upper()
        if variable in ("DATE_LOCAL", "DATE_GMT"):
            now = time.time()
            moment = time.localtime(now) if variable == "DATE_LOCAL" else time.gmtime(now)
            return self._time(moment).encode()
        if variable == "LAST_MODIFIED":
            return self._time(time.localtime(os.stat(context.physical_path).st_mtime)).encode()
        if variable == "DOCUMENT_NAME":
            found: str | None = context.physical_path
        elif variable == "DOCUMENT_URI":
            found = context.path
        elif variable == "QUERY_STRING_UNESCAPED":
            found = unquote(context.query, errors="replace")
        else:
            found = context.get_server_variable(variable)
        # What a client has sent must not become part of the page's markup.
        return escape(found or "").encode("utf-8", "surrogateescape")

    # ── files and what runs ─────────────────────────────────────────────────────────────────────

    def _place(self, name: str, value: str, url: str) -> tuple[str, str]:
        """The file that file="" or virtual="" names, and its URL path."""
        path = self._url(name, value, url)[0]
        owner = self._context.application.locate(self._context.site.site_id, path)
        if owner is None:
            raise DirectiveError("another pool's")
        return owner.map_path(path), path

    def _url(self, name: str, value: str, url: str) -> tuple[str, str]:
        folder = url[: url.rfind("/") + 1]
        if name == "virtual":
            return read_url(value if value.startswith("/") else quote_path(folder) + value)
        parts = value.replace("\\", "/").split("/")
        if name != "file" or not value or parts[0] == "" or ".." in parts:
            raise DirectiveError("not below the page's folder")
        return folder + "/".join(parts), ""

    def _include(self, name: str, value: str, url: str, level: int) -> None:
        if level >= MOST_LEVELS:
            raise DirectiveError("too many levels")
        context = self._context
        path, query = self._url(name, value, url)
        owner = context.application.locate(context.site.site_id, path)
        if owner is None:
            raise DirectiveError("another pool's")
        if name == "virtual":
            handler = context.map_handler(context.site.site_id, "", quote_path(path), "GET")
            if handler is not None and not _OF_FILES.intersection(handler.modules):
                self._run_child(path, query)
                return
        data = _read(owner.map_path(path), owner.root_of(path))
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise DirectiveError("too large")
        self.write(data, path, level + 1)

    def _execute(self, name: str, value: str, url: str) -> bytes | None:
        if name in ("cgi", "isa") and self._may_execute:
            path, query = self._url("virtual", value, url)
            self._run_child(path, query or self._context.query)
            return None
        if name == "cmd" and self._may_run_commands:
            return self._run_command(value, url)
        raise DirectiveError("not allowed")

    def _run_child(self, path: str, query: str) -> None:
        context = self._context
        chunks = context.response.chunks
        before = len(chunks)
        child = context.clone_context(CloneFlag.HEADERS | CloneFlag.NO_PRECONDITION)
        child.request.set_url(f"{quote_path(path)}?{query}")
        flags = ExecuteFlag.NO_HEADERS | ExecuteFlag.BUFFER_RESPONSE
        context.run_child(child, flags | ExecuteFlag.DISABLE_CUSTOM_ERROR, context.user)
        if child.response.status >= 400:
            close_files(chunks[before:])
            del chunks[before:]
            raise DirectiveError(f"status {child.response.status}")

    def _run_command(self, command: str, url: str) -> bytes:
        from was.worker.gateway.inherited import inherited_environment
        from was.worker.gateway.variables import VariableBuilder, to_bytes
        from was.worker.programs.output import output_of

        context = self._context
        variables = VariableBuilder(context.application).whole(context)
        environment = inherited_environment() | variables
        lines = [name + b"=" + value for name, value in environment.items()]
        folder = os.path.dirname(context.map_path(url))
        argv = [b"/bin/sh", b"-c", to_bytes(command)]
        # From here on code that is not ours runs: only now can a second run do harm.
        context.exchange.words[context.exchange.row] = context.proof | _STARTED
        return output_of(argv, to_bytes(folder), lines, self._deadline - time.monotonic())


def _read(path: str, root: str) -> bytes:
    """A file below a folder, links resolved. Raises OSError and DirectiveError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        status = os.fstat(fd)
        real = os.readlink(f"/proc/self/fd/{fd}")
        above = os.path.realpath(root).rstrip("/") + "/"
        if not stat.S_ISREG(status.st_mode) or not real.startswith(above):
            raise FileNotFoundError(path)
        if status.st_size > MOST_BYTES:
            raise FileNotFoundError(path)
        return os.pread(fd, status.st_size, 0)
    finally:
        os.close(fd)


def _make(application: HttpApplication) -> HttpModule:
    handlers = application.settings.handlers.entries
    if any("ServerSideIncludeModule" in handler.modules for handler in handlers):
        return ServerSideInclude(application)
    return HttpModule()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to EXECUTE_REQUEST_HANDLER."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make), RequestNotification.EXECUTE_REQUEST_HANDLER, 0
    )
