"""WorkerServer: the applications and modules of one worker, and the way in for each request.

`load` is called once, `handle` on any request thread, the rest on the host's. What `handle` reads
is replaced, never changed, so it needs no lock but where it finds a change itself.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from was.config.files import LoadedServer, load_server
from was.config.model import PoolRequests, RecycleReason
from was.errors import ConfigErrors
from was.ipc.scoreboard import RequestState
from was.log import log, log_exception
from was.worker.applications.pool_applications import Applications
from was.worker.applications.preload import Preload
from was.worker.applications.warm_up import interim_page, warm_up
from was.worker.calls.call_lists import CallLists
from was.worker.calls.preconditions import is_satisfied
from was.worker.calls.registration import (
    GlobalModule,
    HttpModuleFactory,
    ModuleRegistration,
    load_global_module,
)
from was.worker.calls.resolved_modules import ResolveModulesProvider
from was.worker.global_modules import providers
from was.worker.global_modules.http_server import HttpServer
from was.worker.interfaces.context import HttpContext
from was.worker.interfaces.hresult import E_ACCESSDENIED
from was.worker.interfaces.providers import EventProvider
from was.worker.moving import NotOurPoolError, move
from was.worker.notifications import GlobalNotification
from was.worker.pipeline import end_request, make_completer, run_request
from was.worker.threads.spare_threads import run_on_spare_thread
from was.worker.tracing.trace import traced_urls
from was.worker.tracing.traced_calls import TracedCalls, trace_request

if TYPE_CHECKING:
    from was.config.model import GlobalModule as ModuleEntry
    from was.worker.applications.application import HttpApplication
    from was.worker.request_exchange import RequestExchange, WholeRequest

__all__ = ["WorkerServer"]

GL = GlobalNotification

_STARTED = int(RequestState.STARTED)
OUR_MODULES = "was.worker.modules."


class WorkerServer:
    """Everything of a worker that runs requests; knows nothing of queues and threads."""

    def __init__(
        self,
        *,
        config_file: Path,
        home: Path,
        pool: str,
        worker_id: int,
        threads: int,
        concurrency: int = 256,
        time_scale: float = 1.0,
        read_configuration: Callable[[], LoadedServer] | None = None,
    ) -> None:
        self.pool = pool
        self.worker_id = worker_id
        self._time_scale = time_scale
        self.module_names: list[str] = []
        self.reload_on_change = False
        self._requests = PoolRequests()
        self.managerless_limit_s = 0.0
        self._config_file = config_file
        self.http = HttpServer(pool, config_file, run_on_spare_thread)
        self.limits = self.http.limits
        self.limits.concurrency = concurrency
        self.limits.run_on_loop = self._run_on_loop
        self.http.is_multithread = threads > 2
        self.http.applications = self.applications = Applications(
            self.http, self._call_lists, self._resolve
        )
        self._events = self.http.events
        self._read = read_configuration or (lambda: load_server(config_file, home=home))
        self._read_of = 0  # the time of the file's last change, as it was when it was read
        self._changing = threading.Lock()
        self._complete = make_completer(run_on_spare_thread)
        self._global_modules: tuple[ModuleEntry, ...] = ()  # those that this process has loaded
        self._registrations: dict[str, ModuleRegistration] = {}
        self._has_pre_begin = self._has_thread_cleanup = False
        self._added_factories: list[HttpModuleFactory] = []
        self.is_replacement = False

    # ── start ───────────────────────────────────────────────────────────────────────────────────

    def load(self) -> None:
        """Load modules and applications. Raises ConfigErrors only.

        A module or an application that fails has its applications answer 500 instead.
        """
        loaded = self._load()
        self._global_modules = loaded.config.global_modules
        for number, entry in enumerate(self._global_modules, start=1):
            self.module_names.append(entry.name)
            if is_satisfied(entry.pre_condition, self.pool):
                registration = load_global_module(entry, number, self.http)
                registration.is_ours = entry.image.startswith(OUR_MODULES)
                self._registrations[entry.name] = registration
        pool = loaded.config.app_pools.get(self.pool)
        self.reload_on_change = pool is not None and pool.python.reload_on_change
        self.limits.has_foreign_modules = not all(
            entry.image.startswith(OUR_MODULES) for entry in self._global_modules
        )
        self._events.subscribe(self._registrations.values())
        self._has_thread_cleanup = self._events.is_wanted(GL.THREAD_CLEANUP)
        self._build(loaded)

    def warm_up(self) -> None:
        """Before other requests: have the applications answer those that warm them up.

        Those that have a page to show meanwhile do it beside other requests, unless this worker
        takes another one's place.
        """
        applications = list(self.applications)
        aside = [a for a in applications if interim_page(a.settings) and not self.is_replacement]
        for application in applications:
            application.begin_application_warmup()
            if application in aside:
                work = threading.Thread(target=self._warm_up, args=[application], daemon=True)
                work.start()
            else:
                self._warm_up(application)
        for application in applications:
            if application not in aside:
                application.warming.wait()

    def _warm_up(self, application: HttpApplication) -> None:
        try:
            if application.config.preload_enabled:
                self._preload(application)
            warm_up(application, self.handle)
        finally:
            application.end_application_warmup()

    def _preload(self, application: HttpApplication) -> None:
        """GL_APPLICATION_PRELOAD: modules make requests of their own."""
        if self._events.is_wanted(GL.APPLICATION_PRELOAD):
            preload = Preload(self._context_of, self._run)
            provider = providers.ApplicationPreloadProvider(
                application, preload.create, preload.execute, self.is_replacement
            )
            self._events.raise_event(GL.APPLICATION_PRELOAD, provider)
            preload.close()

    @property
    def time_limit_s(self) -> float:
        """requests/@timeLimit of the pool; 0 = none."""
        return self._requests.time_limit_s

    def _load(self) -> LoadedServer:
        with suppress(OSError):
            self._read_of = os.stat(self._config_file).st_mtime_ns
        return self._read()

    def _build(self, loaded: LoadedServer) -> None:
        pool = loaded.config.app_pools.get(self.pool)
        self._requests = pool.requests if pool is not None else PoolRequests()
        self.limits.time_limit_s = self.time_limit_s / self._time_scale
        if pool is not None:
            limit_s = pool.process_model.shutdown_time_limit_s
            self.limits.shutdown_time_limit_s = limit_s / self._time_scale
        self.managerless_limit_s = loaded.config.web_limits.managerless_limit_s
        self.applications.build(loaded)
        self.limits.may_lead = not self.limits.has_foreign_modules and not any(
            "WsgiModule" in handler.modules
            for application in self.applications
            for handler in application.settings.handlers.entries
        )
        self._has_pre_begin = self._events.is_awaited(GL.PRE_BEGIN_REQUEST)

    def _resolve(self, application: HttpApplication) -> None:
        """GL_APPLICATION_RESOLVE_MODULES: modules add others to the application's list."""
        if not self._events.is_wanted(GL.APPLICATION_RESOLVE_MODULES):
            return
        ids = frozenset(registration.id for registration in self._registrations.values())
        provider = ResolveModulesProvider(application, ids, self._new_module_id)
        self._events.raise_event(GL.APPLICATION_RESOLVE_MODULES, provider)
        application.resolved_modules = provider.modules
        for registration in provider.modules.values():
            factory = registration.factory
            if factory is not None and factory not in self._added_factories:
                self._added_factories.append(factory)

    def _new_module_id(self, name: str) -> int:
        self.module_names.append(name)
        return len(self.module_names)

    def _call_lists(self, application: HttpApplication, errors: ConfigErrors | None) -> CallLists:
        traces = None
        if self._events.is_awaited(GL.TRACE_EVENT) or traced_urls(application.settings):
            traces = TracedCalls(self.http.tracing)
        return CallLists(application, self._registrations, self._complete, errors, traces)

    # ── requests ────────────────────────────────────────────────────────────────────────────────

    def handle(self, exchange: WholeRequest) -> None:
        """Run one request on this thread; never raises. PENDING: ends on another one, later."""
        request = exchange.request
        words, row = exchange.words, exchange.row
        proof = request.id << 11 | request.attempt << 3
        if request.ask_first and self._gives_back(exchange):
            return
        application = self.applications.find(request.site_id, request.application)
        if application is None:
            # The listener knows of a change before we do; the file was written before either.
            self._read_if_new()
            application = self.applications.find(request.site_id, request.application)
        if application is None:
            # Another pool's by now: it was sent to us before the listener knew.
            exchange.give_back()
            return
        if self.limits.has_foreign_modules:
            # Before the first notification that may run code not ours. With our own modules alone
            # that is the handler's call of the application: WsgiModule stores it there.
            words[row + 1] = 0
            words[row + 2] = time.monotonic_ns()
            words[row] = proof | _STARTED
        calls = application.paths.at(request.path)
        context = HttpContext.of(exchange, application, calls, proof)
        self._run(context)

    def _run_on_loop(self, exchange: RequestExchange) -> bool:
        """The same on the event loop's thread, if the request will go there. Modules are ours."""
        request = exchange.request
        application = self.applications.find(request.site_id, request.application)
        # Global rules may send it to somebody who is not the loop's.
        if application is None or request.ask_first or self._has_pre_begin:
            return False
        calls = application.paths.at(request.path)
        if not (calls.is_always_for_loop or calls.is_for_loop(request.method, request.path)):
            return False
        proof = request.id << 11 | request.attempt << 3
        context = HttpContext.of(exchange, application, calls, proof)
        context.is_on_loop = True
        self._run(context)
        return True

    def _gives_back(self, exchange: WholeRequest) -> bool:
        """Whether a request comes again with its body; one that is too long is refused now."""
        request = exchange.request
        application = self.applications.find(request.site_id, request.application)
        if (
            application is not None
            and request.body_length > application.paths.at(request.path).most_content
        ):
            return False
        exchange.give_back()
        return True

    def _run(self, context: HttpContext) -> None:
        """The pipeline, and what global modules hear around it."""
        application = context.application
        if self._has_pre_begin and not self._begin(context):
            end_request(context)
        else:
            run_request(context)
        if self._has_thread_cleanup:
            # This thread has no more to do for the application, for now.
            cleanup = providers.ThreadCleanupProvider(application)
            self._events.raise_event(GL.THREAD_CLEANUP, cleanup)

    def _begin(self, context: HttpContext) -> bool:
        """GL_PRE_BEGIN_REQUEST; False if the request is answered by it.

        For another URL, application and settings are those of that URL.
        """
        path, calls = context.path, context.calls
        tracing = self.http.tracing
        provider = providers.PreBeginRequestProvider(context)
        if tracing.is_on(context):
            trace_request(tracing, context, "PRE_BEGIN_REQUEST_START")
        context.may_move = True
        self._events.raise_event(GL.PRE_BEGIN_REQUEST, provider)
        context.may_move = False
        if tracing.is_on(context):
            trace_request(tracing, context, "PRE_BEGIN_REQUEST_END")
        if context.path != path and context.calls is calls:
            try:
                move(context, context.path, context.query)
            except NotOurPoolError:
                context.response.set_status(403, "Forbidden", 18, E_ACCESSDENIED)
                return False
        return not provider.is_finished

    def _context_of(self, exchange: RequestExchange, application: HttpApplication) -> HttpContext:
        """For a request that nobody has sent."""
        calls = application.paths.at(exchange.request.path)
        return HttpContext.of(exchange, application, calls, 0)

    # ── global notifications ────────────────────────────────────────────────────────────────────

    def stop_listening(self, drain: bool) -> None:
        """No request will follow: GL_STOP_LISTENING."""
        self._events.raise_event(GL.STOP_LISTENING, providers.StopListeningProvider(drain))

    def stop(self) -> None:
        """All requests have ended: application stop, cache clean-up, terminate. Once."""
        self.applications.stop()
        self._events.raise_event(GL.CACHE_CLEANUP, EventProvider())
        self.http.close()
        for factory in self._added_factories:
            _terminate(factory)
        for registration in self._registrations.values():
            for part in (registration.factory, registration.global_module):
                if part is not None:
                    _terminate(part)
        self.applications.clean_up_sites()

    def _read_if_new(self) -> None:
        """Any thread: have what the file says in force, unless it is so already."""
        with self._changing:
            try:
                if os.stat(self._config_file).st_mtime_ns == self._read_of:
                    return
            except OSError:
                return
            self._read_again()

    def configuration_changed(self) -> None:
        """Read the configuration again; a broken applicationHost.config keeps the last good one."""
        with self._changing:
            self._read_again()

    def _read_again(self) -> None:
        try:
            loaded = self._load()
        except ConfigErrors as errors:
            log("config_error", errors=str(errors))
            return
        if self.applications.are_shut_out():
            return  # the next process reads all of it; until it has, all stays as it is
        if loaded.config.global_modules != self._global_modules:
            self.http.ask_for_recycle(
                RecycleReason.CONFIG_CHANGE.value, "globalModules is another list"
            )
            pool = loaded.config.app_pools.get(self.pool)
            if pool is not None and not pool.recycling.disallow_rotation_on_config_change:
                # Modules are loaded when a process starts. Until the next one has, all stays as it
                # is: applications that list a new module would answer 500.21.
                return
        self._build(loaded)
        provider = providers.ConfigurationChangeProvider("MACHINE/WEBROOT/APPHOST")
        self._events.raise_event(GL.CONFIGURATION_CHANGE, provider)

    def look_at_web_configs(self, now: float) -> None:
        """The host's thread: what has changed in the folders of the applications comes in force."""
        web_configs = self.applications.web_configs
        folders = [] if web_configs is None else web_configs.changes(now)
        if folders:
            with self._changing:
                self.applications.read_folders(folders)

    def look(self, now: float) -> None:
        """The host's thread, once a second or so: what modules want to be looked at."""
        for look in self.limits.look_regularly:
            look(now)


def _terminate(part: HttpModuleFactory | GlobalModule) -> None:
    try:
        part.terminate()
    except BaseException as error:  # noqa: BLE001 each is told, whatever the others do
        log_exception("module_failed", error, module=type(part).__name__, during="terminate")
