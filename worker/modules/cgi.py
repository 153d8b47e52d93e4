"""CgiModule: one program for each request, as RFC 3875 and IIS's section `cgi` have it.

The mapping names the program (scriptProcessor), or the URL does: an executable file. The process is
the keeper's (worker/programs), the bytes go through worker/cgi, the answer through worker/gateway.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from was import faults
from was.ipc.scoreboard import RequestState
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.cgi.command import Command, parse_command, query_words
from was.worker.cgi.run import CgiRun, CgiTimeoutError
from was.worker.children.answers import ChildAnswers
from was.worker.exchange import ClientGoneError
from was.worker.gateway.answer import Answer
from was.worker.gateway.failing import fail, log_failed
from was.worker.gateway.head import HeadError
from was.worker.gateway.inherited import inherited_environment
from was.worker.gateway.redirect import answer_by_redirect
from was.worker.gateway.variables import VariableBuilder, to_bytes
from was.worker.interfaces.hresult import (
    E_ACCESSDENIED,
    E_BAD_EXE_FORMAT,
    E_DISABLED_BY_POLICY,
    E_FAIL,
    E_FILE_NOT_FOUND,
    E_INVALID_DATA,
    E_WAIT_TIMEOUT,
)
from was.worker.notifications import (
    CONTINUE,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.programs.launch import Program, ProgramError
from was.worker.refusing import refuse
from was.worker.restriction import make_restriction

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

_STARTED = int(RequestState.STARTED)


class CgiHandler(ChildAnswers):
    """The CGI programs of one application."""

    def __init__(self, application: HttpApplication) -> None:
        settings = application.settings
        self._limit_s = float(settings.section("system.webServer/cgi")["timeout"])  # type: ignore[arg-type]
        self._first_byte_limit_s = application.own_time_limit_s or self._limit_s
        self._may_run = make_restriction(settings, "notListedCgisAllowed")
        self._variables = VariableBuilder(application)
        self._commands: dict[str, Command | None] = {}

    def _command(self, processor: str) -> Command | None:
        """The command of a mapping; None: its text is none."""
        if processor not in self._commands:
            try:
                self._commands[processor] = parse_command(processor)
            except ValueError:
                self._commands[processor] = None
        return self._commands[processor]

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Run the program and send what it writes."""
        processor = context.plan.script_map.script_processor if context.plan is not None else ""
        script = context.map_path(context.script_name)
        command = self._command(processor) if processor else None
        if processor and command is None:
            return refuse(context, 500, 0, E_INVALID_DATA, f"No command: {processor}")
        if (command is None or command.needs_script) and not os.path.isfile(script):
            return refuse(context, 404, 0, E_FILE_NOT_FOUND)
        if not self._may_run(processor or script):
            text = "The CGI is not allowed by isapiCgiRestriction."
            return refuse(context, 404, 2, E_DISABLED_BY_POLICY, text)
        words = query_words(context.method, context.query)
        file = to_bytes(script)
        argv = [file, *words] if command is None else command.arguments(file, words)
        return self._run(context, argv, _folder(script, context))

    def _run(
        self, context: HttpContext, argv: list[bytes], folder: str
    ) -> RequestNotificationStatus:
        environment = inherited_environment() | self._variables.whole(context)
        lines = [name + b"=" + value for name, value in environment.items()]
        answer = Answer(context)
        run = CgiRun(context, answer, self._limit_s, self._first_byte_limit_s)
        exchange = context.exchange
        try:
            # From here on code that is not ours runs: only now can a second run do harm.
            exchange.words[exchange.row] = context.proof | _STARTED
            faults.reach("worker.begun")
            run.start(argv, to_bytes(folder), lines)
            program = run.run()
            if program.error and answer.head is None:
                return _not_executed(context, program.error, argv[0])
            return _conclude(context, answer, program)
        except CgiTimeoutError:
            log_failed(context, "it ran too long")
            return fail(context, 502, 1, E_WAIT_TIMEOUT, "The CGI program ran longer than it may.")
        except HeadError as error:
            return _misbehaved(context, str(error), error.text or answer.beginning)
        except ProgramError as error:
            return fail(context, 500, 0, _hresult(error.errno or 0), str(error))
        except ClientGoneError:
            context.is_cut = True
        finally:
            run.close()
        context.is_handled = True
        return CONTINUE


def _conclude(context: HttpContext, answer: Answer, program: Program) -> RequestNotificationStatus:
    """The program has ended: is what it wrote a response?"""
    if program.status:
        log_failed(context, f"wait status {program.status:#06x}")
    if program.was_killed and not answer.is_whole:
        return fail(context, 502, 2, 0, "The CGI program was killed within its response.")
    answer.end()
    head = answer.head
    if head is None:
        raise HeadError("there are no headers", "")
    if head.is_local_redirect:
        return answer_by_redirect(context, head.location)
    if answer.received and not (head.is_raw or head.has("content-type")):
        raise HeadError("there is no Content-Type", "\n".join(f"{k}: {v}" for k, v in head.fields))
    context.is_handled = True
    return CONTINUE


def _not_executed(context: HttpContext, number: int, file: bytes) -> RequestNotificationStatus:
    """execve has failed."""
    reason = os.strerror(number)
    if number == errno.ENOENT and os.path.exists(file):
        reason = (
            "the interpreter that its first line names is not there (a line end of Windows is a "
            "part of the name)"
        )
    text = f"The program {os.fsdecode(file)} could not be executed: {reason}"
    log_failed(context, text)
    if number in (errno.EACCES, errno.EPERM):
        return fail(context, 403, 1, E_ACCESSDENIED, text)
    return fail(context, 500, 0, _hresult(number), text)


def _misbehaved(context: HttpContext, reason: str, text: str) -> RequestNotificationStatus:
    log_failed(context, reason)
    return fail(
        context,
        502,
        2,
        0,
        "The specified CGI application misbehaved by not returning a complete set of HTTP headers "
        f"({reason}). The headers it did return are: {text}",
    )


def _hresult(number: int) -> int:
    if number == errno.ENOENT:
        return E_FILE_NOT_FOUND
    return E_BAD_EXE_FORMAT if number == errno.ENOEXEC else E_FAIL


def _folder(script: str, context: HttpContext) -> str:
    """The folder it runs in: the script's, or the application's where there is no script."""
    folder = os.path.dirname(script)
    return folder if os.path.isfile(script) else context.application.physical_path


def _make(application: HttpApplication) -> HttpModule:
    # Where the configuration is not in force nothing is asked of a handler.
    return CgiHandler(application) if application.settings.sections else HttpModule()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to EXECUTE_REQUEST_HANDLER."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make), RequestNotification.EXECUTE_REQUEST_HANDLER, 0
    )
