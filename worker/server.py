"""IHttpServer: the applications and modules of one worker, and the way in for each request.

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
from was.config.model import RecycleReason
from was.errors import ConfigErrors
from was.ipc.messages import request_id_text
from was.ipc.scoreboard import RequestState
from was.log import log, log_exception
from was.worker import providers
from was.worker.applications import Applications
from was.worker.call_lists import CallLists
from was.worker.context import HttpContext
from was.worker.notifications import (
    FINISH_REQUEST,
    GLOBAL_METHODS,
    GlobalNotification,
    RequestNotificationStatus,
)
from was.worker.pipeline import make_completer, run_request
from was.worker.preconditions import is_satisfied
from was.worker.registration import ModuleRegistration, global_method_of, load_global_module
from was.worker.warm_up import warm_up
from was.worker.web_configs import WebConfigs

if TYPE_CHECKING:
    from was.worker.application import HttpApplication
    from was.worker.request_exchange import RequestExchange

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
        post: Callable[[Callable[[], None]], None] | None = None,
        read_configuration: Callable[[], LoadedServer] | None = None,
    ) -> None:
        """`post` runs a callable on a thread of the worker (default: a thread of its own)."""
        self.pool = pool
        self.worker_id = worker_id
        self.threads = threads
        self.module_names: list[str] = []
        # Asks the manager for a successor of this worker: a RecycleReason, and words for people.
        self.ask_for_recycle: Callable[[str, str], None] = lambda _reason, _detail: None
        self.reload_on_change = False
        self.time_limit_s = 0.0
        self.managerless_limit_s = 0.0
        self._config_file = config_file
        self._read = read_configuration or (lambda: load_server(config_file, home=home))
        self._read_of = 0  # the time of the file's last change, as it was when it was read
        self._changing = threading.Lock()
        self._complete = make_completer(post or _run_on_new_thread)
        self._registrations: dict[str, ModuleRegistration] = {}
        self._global_calls: dict[GlobalNotification, tuple[Callable[[object], int], ...]] = {}
        self._pre_begin: tuple[Callable[[object], int], ...] = ()
        self._applications = Applications(pool, self._call_lists, self._raise_global, self._prepare)
        self._applications.program_changed = self._program_changed

    # ── start ───────────────────────────────────────────────────────────────────────────────────

    def load(self) -> None:
        """Load modules and applications. Raises ConfigErrors and ModuleError only.

        An application that fails answers 500 with its sub-status instead.
        """
        loaded = self._load()
        for number, entry in enumerate(loaded.config.global_modules, start=1):
            self.module_names.append(entry.name)
            if is_satisfied(entry.pre_condition, self.pool):
                self._registrations[entry.name] = load_global_module(entry, number, self)
        pool = loaded.config.app_pools.get(self.pool)
        self.reload_on_change = pool is not None and pool.python.reload_on_change
        self._has_foreign_modules = not all(
            entry.image.startswith(OUR_MODULES) for entry in loaded.config.global_modules
        )
        self._global_calls = self._sort_global_calls()
        self._pre_begin = self._global_calls.get(GL.PRE_BEGIN_REQUEST, ())
        self._build(loaded)

    def warm_up(self) -> None:
        """Before other requests: have the applications answer those that warm them up."""
        for application in self._applications:
            warm_up(application, self.handle)

    def _load(self) -> LoadedServer:
        with suppress(OSError):
            self._read_of = os.stat(self._config_file).st_mtime_ns
        return self._read()

    def _sort_global_calls(
        self,
    ) -> dict[GlobalNotification, tuple[Callable[[object], int], ...]]:
        calls: dict[GlobalNotification, tuple[Callable[[object], int], ...]] = {}
        for bit in GL:
            of_bit = [r for r in self._registrations.values() if r.global_mask & bit]
            of_bit.sort(key=lambda r: r.global_priorities.get(bit, 2))
            if of_bit:
                calls[bit] = tuple(
                    global_method_of(r.global_module, GLOBAL_METHODS[bit])
                    for r in of_bit
                    if r.global_module is not None
                )
        return calls

    def _build(self, loaded: LoadedServer) -> None:
        pool = loaded.config.app_pools.get(self.pool)
        self.time_limit_s = pool.requests.time_limit_s if pool is not None else 0.0
        self.managerless_limit_s = loaded.config.web_limits.managerless_limit_s
        self._applications.build(loaded)

    def _prepare(self, application: HttpApplication) -> None:
        application.report_unhealthy = self.report_unhealthy
        application.is_multithread = self.threads > 2
        application.time_limit_s = self.time_limit_s

    def _program_changed(self, detail: str) -> None:
        self.ask_for_recycle(RecycleReason.CONFIG_CHANGE.value, detail)

    def _call_lists(self, application: HttpApplication, errors: ConfigErrors | None) -> CallLists:
        refusal = None if errors is None else _refuse_configuration
        return CallLists(application, self._registrations, self._complete, refusal, errors)

    # ── requests ────────────────────────────────────────────────────────────────────────────────

    def handle(self, exchange: RequestExchange) -> None:
        """Run one request on this thread; never raises. PENDING: ends on another one, later."""
        request = exchange.request
        words, row = exchange.words, exchange.row
        proof = request.id << 11 | request.attempt << 3
        if self._has_foreign_modules:
            # Before the first notification that may run code not ours. With our own modules alone
            # that is the handler's call of the application: WsgiModule stores it there.
            words[row + 1] = 0
            words[row + 2] = time.monotonic_ns()
            words[row] = proof | _STARTED
        application = self._applications.find(request.site_id, request.application)
        if application is None:
            # The listener knows of a change before we do; the file was written before either.
            self._read_if_new()
            application = self._applications.find(request.site_id, request.application)
        if application is None:
            _refuse_unknown(exchange)
            return
        calls = application.paths.at(request.path)
        context = HttpContext.of(exchange, application, calls, proof)
        if self._pre_begin:
            provider = providers.PreBeginRequestProvider(context)
            self._raise_global(GL.PRE_BEGIN_REQUEST, provider)
        run_request(context)

    # ── global notifications ────────────────────────────────────────────────────────────────────

    def _raise_global(self, notification: GlobalNotification, provider: object) -> None:
        for call in self._global_calls.get(notification, ()):
            try:
                if call(provider):
                    break
            except Exception as error:  # noqa: BLE001 a module's fault is logged, others are called
                log_exception("module_failed", error, during=notification.name)

    def stop_listening(self, drain: bool) -> None:
        """No request will follow: GL_STOP_LISTENING."""
        self._raise_global(GL.STOP_LISTENING, providers.StopListeningProvider(drain))

    def stop(self) -> None:
        """All requests have ended: application stop, cache clean-up, terminate. Once."""
        self._applications.stop()
        self._raise_global(GL.CACHE_CLEANUP, None)
        for registration in self._registrations.values():
            for part in (registration.factory, registration.global_module):
                if part is None:
                    continue
                try:
                    part.terminate()
                except Exception as error:  # noqa: BLE001 each is told, whatever the others do
                    log_exception("module_failed", error, module=registration.name)
        self._applications.clean_up_sites()

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
        self._build(loaded)
        provider = providers.ConfigurationChangeProvider("MACHINE/WEBROOT/APPHOST")
        self._raise_global(GL.CONFIGURATION_CHANGE, provider)

    def look_at_web_configs(self, now: float) -> None:
        """The host's thread: what has changed in the folders of the applications comes in force."""
        web_configs = self._applications.web_configs
        folders = [] if web_configs is None else web_configs.changes(now)
        if folders:
            with self._changing:
                self._applications.read_folders(folders)

    def watch(self, web_configs: WebConfigs) -> None:
        """Before `load`: have web.config files watched."""
        self._applications.web_configs = web_configs

    # ── its end, asked for from within ──────────────────────────────────────────────────────────

    def report_unhealthy(self, reason: str = "") -> None:
        """GL_HEALTH_CHECK, then the worker is replaced; what runs here goes on to its end."""
        self._raise_global(GL.HEALTH_CHECK, None)
        self.ask_for_recycle(RecycleReason.ISAPI_UNHEALTHY.value, str(reason))

    def recycle_process(self, reason: str = "") -> None:
        """The worker is replaced."""
        self.ask_for_recycle(RecycleReason.ON_DEMAND.value, str(reason))

    @property
    def application_folders(self) -> list[str]:
        """The folders of this worker's applications."""
        return [application.physical_path for application in self._applications]

    # ── what modules may ask ────────────────────────────────────────────────────────────────────

    @property
    def app_pool_name(self) -> str:
        """The pool this worker serves."""
        return self.pool

    @property
    def app_pool_config_file(self) -> Path:
        """The file that the worker reads its configuration from."""
        return self._config_file

    def satisfies_precondition(self, text: str) -> bool:
        """Whether an entry with this preCondition is meant for this worker."""
        return is_satisfied(text, self.pool)


def _run_on_new_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


def _refuse_configuration(context: HttpContext, _: object) -> RequestNotificationStatus:
    errors = context.calls.errors
    first = errors.errors[0] if errors is not None and errors.errors else None
    hresult = first.hresult if first is not None else 0x8007000D
    context.response.set_status(500, "Internal Server Error", 19, hresult, errors)
    return FINISH_REQUEST


def _refuse_unknown(exchange: RequestExchange) -> None:
    """The listener's routes are newer than this worker's configuration."""
    request = exchange.request
    log("request_failed", error="unknown application", url=request.target)
    request_id = request_id_text(request.id)
    body = (
        "<HTML><HEAD><TITLE>Service Unavailable</TITLE></HEAD>"
        "<BODY><h2>Service Unavailable</h2><hr><p>HTTP Error 503. The service is unavailable.</p>"
        f"<p>Request ID: {request_id}</p></BODY></HTML>"
    ).encode()
    block = (
        "Content-Type: text/html; charset=us-ascii\r\n"
        f"X-Request-ID: {request_id}\r\nRetry-After: 1\r\n"
    ).encode()
    exchange.finish(
        503,
        "Service Unavailable",
        block,
        len(body),
        b"" if request.method == "HEAD" else body,
        "",
        0,
        0,
    )
