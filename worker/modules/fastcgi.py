"""FastCgiModule: requests to processes that stay, as IIS's section `fastCgi` has it.

scriptProcessor names an entry of the section, `fullPath|arguments`, or an address where somebody
else's process listens (`127.0.0.1:9000`, `unix:/run/php/php-fpm.sock`).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.log import log, log_exception
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.children.answers import ChildAnswers
from was.worker.exchange import ClientGoneError, Exchange
from was.worker.fastcgi.held import Held
from was.worker.fastcgi.parameters import Parameters
from was.worker.fastcgi.process_pool import Verdict
from was.worker.fastcgi.processes import Processes
from was.worker.fastcgi.quick_run import QuickRun
from was.worker.fastcgi.records import EndRequest, ProtocolStatus, RecordError
from was.worker.fastcgi.run import (
    MOST_REPEATED,
    ConnectionLostError,
    FastCgiRun,
    FastCgiTimeoutError,
    StdErrError,
)
from was.worker.fastcgi.settings import FastCgiApplication, StdErrMode, find_application
from was.worker.fastcgi.waiting import NoProcessError, no_process
from was.worker.gateway.answer import Answer
from was.worker.gateway.failing import fail, log_failed
from was.worker.gateway.head import HeadError
from was.worker.gateway.redirect import answer_by_redirect
from was.worker.interfaces.hresult import E_CANNOT_CONNECT, E_FAIL, E_INVALID_INDEX, E_WAIT_TIMEOUT
from was.worker.notifications import (
    CONTINUE,
    FINISH_REQUEST,
    PENDING,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.pipeline import refuse_failed
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

MODULE = "FastCgiModule"

# The end of a connection comes before the exit code, on a busy machine long before.
EXIT_CODE_S = 1.0

# By their settings; those that no handler names any more end by themselves.
_all: weakref.WeakValueDictionary[FastCgiApplication, Processes] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def _processes_of(settings: FastCgiApplication) -> Processes:
    with _lock:
        found = _all.get(settings)
        if found is None:
            found = _all[settings] = Processes(settings)
        return found


class _ExitError(Exception):
    """A process has closed the connection within a request that cannot be repeated."""

    def __init__(self, held: Held) -> None:
        super().__init__()
        self.held = held


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
        return _outcome(context, processes, lambda: self._run(context, processes))

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
        status = _outcome(context, quick.processes, lambda: _finish(quick))
    except BaseException as error:  # noqa: BLE001 whatever it is, the request ends
        log_exception("module_failed", error, module=MODULE, request=context.request_id)
        status = FINISH_REQUEST
        if context.exchange.started:
            context.is_cut = True
        else:
            refuse_failed(context, error, MODULE, "EXECUTE_REQUEST_HANDLER")
    context.indicate_completion(status)


def _finish(quick: QuickRun) -> RequestNotificationStatus:
    context, processes = quick.context, quick.processes
    answer = Answer(context)
    if quick.output is not None:
        if quick.output:
            answer.feed(quick.output)
        return _conclude(context, answer, quick.protocol_status)
    if quick.verdict is not None:
        raise no_process(quick.verdict)
    if quick.held is None and quick.instance is None:
        raise no_process(Verdict.WAIT)  # the client has gone
    quick.watch.give_up_lead()
    run = FastCgiRun(context, answer, processes.settings, quick.first_byte_limit_s)
    run.came_from(quick.body, quick.sent_at)
    return _answer(context, processes, run, quick.variables, quick)


def _outcome(
    context: HttpContext, processes: Processes, work: Callable[[], RequestNotificationStatus]
) -> RequestNotificationStatus:
    """What `work` answers, or the error that it raises."""
    try:
        return work()
    except NoProcessError as error:
        return _no_process(context, processes, error)
    except FastCgiTimeoutError:
        text = "The FastCGI process exceeded its activity or request timeout."
        return fail(context, 500, 0, E_WAIT_TIMEOUT, text)
    except HeadError as error:
        text = f"The FastCGI process returned no complete set of headers ({error}). "
        log_failed(context, str(error))
        return fail(context, 502, 2, 0, text + error.text)
    except RecordError as error:
        text = f"The FastCGI process speaks no FastCGI: {error}."
        log_failed(context, text)
        return fail(context, 502, 2, 0, text)
    except _ExitError as error:
        return _exited(context, error.held)
    except ClientGoneError:
        context.is_cut = True
        context.is_handled = True
        return CONTINUE


def _answer(
    context: HttpContext,
    processes: Processes,
    run: FastCgiRun,
    variables: bytes,
    quick: QuickRun | None = None,
) -> RequestNotificationStatus:
    """The request on this thread; or the rest of it, from where `quick` has left it."""
    settings = processes.settings
    exchange = context.exchange
    held = quick.held if quick is not None else None
    instance = quick.instance if quick is not None else None
    is_begun = held is not None
    try:
        while True:
            if held is None:
                held = processes.acquire(settings.request_timeout, lambda: exchange.gone, instance)
            end = _converse(processes, held, run, variables, is_begun=is_begun)
            if end is not None:
                break
            instance = processes.replace(held)
            held, is_begun = None, False
    except StdErrError:
        return _complained(context, run, settings.stderr_mode)
    if run.has_failed:
        return _complained(context, run, settings.stderr_mode)
    return _conclude(context, run.answer, end.protocol_status)


def _converse(
    processes: Processes, held: Held, run: FastCgiRun, variables: bytes, *, is_begun: bool
) -> EndRequest | None:
    """The request on one process; None: that is gone, and to be replaced by another."""
    connection = held.connection
    assert connection is not None
    is_first = held.instance.served <= 1
    is_good, is_replaced = False, False
    # What it leaves unread would be taken for the beginning of somebody else's request.
    keep = processes.keeps_connections and (run.is_length_told or processes.capacity > 1)
    try:
        end = run.go_on(connection) if is_begun else run.run(connection, variables, keep=keep)
        is_good = not connection.is_closed or held.program is not None
    except ConnectionLostError as error:
        if is_first or not run.can_repeat or not _may_repeat(processes, held, run):
            if held.program is not None:
                held.program.wait(EXIT_CODE_S)
            raise _ExitError(held) from error
        is_replaced = True
        return None
    except ClientGoneError:
        is_good = not connection.is_closed
        raise
    except HeadError:
        is_good = not connection.is_closed
        raise
    else:
        return end
    finally:
        if not is_replaced:
            processes.release(held, is_good=is_good, is_failure=not is_good, keep=keep)


def _may_repeat(processes: Processes, held: Held, run: FastCgiRun) -> bool:
    """Whether the process that has gone had not begun the request, or it may be run twice.

    One that has ended well and left something unread had made up its mind before.
    """
    connection, program = held.connection, held.program
    assert connection is not None
    if run.was_refused(connection):
        return True
    if connection.is_reset and processes.capacity == 1 and program is not None:
        program.wait(EXIT_CODE_S)
        if program.status == 0:
            return True
    return run.use_repeat()


def _conclude(
    context: HttpContext, answer: Answer, protocol_status: int
) -> RequestNotificationStatus:
    if protocol_status == ProtocolStatus.OVERLOADED:
        return fail(context, 503, 4, 0, "The FastCGI process is overloaded.")
    if protocol_status != ProtocolStatus.REQUEST_COMPLETE:
        text = f"The FastCGI process refused the request ({protocol_status})."
        return fail(context, 500, 0, E_FAIL, text)
    answer.end()
    head = answer.head
    if head is not None and head.is_local_redirect:
        return answer_by_redirect(context, head.location)
    context.is_handled = True
    return CONTINUE


def _complained(
    context: HttpContext, run: FastCgiRun, mode: StdErrMode
) -> RequestNotificationStatus:
    """What was written to FCGI_STDERR makes it an error; it is in the pool's log in any case."""
    shown = mode is StdErrMode.RETURN_STDERR_IN_500
    text = run.complaints.decode("utf-8", "replace") if shown else ""
    return fail(context, 500, 0, 0, text or "The FastCGI process has written to FCGI_STDERR.")


def _no_process(
    context: HttpContext, processes: Processes, error: NoProcessError
) -> RequestNotificationStatus:
    if error.verdict is Verdict.FULL:
        return refuse(context, 503, 4, 0, str(error))
    if context.exchange.gone:
        context.is_cut = True
        return FINISH_REQUEST
    log("program_failed", error=str(error), url=context.message.target[:256])
    if error.verdict is Verdict.WAIT:
        return refuse(context, 500, 0, E_WAIT_TIMEOUT, str(error))
    if processes.remote is not None and error.verdict is None:
        return refuse(context, 502, 3, E_CANNOT_CONNECT, str(error))
    return refuse(context, 500, 0, E_FAIL, str(error))


def _exited(context: HttpContext, held: Held) -> RequestNotificationStatus:
    """IIS's words for a process that ends within a request; its exit code is the error's."""
    code = 0
    status = held.program.status if held.program is not None else None
    if status is not None:
        code = status >> 8 & 0xFF or status
    if held.program is not None and held.program.error:
        text = f"The FastCGI process could not be started: error {held.program.error}"
    else:
        text = "The FastCGI process exited unexpectedly."
    log("program_failed", error=text, code=code, url=context.message.target[:256])
    return fail(context, 500, 0, code, text)


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
