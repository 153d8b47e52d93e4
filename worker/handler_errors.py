"""What a handler has raised that runs an application: in the log, and to the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.log import log_exception
from was.worker.refusing import refuse_failed
from was.worker.threads.application_calls import RequestInterruptedError, forget

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["answer_failed", "answer_interrupted", "answer_raised"]


def answer_raised(
    context: HttpContext, error: BaseException, application: str, module: str
) -> None:
    """An application has raised: it is logged, and its client gets 500.0 or a cut."""
    log_exception(
        "application_error",
        error,
        application=application,
        request=context.request_id,
        url=context.message.target,
    )
    answer_failed(context, error, module)


def answer_failed(context: HttpContext, error: BaseException, module: str) -> None:
    """500.0 with the traceback for those who may see it, or a cut if the response has begun."""
    if context.exchange.started:
        context.is_cut = True
    else:
        refuse_failed(context, error, module, "EXECUTE_REQUEST_HANDLER")


def answer_interrupted(context: HttpContext, error: RequestInterruptedError) -> None:
    """The listener has answered 504; the traceback says where the time went."""
    forget(context.proof)
    log_exception(
        "request_interrupted", error, request=context.request_id, url=context.message.target
    )
    context.is_cut = True
