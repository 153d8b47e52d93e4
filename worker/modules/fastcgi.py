"""FastCgiModule: requests to processes that stay, as IIS's section `fastCgi` has it.

scriptProcessor names an entry of the section, `fullPath|arguments`, or an address where somebody
else's process listens (`127.0.0.1:9000`, `unix:/run/php/php-fpm.sock`).
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from was.log import log_exception
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.children.answers import ChildAnswers
from was.worker.exchange import Exchange
from was.worker.fastcgi.attempts import run_on_processes
from was.worker.fastcgi.outcomes import complained, conclude, outcome_of
from was.worker.fastcgi.parameters import Parameters
from was.worker.fastcgi.process_pool import Verdict
from was.worker.fastcgi.processes import Processes
from was.worker.fastcgi.quick_run import QuickRun
from was.worker.fastcgi.run import MOST_REPEATED, FastCgiRun, StdErrError
from was.worker.fastcgi.settings import FastCgiApplication, find_application
from was.worker.fastcgi.waiting import no_process
from was.worker.gateway.answer import Answer
from was.worker.handler_errors import answer_failed
from was.worker.interfaces.hresult import E_INVALID_INDEX
from was.worker.notifications import (
    FINISH_REQUEST,
    PENDING,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

MODULE = "FastCgiModule"

# By their settings; those that no handler names any more end by themselves.
_all: weakref.WeakValueDictionary[FastCgiApplication, Processes] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def _processes_of(settings: FastCgiApplication) -> Processes:
    with _lock:
        found = _all.get(settings)
        if found is None:
            found = _all[settings] = Processes(settings)
        return found


class FastCgiHandler(ChildAnswers):
    """What the mappings of one application name."""

    def __init__(self, application: HttpApplication) -> None:
        self._settings = application.settings
        self._first_byte_limit_s = application.own_time_limit_s
        self._parameters = Parameters(application)
        self._processes: dict[str, Processes | None] = {}
        for handler in application.settings.handlers.entries:
            if "FastCgiModule" in handler.modules:
                self._find(handler.script_processor)

    def _find(self, processor: str) -> Processes | None:
        if processor not in self._processes:
            found = find_application(self._settings, processor)
            self._processes[processor] = None if found is None else _processes_of(found)
        return self._processes[processor]

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Have a process answer, another one where the first has closed its connection before."""
        processor = context.plan.script_map.script_processor if context.plan is not None else ""
        processes = self._find(processor)
        if processes is None:
            text = f"The fastCgi section has no application {processor}"
            return refuse(context, 500, 0, E_INVALID_INDEX, text)
        return outcome_of(context, processes, lambda: self._run(context, processes))

    def _run(self, context: HttpContext, processes: Processes) -> RequestNotificationStatus:
        first_byte_limit_s = self._first_byte_limit_s or processes.settings.request_timeout
        variables = self._parameters.encode(context)
        watch = context.application.server.watch
        message, child = context.message, context.child
        exchange = context.exchange if child is None else context.root_context.exchange
        # Whether the process is told by CONTENT_LENGTH how much there is to read.
        is_length_told = (
            message.body_length >= 0
            and not context.is_body_touched
            and not context.calls.read_entity
        )
        if (
            watch is None
            or not is_length_told
            or processes.capacity > 1
            or message.pull
            or len(message.body) > MOST_REPEATED
            or not isinstance(exchange, Exchange)
            or (child is not None and child.is_waited_for)
        ):
            run = FastCgiRun(context, Answer(context), processes.settings, first_byte_limit_s)
            run.is_length_told = is_length_told
            return _answer(context, processes, run, variables)
        body = b"" if context.has_no_body else _read_all(context)
        QuickRun(context, processes, variables, body, first_byte_limit_s, watch, _go_on).start()
        exchange.park()
        return PENDING


def _read_all(context: HttpContext) -> bytes:
    """A body that is here; modules may change it."""
    pieces = list(iter(lambda: context.request.read_entity_body(MOST_REPEATED), b""))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _go_on(quick: QuickRun) -> None:
    """On a request thread: the end of a request that had none, or what takes one."""
    context = quick.context
    try:
        status = outcome_of(context, quick.processes, lambda: _finish(quick))
    except BaseException as error:  # noqa: BLE001 whatever it is, the request ends
        log_exception("module_failed", error, module=MODULE, request=context.request_id)
        status = FINISH_REQUEST
        answer_failed(context, error, MODULE)
    context.indicate_completion(status)


def _finish(quick: QuickRun) -> RequestNotificationStatus:
    context, processes = quick.context, quick.processes
    answer = Answer(context)
    if quick.output is not None:
        if quick.output:
            answer.feed(quick.output)
        return conclude(context, answer, quick.protocol_status)
    if quick.verdict is not None:
        raise no_process(quick.verdict)
    if quick.held is None and quick.instance is None:
        raise no_process(Verdict.WAIT)  # the client has gone
    quick.watch.give_up_lead()
    run = FastCgiRun(context, answer, processes.settings, quick.first_byte_limit_s)
    run.came_from(quick.body, quick.sent_at)
    return _answer(context, processes, run, quick.variables, quick)


def _answer(
    context: HttpContext,
    processes: Processes,
    run: FastCgiRun,
    variables: bytes,
    quick: QuickRun | None = None,
) -> RequestNotificationStatus:
    """The request on this thread; or the rest of it, from where `quick` has left it."""
    held = quick.held if quick is not None else None
    instance = quick.instance if quick is not None else None
    try:
        end = run_on_processes(processes, run, variables, held, instance)
    except StdErrError:
        return complained(context, run, processes.settings.stderr_mode)
    if run.has_failed:
        return complained(context, run, processes.settings.stderr_mode)
    return conclude(context, run.answer, end.protocol_status)


class _Factory(ApplicationModuleFactory):
    """Ends the processes with the worker, as signalBeforeTerminateSeconds wants it."""

    def terminate(self) -> None:
        for processes in list(_all.values()):
            processes.close()


def _make(application: HttpApplication) -> HttpModule:
    # Where the configuration is not in force nothing is asked of a handler.
    return FastCgiHandler(application) if application.settings.sections else HttpModule()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to EXECUTE_REQUEST_HANDLER."""
    registration_info.set_request_notifications(
        _Factory(_make), RequestNotification.EXECUTE_REQUEST_HANDLER, 0
    )
