"""HttpContext: one request in the pipeline, and the interfaces that hang off it.

The context is also the provider of every deterministic event (IHttpEventProvider,
IAuthenticationProvider, IMapHandlerProvider): one object less for each call. Everything that most
requests never ask for is made when it is asked for.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import msgspec

from was.ipc.messages import request_id_text
from was.worker.caches.held_objects import HeldObjects
from was.worker.calls.http_module import HttpModule
from was.worker.calls.nested_events import raise_within
from was.worker.completion import AsyncCompletion
from was.worker.interfaces.connection import HttpConnection, is_local_request
from was.worker.interfaces.context_children import ContextChildren
from was.worker.interfaces.context_events import ContextEvents
from was.worker.interfaces.hresult import ERROR_NOT_FOUND, HResultError
from was.worker.interfaces.providers import MapPathProvider
from was.worker.interfaces.request import HttpRequest
from was.worker.interfaces.response import HttpResponse, win32_of
from was.worker.interfaces.stored_contexts import ModuleContextContainer, NamedContextContainer
from was.worker.interfaces.variables import read_variable
from was.worker.notifications import CONTINUE, RequestNotificationStatus
from was.worker.sending import ERROR_NETNAME_DELETED
from was.worker.tracing.trace import TraceContext
from was.worker.url_text import read_url

if TYPE_CHECKING:
    from was.ipc.messages import Request
    from was.worker.applications.application import HttpApplication, HttpSite
    from was.worker.caches.file_info import FileInfo
    from was.worker.caches.metadata import MetadataInfo
    from was.worker.caches.url_info import UrlInfo
    from was.worker.calls.call_lists import CallLists
    from was.worker.calls.event_calls import Run, Step
    from was.worker.calls.handler_plans import HandlerPlan
    from was.worker.children.exchange import ChildExchange
    from was.worker.interfaces.user import HttpUser
    from was.worker.mapping import ScriptMapInfo
    from was.worker.request_exchange import RequestExchange

__all__ = ["HttpContext"]


class HttpContext(ContextEvents, ContextChildren, msgspec.Struct, eq=False):
    """One request, from GL_PRE_BEGIN_REQUEST to the disposal of its modules.

    A Struct because one is made for every request, and this way it is made in C.
    """

    exchange: RequestExchange
    message: Request
    application: HttpApplication
    calls: CallLists  # those of the request's beginning, whatever changes meanwhile
    proof: int  # id and attempt as the scoreboard has them
    # HttpRequest changes these four; readers on the hot path take them from here.
    method: str
    path: str
    query: str
    fields: list[tuple[str, str]]
    response: HttpResponse
    user: HttpUser | None = None
    plan: HandlerPlan | None = None
    may_move: bool = False  # GL_PRE_BEGIN_REQUEST: the application follows from the path, later
    path_info_at: int = -1  # where PATH_INFO begins in path; -1: as the handler defines it
    is_handled: bool = False
    is_cut: bool = False
    is_reset: bool = False  # cut without an answer, also where nothing was sent yet
    is_body_touched: bool = False
    # The file that answers as a whole: its path, its status when it was opened, its MIME type.
    served_file: tuple[str, os.stat_result, str] | None = None
    log_text: str = ""
    logged_url: tuple[str, str] | None = None  # path and query for the log, if other than these
    _request: HttpRequest | None = None
    objects: list[HttpModule] | None = None  # of the modules that have one for each request
    kept: list[HttpModule] | None = None  # they, while those in `objects` end the request
    retired: list[HttpModule] = []  # of modules that have no part in it any more
    verdict: RequestNotificationStatus = CONTINUE  # of an event within the running one
    _physical_path: str | None = None
    _container: ModuleContextContainer | None = None
    _named: NamedContextContainer | None = None
    variables: dict[str, str | None] | None = None  # those that modules have set
    _connection: HttpConnection | None = None
    error_status: int = 0
    is_over: bool = False
    is_on_loop: bool = False  # it has begun on the event loop's thread, for an application there
    resume_at: tuple[int, tuple[Run, ...], Step] | None = None
    completion: AsyncCompletion | RequestNotificationStatus | None = None
    child: ChildExchange | None = None  # of a child request; None for a root
    children: list[HttpContext] | None = None  # cloned and not released
    _held: HeldObjects | None = None
    original: HttpUser | None = None  # the user before a module replaced it
    changes: list[tuple[str, str | None]] | None = None  # of server variables, in order
    operations: int = 0  # reads and writes that are under way
    is_full_duplex: bool = False
    trace: TraceContext | None = None  # once somebody has asked for it

    @classmethod
    def of(
        cls,
        exchange: RequestExchange,
        application: HttpApplication,
        calls: CallLists,
        proof: int,
    ) -> HttpContext:
        """A new context for a request that was taken."""
        message = exchange.request
        response = HttpResponse()
        context = cls(
            exchange,
            message,
            application,
            calls,
            proof,
            message.method,
            message.path,
            message.query,
            message.fields,
            response,
        )
        response.attach(context)
        return context

    # ── owners and halves ───────────────────────────────────────────────────────────────────────

    @property
    def site(self) -> HttpSite:
        """The request's site."""
        return self.application.site

    @property
    def request(self) -> HttpRequest:
        """The request half."""
        request = self._request
        if request is None:
            request = self._request = HttpRequest(self)
        return request

    @property
    def has_no_body(self) -> bool:
        """Whether the client has sent none, and no module adds one or wants to hear of it."""
        return self._request is None and not (
            self.message.body or self.message.pull or self.calls.read_entity
        )

    @property
    def connection(self) -> HttpConnection:
        """The client's connection."""
        if self._connection is None:
            self._connection = HttpConnection(self.exchange, self.application.server.connections)
        return self._connection

    @property
    def head_number(self) -> int:
        """The number of the request's head if it has one (was.ipc.messages.Request), and no module
        has changed method, path, query or fields; else 0."""
        message = self.message
        if (
            self.fields is message.fields
            and self.path is message.path
            and self.query is message.query
            and self.method is message.method
        ):
            return message.head_number
        return 0

    @property
    def request_id(self) -> str:
        """The request's id as people see it."""
        return request_id_text(self.message.id)

    @property
    def response_headers_sent(self) -> bool:
        """Whether status and fields have gone."""
        return self.exchange.started

    @property
    def is_local(self) -> bool:
        """Whether the client is on this machine, and no proxy between."""
        return is_local_request(self.message, self.fields)

    # ── handler and paths ───────────────────────────────────────────────────────────────────────

    @property
    def script_map(self) -> ScriptMapInfo | None:
        """The chosen handler mapping; None before MAP_REQUEST_HANDLER."""
        return self.plan.script_map if self.plan is not None else None

    def set_script_map(self, script_map: ScriptMapInfo) -> None:
        """Choose the handler (IMapHandlerProvider)."""
        self.plan = self.calls.handlers.plan_for(script_map)

    def set_user(self, user: HttpUser | None) -> None:
        """Say who makes the request (IAuthenticationProvider)."""
        if self.user is not None and self.original is None:
            self.original = self.user
        self.user = user

    def set_error_status(self, hresult: int) -> None:
        """Record an error of the running notification (IHttpEventProvider)."""
        self.error_status = hresult

    def set_request_handled(self) -> None:
        """The handler has answered: no further module of the mapping is tried."""
        self.is_handled = True

    @property
    def physical_path(self) -> str:
        """The file that the request's path stands for."""
        path = self._physical_path
        if path is None:
            path = self._physical_path = self.map_path(self.path)
        return path

    def set_path(self, path: str) -> None:
        """Let the request be for another path of the application."""
        self.path = path
        self._physical_path = None

    def map_path(self, url: str) -> str:
        """The file that a URL path of this site's application stands for."""
        path = self.application.map_path(url)
        if self.calls.map_path:
            provider = MapPathProvider(url, path)
            raise_within(self, self.calls.map_path, provider)
            path = provider.physical_path
        return path

    def map_handler(
        self, site_id: int, site_name: str, url: str, verb: str, ignore_wildcard: bool = False
    ) -> ScriptMapInfo | None:
        """The handler mapping that a request for another URL would get; None if there is none.

        `site_name` may be empty. Raises HResultError: ERROR_NOT_FOUND where the URL belongs to no
        application of this worker process, or the name is not the site's.
        """
        path, _ = read_url(url)
        owner = self.application.locate(site_id, path)
        if owner is None or site_name.lower() not in ("", owner.site.site_name.lower()):
            raise HResultError(ERROR_NOT_FOUND, f"no application of this worker has {url}")
        return owner.paths.at(path).handlers.find(
            verb,
            path,
            lambda at: mode_of(owner.map_path(path[:at] if at >= 0 else path)),
            with_wildcards=not ignore_wildcard,
        )

    def resource_mode(self, end: int = -1) -> int:
        """st_mode of the physical path, or of the first `end` characters' of it; 0 = nothing."""
        return mode_of(self.physical_path if end < 0 else self.map_path(self.path[:end]))

    @property
    def is_out_of_reach(self) -> bool:
        """Whether this worker may not even see what is at the physical path."""
        try:
            os.stat(self.physical_path)
        except PermissionError:
            return True
        except (OSError, ValueError):
            pass
        return False

    @property
    def is_directory(self) -> bool:
        """Whether the physical path is a folder."""
        return stat.S_ISDIR(self.resource_mode())

    @property
    def script_name(self) -> str:
        """The part of the path that names the application, or the script in it."""
        return self.path[: self._split()]

    @property
    def path_info(self) -> str:
        """The part of the path after script_name."""
        return self.path[self._split() :]

    def _split(self) -> int:
        at = self.path_info_at
        return at if at >= 0 else self.application.prefix_length

    # ── variables and contexts ──────────────────────────────────────────────────────────────────

    def get_server_variable(self, name: str) -> str | None:
        """A server variable, None if there is none of that name."""
        if self.variables is not None and name in self.variables:
            return self.variables[name]
        return read_variable(self, name)

    def set_server_variable(self, name: str, value: str | None) -> None:
        """Set a server variable for all later readers; None removes it."""
        if self.variables is None or self.changes is None:
            self.variables, self.changes = self.variables or {}, self.changes or []
        self.variables[name] = value
        self.changes.append((name, value))

    @property
    def module_context_container(self) -> ModuleContextContainer:
        """What modules have attached to this request."""
        if self._container is None:
            self._container = ModuleContextContainer()
        return self._container

    @property
    def named_context_container(self) -> NamedContextContainer:
        """What was attached to this request by name."""
        if self._named is None:
            self._named = NamedContextContainer()
        return self._named

    # ── objects that outlive the request ────────────────────────────────────────────────────────

    @property
    def held(self) -> HeldObjects:
        """What the request has asked for of its URL, configuration and file."""
        if self._held is None:
            self._held = HeldObjects()
        return self._held

    @property
    def url_info(self) -> UrlInfo:
        """What is attached to the URL, and whether it is asked for often."""
        return self.held.url_info(self)

    @property
    def metadata(self) -> MetadataInfo:
        """Where the URL lies in the configuration."""
        return self.held.metadata(self)

    @property
    def file_info(self) -> FileInfo | None:
        """The file or folder behind the request; None if there is none that may be read."""
        return self.held.file_info(self)

    @property
    def trace_context(self) -> TraceContext:
        """Trace events of this request."""
        if self.trace is None:
            self.trace = TraceContext(self.application.server.tracing, self)
        return self.trace

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def win32_status(self) -> int:
        """The sc-win32-status of the request."""
        error = self.response.error
        if error is not None and error.hresult:
            return win32_of(error.hresult)
        if self.error_status:
            return win32_of(self.error_status)
        return ERROR_NETNAME_DELETED if self.exchange.gone else 0

    def dispose(self) -> list[HttpModule]:
        """End the request's stored contexts; hands out the module objects to be disposed of.

        The two halves let go of the context: a cycle for each request would be left to the
        garbage collector (measured: 8 µs a request).
        """
        if self.children is not None:
            self._release_children(self.children)
        self.response.detach()
        if self._request is not None:
            self._request.detach()
            self._request = None
        if self._container is not None:
            self._container.cleanup()
        if self._named is not None:
            self._named.cleanup()
        if self._held is not None:
            self._held.release()
        self.trace = None  # it points back here
        objects = self.kept or self.objects or []
        self.objects = self.kept = None
        return objects + self.retired if self.retired else objects

    def _release_children(self, children: list[HttpContext]) -> None:
        from was.worker.children.requests import abandon

        self.children = None
        for child in reversed(children):
            abandon(child)


def mode_of(path: str) -> int:
    """st_mode of a file, 0 if there is nothing."""
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError):
        return 0
