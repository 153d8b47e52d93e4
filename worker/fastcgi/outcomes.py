"""How a request ends that a FastCGI process was to answer: by what it said, or what went wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.log import log
from was.worker.exchange import ClientGoneError
from was.worker.fastcgi.attempts import ExitError
from was.worker.fastcgi.process_pool import Verdict
from was.worker.fastcgi.records import ProtocolStatus, RecordError
from was.worker.fastcgi.run import FastCgiTimeoutError
from was.worker.fastcgi.settings import StdErrMode
from was.worker.fastcgi.waiting import NoProcessError
from was.worker.gateway.failing import fail, log_failed
from was.worker.gateway.head import HeadError
from was.worker.gateway.redirect import answer_by_redirect
from was.worker.interfaces.hresult import E_CANNOT_CONNECT, E_FAIL, E_WAIT_TIMEOUT
from was.worker.notifications import CONTINUE, FINISH_REQUEST, RequestNotificationStatus
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.fastcgi.held import Held
    from was.worker.fastcgi.processes import Processes
    from was.worker.fastcgi.run import FastCgiRun
    from was.worker.gateway.answer import Answer
    from was.worker.interfaces.context import HttpContext

__all__ = ["complained", "conclude", "outcome_of"]


def outcome_of(
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
    except ExitError as error:
        return _exited(context, error.held)
    except ClientGoneError:
        context.is_cut = True
        context.is_handled = True
        return CONTINUE


def conclude(
    context: HttpContext, answer: Answer, protocol_status: int
) -> RequestNotificationStatus:
    """A process has ended the request: by a response, a local redirect, or a refusal."""
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


def complained(
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
        text = f"The FastCGI process could not be started: {os.strerror(held.program.error)}"
    else:
        text = "The FastCGI process exited unexpectedly; the pool's log has what it printed."
    log("program_failed", error=text, code=code, url=context.message.target[:256])
    return fail(context, 500, 0, code, text)
