"""HttpContext: one request in the pipeline, and the interfaces that hang off it.

The context is also the provider of every deterministic event (IHttpEventProvider,
IAuthenticationProvider, IMapHandlerProvider): one object less for each call. Everything that most
requests never ask for is made when it is asked for.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Protocol

import msgspec

from was.ipc.messages import request_id_text
from was.worker.connection import HttpConnection, is_local_request
from was.worker.notifications import RequestNotificationStatus
from was.worker.request import HttpRequest
from was.worker.response import HttpResponse, win32_of
from was.worker.sending import ERROR_NETNAME_DELETED
from was.worker.stored_contexts import ModuleContextContainer, NamedContextContainer
from was.worker.variables import read_variable

if TYPE_CHECKING:
    from was.ipc.messages import Request
    from was.worker.application import HttpApplication, HttpSite
    from was.worker.call_lists import CallLists, HandlerPlan, Step
    from was.worker.mapping import ScriptMapInfo
    from was.worker.registration import HttpModule, ModuleRegistration
    from was.worker.user import HttpUser

__all__ = ["AsyncCompletion", "HttpContext", "RequestExchange"]


class RequestExchange(Protocol):
    """What the pipeline needs of an exchange; worker/exchange.py keeps the promise."""

    gone: bool
    started: bool

    @property
    def request(self) -> Request:
        """The request message."""
        ...

    @property
    def words(self) -> memoryview[int]:
        """The scoreboard."""
        ...

    @property
    def row(self) -> int:
        """Index of the request's first word."""
        ...

    def read(self, size: int) -> bytes:
        """Next body bytes; b"" at the end."""
        ...

    def start(self, status: int, reason: str, block: bytes, length: int, body: bytes) -> None:
        """Begin the response."""
        ...

    def write(self, data: bytes) -> None:
        """Send more of the body."""
        ...

    def send_file(self, fd: int, offset: int, length: int) -> None:
        """Send a region of a file as more of the body."""
        ...

    def finish(
        self,
        status: int,
        reason: str,
        block: bytes,
        length: int,
        body: bytes,
        log: str,
        substatus: int,
        win32: int,
        file: tuple[int, int, int] | None = None,
        close: bool = False,
    ) -> None:
        """The whole response. END."""
        ...

    def end(self, data: bytes, log: str, substatus: int, win32: int) -> None:
        """The last bytes of a started response. END."""
        ...

    def abort(self, log: str, win32: int) -> None:
        """Give the response up. END."""
        ...


class AsyncCompletion:
    """IHttpCompletionInfo: how an operation that was PENDING came out."""

    __slots__ = ("completion_bytes", "completion_status")

    def __init__(self, completion_bytes: int, completion_status: int = 0) -> None:
        self.completion_bytes = completion_bytes
        self.completion_status = completion_status


class HttpContext(msgspec.Struct, eq=False):
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
    path_info_at: int = -1  # where PATH_INFO begins in path; -1: as the handler defines it
    is_handled: bool = False
    is_cut: bool = False
    is_body_touched: bool = False
    log_text: str = ""
    disabled: dict[int, tuple[int, int]] | None = None
    _request: HttpRequest | None = None
    _modules: dict[int, HttpModule] | None = None
    _physical_path: str | None = None
    _container: ModuleContextContainer | None = None
    _named: NamedContextContainer | None = None
    variables: dict[str, str | None] | None = None  # those that modules have set
    _connection: HttpConnection | None = None
    error_status: int = 0
    current_module: int = 0
    resume_at: tuple[int, tuple[Step, ...], Step] | None = None
    completion: AsyncCompletion | RequestNotificationStatus | None = None

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
    def connection(self) -> HttpConnection:
        """The client's connection."""
        if self._connection is None:
            self._connection = HttpConnection(self.exchange)
        return self._connection

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
        self.plan = self.calls.plan_for(script_map)

    def set_user(self, user: HttpUser | None) -> None:
        """Say who makes the request (IAuthenticationProvider)."""
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
            for call in self.calls.map_path:
                if call(self, provider):
                    break
            path = provider.physical_path
        return path

    def resource_mode(self) -> int:
        """st_mode of the physical path, 0 if there is nothing."""
        try:
            return os.stat(self.physical_path).st_mode
        except (OSError, ValueError):
            return 0

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
        if self.variables is None:
            self.variables = {}
        self.variables[name] = value

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

    # ── modules ─────────────────────────────────────────────────────────────────────────────────

    def module_object(self, registration: ModuleRegistration) -> HttpModule:
        """The module's object for this request, made at its first notification."""
        modules = self._modules
        if modules is None:
            modules = self._modules = {}
        module = modules.get(registration.id)
        if module is None:
            if registration.factory is None:
                raise LookupError(f"{registration.name} makes no request modules")
            module = modules[registration.id] = registration.factory.get_http_module(self)
        return module

    def disable_notifications(self, mask: int, post_mask: int) -> None:
        """No more of these deterministic events for the running module, in this request.

        For modules with an object a request; others can look at the context and go on.
        """
        if self.disabled is None:
            self.disabled = {}
        old = self.disabled.get(self.current_module, (0, 0))
        self.disabled[self.current_module] = (old[0] | mask, old[1] | post_mask)

    def indicate_completion(self, status: RequestNotificationStatus) -> None:
        """Go on, on this thread, with `status` as the outcome of the pending notification."""
        self.calls.complete(self, status)

    def post_completion(self, completion_bytes: int, completion_status: int = 0) -> None:
        """Call the pending module's on_async_completion on a thread of the worker."""
        self.calls.complete(self, AsyncCompletion(completion_bytes, completion_status))

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def win32_status(self) -> int:
        """The sc-win32-status of the request."""
        error = self.response.error
        if error is not None and error.hresult:
            return win32_of(error.hresult)
        if self.error_status:
            return win32_of(self.error_status)
        return ERROR_NETNAME_DELETED if self.exchange.gone else 0

    def dispose(self) -> tuple[HttpModule, ...]:
        """End the request's stored contexts; hands out the module objects to be disposed of.

        The two halves let go of the context: a cycle for each request would be left to the
        garbage collector (measured: 8 µs a request).
        """
        self.response.detach()
        if self._request is not None:
            self._request.detach()
            self._request = None
        if self._container is not None:
            self._container.cleanup()
        if self._named is not None:
            self._named.cleanup()
        modules = self._modules
        if modules is None:
            return ()
        self._modules = None
        return tuple(modules.values())


class MapPathProvider:
    """IMapPathProvider."""

    __slots__ = ("physical_path", "url")

    def __init__(self, url: str, physical_path: str) -> None:
        self.url = url
        self.physical_path = physical_path

    def set_physical_path(self, path: str) -> None:
        """Let the URL stand for another file."""
        self.physical_path = path
