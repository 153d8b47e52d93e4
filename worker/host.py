"""WorkerHost: the worker from inside, starting → running → draining → stopped.

The main thread waits here, for the manager's commands, for what the request threads report, and for
signals: one queue, one thing at a time. That it answers pings proves that the interpreter advances.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from pathlib import Path

from was import faults
from was.config.model import RecycleReason
from was.ipc.channel import Context
from was.ipc.descriptors import ControlSocket
from was.ipc.listener_control import WorkerOverdue
from was.ipc.messages import PROTOCOL_VERSION, Hello, Request
from was.ipc.scoreboard import ScoreboardWriter
from was.ipc.worker_control import (
    ConfigurationChanged,
    DumpStacks,
    Ping,
    Pong,
    PrepareSuspend,
    QueryWorker,
    QueueEndpoint,
    RecycleRequested,
    ResumeWorker,
    SetEndpoints,
    StopWorker,
    SuspendPrepared,
    TakeOutput,
    WorkerAnswer,
    WorkerReady,
    WorkerStartFailed,
    WorkerWelcome,
)
from was.log import log, log_exception, text_of
from was.worker.applications.module_files import ModuleFiles
from was.worker.applications.running_programs import (
    ProgramMissingError,
    insist_on,
    what_runs,
)
from was.worker.applications.web_configs import WebConfigs
from was.worker.channel import Channel
from was.worker.exchange import Exchange
from was.worker.manager_link import ManagerLink
from was.worker.process.few_collections import few_collections
from was.worker.process.real_threads import insist_on_real_threads
from was.worker.process.signals import handle
from was.worker.queue_client import QueueClient
from was.worker.server import WorkerServer
from was.worker.threads.application_calls import become_child
from was.worker.threads.overdue import OverdueRequests
from was.worker.threads.request_threads import RequestThreads
from was.worker.threads.running_requests import describe

__all__ = ["WorkerHost"]

# How long the worker waits for the listener to acknowledge its Bye, seconds.
BYE_WAIT_S = 2.0
RECONNECT_S = 0.2


class State(Enum):
    """Where a worker is in its life."""

    STARTING = 1
    RUNNING = 2
    DRAINING = 3
    STOPPED = 4


class WorkerHost:
    """One worker process."""

    def __init__(
        self, control: ControlSocket, control_path: str, welcome: WorkerWelcome, scoreboard_fd: int
    ) -> None:
        self._welcome = welcome
        self._state = State.STARTING
        self._events: deque[Callable[[], None]] = deque()
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._is_bye_wanted = True
        self._scoreboard = ScoreboardWriter(scoreboard_fd)
        os.close(scoreboard_fd)
        self._server = WorkerServer(
            config_file=Path(welcome.config_file),
            home=Path(welcome.home),
            pool=welcome.pool,
            worker_id=welcome.worker_id,
            threads=welcome.threads,
            concurrency=welcome.concurrency,
            time_scale=welcome.time_scale,
        )
        self._server.is_replacement = welcome.is_replacement
        self._server.http.is_command_line_launch = welcome.is_command_line
        self._server.http.wake = lambda: self._later(lambda: None)
        self._link = ManagerLink(
            control,
            control_path,
            welcome.worker_id,
            self._server.http.suspension.resume,  # a manager's end wakes whom it had stopped
        )
        os.register_at_fork(after_in_child=self._forget_in_child)
        self._overdue = OverdueRequests(self._tell_overdue)
        self._to_ask: RecycleRequested | WorkerOverdue | None = None
        self._files: ModuleFiles | None = None
        self._told: tuple[list[int], dict[int, str]] = ([], {})  # what the manager knows of them
        self._web_configs = WebConfigs()
        self._server.applications.web_configs = self._web_configs
        self._client = QueueClient(
            context=Context(),
            scoreboard=self._scoreboard,
            slots=welcome.slots,
            on_stop_listening=lambda drain: self._later(lambda: self._stop_listening(drain)),
            on_drained=lambda: self._later(self._drained),
            on_fault=lambda detail: self._later(lambda: self._fault(detail)),
            on_overdue=lambda exchange: self._later(lambda: self._overdue.add(exchange)),
            on_left_alone=lambda exchange: self._later(lambda: self._left_alone(exchange)),
        )
        self._threads = RequestThreads(
            self._client, self._server.handle, welcome.threads, name="request"
        )
        self._client.threads = self._threads
        self._client.serve_contexts_of_connections(self._server.http.connections)
        self._server.http.running_requests = lambda: describe(
            self._client.exchanges, self._server.module_names
        )

    def _forget_in_child(self) -> None:
        # A child of the application must not speak for the worker.
        become_child()
        self._link.forget()
        fd, self._event_fd = self._event_fd, -1
        if fd >= 0:  # else this child's parent was one already, and has other descriptors
            os.close(fd)

    # ── starting ────────────────────────────────────────────────────────────────────────────────

    def run(self) -> int:
        """Load, serve until told to stop; the exit status."""
        # ZeroMQ's thread finds the listener while we load; it has no request for us until the
        # manager says so, which waits for our WorkerReady.
        for endpoint in self._welcome.endpoints:
            self._connect(endpoint)
        self._client.flush()
        try:
            with few_collections():
                self._server.load()
                insist_on_real_threads()
                insist_on(self._welcome.programs, self._server.applications)
                self._server.warm_up()
        except ProgramMissingError as error:
            self._link.send(WorkerStartFailed(self._welcome.worker_id, str(error), False))
            return 71
        except Exception as error:  # noqa: BLE001 whatever it is, the manager is told in one line
            log_exception("worker_start_failed", error, pool=self._welcome.pool)
            self._link.send(WorkerStartFailed(self._welcome.worker_id, text_of(error)))
            return 71
        # What has been loaded stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        self._scoreboard.write_names(self._server.module_names)
        handle(signal.SIGTERM, lambda _number, _frame: self._later(self._asked_to_go))
        self._server.limits.invite(self._threads.welcome)
        self._server.http.watch = self._threads.watch
        self._threads.start()
        self._server.http.ask_for_recycle = self._ask_for_recycle
        if self._server.reload_on_change:
            self._files = ModuleFiles([a.physical_path for a in self._server.applications])
        self._link.hold_life_line()
        self._state = State.RUNNING
        faults.reach("worker.loaded")
        self._say_ready()
        self._serve()
        return 0

    def _say_ready(self) -> None:
        self._told = what_runs(self._server.applications)
        self._link.send(WorkerReady(self._welcome.worker_id, *self._told))

    def _say_what_runs(self) -> None:
        """Also what a request has started since: a successor has to run it too."""
        if what_runs(self._server.applications) != self._told:
            self._say_ready()

    def _connect(self, endpoint: QueueEndpoint) -> None:
        welcome = self._welcome
        hello = Hello(PROTOCOL_VERSION, welcome.worker_id, os.getpid(), welcome.slots)
        channel = self._client.connect(endpoint, welcome.identity, hello)
        self._threads.poller.add(channel.dealer)

    # ── the one loop ────────────────────────────────────────────────────────────────────────────

    def _later(self, event: Callable[[], None]) -> None:
        """From any thread, or a signal handler: have the main thread do it."""
        self._events.append(event)
        with suppress(BlockingIOError):
            os.eventfd_write(self._event_fd, 1)

    def _serve(self) -> None:
        while self._state is not State.STOPPED:
            look_in_s = self._overdue.look()
            self._wait(look_in_s or (1.0 if self._link.is_there else RECONNECT_S))
            self._server.look(time.monotonic())
            while self._events:
                self._events.popleft()()
            if self._state is State.DRAINING:
                self._overdue.leave(self._client.exchanges)
                # Also when a request came between the last END and the notice of it.
                self._drained()
            elif self._state is State.RUNNING:
                self._look_at_web_configs()
                self._say_what_runs()
            self._server.http.tell_file_changes()
            if not self._link.is_there:
                self._look_for_manager()
            elif self._files is not None and self._state is State.RUNNING:
                self._look_at_files(self._files)

    def _wait(self, timeout_s: float) -> None:
        poll = select.poll()
        poll.register(self._event_fd, select.POLLIN)
        if self._link.is_there:
            poll.register(self._link.fd, select.POLLIN)
        files_fd = self._web_configs.fd
        if files_fd >= 0 and self._state is State.RUNNING:
            poll.register(files_fd, select.POLLIN)
        monitors_fd = self._server.http.monitors.fd
        if monitors_fd >= 0:
            poll.register(monitors_fd, select.POLLIN)
        for fd, _ in poll.poll(timeout_s * 1000):
            if fd == self._event_fd:
                with suppress(BlockingIOError):
                    os.eventfd_read(fd)
            elif fd not in (files_fd, monitors_fd):
                self._read_control()

    def _read_control(self) -> None:
        command = self._link.receive()
        match command:
            case Ping():
                self._server.http.health.check()
                self._link.send(Pong(command.nonce))
            case PrepareSuspend():
                self._server.http.suspension.prepare()
                self._link.send(SuspendPrepared(self._welcome.worker_id, command.nonce))
            case ResumeWorker():
                self._server.http.suspension.resume()
            case QueryWorker():
                data, hresult = self._server.http.query(command.function, command.parameters)
                worker_id = self._welcome.worker_id
                self._link.send(WorkerAnswer(worker_id, command.query_id, hresult, data))
            case SetEndpoints():
                self._set_endpoints(command.endpoints)
            case ConfigurationChanged():
                self._reload()
            case StopWorker():
                # There is no listener to hear a Bye.
                self._is_bye_wanted = False
                self._stop_listening(command.drain)
            case DumpStacks():
                faulthandler.dump_traceback(2, all_threads=True)
            case WorkerWelcome() | TakeOutput() | None:
                pass  # a new manager greets a worker that it took over: nothing is new to us

    # ── without a manager ───────────────────────────────────────────────────────────────────────

    def _look_for_manager(self) -> None:
        """Reconnect to the manager that comes next; without one, serve on a while, then drain.

        The listener ends at the same limit, and first: what waits there needs workers.
        """
        if not self._link.reconnect():
            limit_s = self._server.managerless_limit_s / self._welcome.time_scale
            is_over = 0 < limit_s < time.monotonic() - self._link.lost_at
            if is_over and self._state is State.RUNNING and not self._has_listener():
                self._is_bye_wanted = False  # there is nobody to hear it
                self._stop_listening(True)
        elif self._state is State.RUNNING:
            self._say_ready()
            if self._to_ask is not None:
                self._link.send(self._to_ask)

    def _has_listener(self) -> bool:
        return any(channel.is_there() for channel in self._client.channels)

    # ── changes ─────────────────────────────────────────────────────────────────────────────────

    def _reload(self) -> None:
        try:
            self._server.configuration_changed()
        except Exception as error:  # noqa: BLE001 the last good configuration stays in force
            log_exception("reload_failed", error, pool=self._welcome.pool)

    def _look_at_web_configs(self) -> None:
        try:
            self._server.look_at_web_configs(time.monotonic())
        except Exception as error:  # noqa: BLE001 what was in force stays so
            log_exception("reload_failed", error, pool=self._welcome.pool)

    def _look_at_files(self, files: ModuleFiles) -> None:
        """Changed files of the applications: the code that runs is no longer what is there."""
        changed = files.changed(time.monotonic())
        if changed:
            self._ask_for_recycle(RecycleReason.CONFIG_CHANGE.value, f"{changed} has changed")

    def _ask_for_recycle(self, reason: str, detail: str) -> None:
        """From any thread: ask the manager for a successor."""
        request = RecycleRequested(self._welcome.worker_id, reason, detail)
        self._later(lambda: self._ask(request))

    def _ask(self, request: RecycleRequested | WorkerOverdue) -> None:
        """Of a manager that is not there the next one is asked."""
        self._to_ask = self._to_ask or request
        self._link.send(request)

    def _tell_overdue(self, request: Request, is_responding: bool) -> None:
        self._ask(
            WorkerOverdue(
                self._welcome.worker_id,
                request.id,
                request.attempt,
                request.method,
                request.target[:2048],
                request.remote_addr,
                is_responding,
            )
        )

    def _left_alone(self, exchange: Exchange) -> None:
        limit_s = self._server.time_limit_s / self._welcome.time_scale
        self._overdue.left_alone(exchange, limit_s)

    def _set_endpoints(self, endpoints: list[QueueEndpoint]) -> None:
        """Connect to listeners that are new, cancel what dead ones had."""

        def change() -> None:
            wanted = {endpoint.epoch: endpoint for endpoint in endpoints}
            for channel in list(self._client.channels):
                if wanted.pop(channel.epoch, None) is None:
                    self._close_channel(channel)
            for endpoint in wanted.values():
                self._connect(endpoint)

        self._threads.call(change)

    def _close_channel(self, channel: Channel) -> None:
        self._threads.poller.remove(channel.dealer)
        self._client.disconnect(channel)

    # ── stopping ────────────────────────────────────────────────────────────────────────────────

    def _asked_to_go(self) -> None:
        """SIGTERM: drain and be replaced. The manager arranges both; without one, just drain."""
        if self._link.is_there:
            self._link.send(RecycleRequested(self._welcome.worker_id, "signal"))
        else:
            self._is_bye_wanted = self._has_listener()
            self._stop_listening(True)

    def _fault(self, detail: str) -> None:
        log("worker_faulty", detail=f"from the listener: {detail}")

    def _stop_listening(self, drain: bool) -> None:
        """GL_STOP_LISTENING, then wait for the requests that run."""
        if self._state is not State.RUNNING:
            return
        self._state = State.DRAINING
        self._server.stop_listening(drain)
        self._client.start_draining()

    def _drained(self) -> None:
        """All requests ended, or the listener acknowledged the Bye; called for either."""
        if self._client.active or self._state is not State.DRAINING:
            return
        self._server.stop()
        if self._is_bye_wanted:
            self._say_bye()
        self._threads.stop()
        if self._threads.join_leader(1.0):
            self._client.give_back_rest()
        for channel in self._client.channels:
            channel.close(linger=True)
        self._state = State.STOPPED

    def _say_bye(self) -> None:
        """Bye on every channel, and wait until it is acknowledged: all before it has arrived."""
        client = self._client
        client.say_bye()
        deadline = time.monotonic() + BYE_WAIT_S
        while (
            not all(channel.is_acknowledged for channel in client.channels)
            and time.monotonic() < deadline
        ):
            self._wait(0.1)
