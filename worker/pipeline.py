"""The pipeline: runs the steps of a request, and decides what comes after each outcome.

    head ──▶ plan of the handler ──▶ closing ──▶ the response is sent, END
      └──────────┴── FINISH_REQUEST, an error ──▶┘

A module answers CONTINUE (0: next step), FINISH_REQUEST (on to `closing`, which always runs; within
it, on to its next event) or PENDING. An exception is a FINISH_REQUEST with 500.0, or a cut
connection if the response has begun. In `closing` an exception is logged and changes nothing: the
answer was complete before.

PENDING: the thread leaves; the outcome comes by indicate_completion or post_completion, maybe
before the thread has left. The two meet in `_meetings`, by one atomic setdefault: who comes second
goes on with the request.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.log import log_exception
from was.worker import sending
from was.worker.completion import AsyncCompletion
from was.worker.exchange import ClientGoneError
from was.worker.moving import RequestMovedError, steps_after
from was.worker.notifications import CONTINUE, FINISH_REQUEST, PENDING, RequestNotificationStatus
from was.worker.request import EntityTooLargeError
from was.worker.response import E_UNEXPECTED

if TYPE_CHECKING:
    from was.worker.call_lists import Step
    from was.worker.context import HttpContext

__all__ = ["end_request", "make_completer", "refuse_failed", "run_request", "run_steps"]

_HEAD, _PLAN, _CLOSING = 0, 1, 2

_RUNNER, _COMPLETER = "runner", "completer"
_meetings: dict[HttpContext, str] = {}


def run_request(context: HttpContext) -> None:
    """Run a request to its END, or to where it waits for a completion. Never raises."""
    _run(context, _HEAD, context.calls.head)


def end_request(context: HttpContext) -> None:
    """The same for a request whose response is set already: from LOG_REQUEST on."""
    _run(context, _CLOSING, context.calls.closing)


def run_steps(context: HttpContext, head: tuple[Step, ...]) -> None:
    """The same for a request whose first steps are others than its application's: a child."""
    _run(context, _HEAD, head)


def _run(context: HttpContext, stage: int, steps: tuple[Step, ...]) -> None:
    while True:
        step: Step | None = None
        status: int = CONTINUE
        try:
            for step in steps:
                status = step[0](context, context)
                if status:
                    break
        except RequestMovedError:
            if step is not None:
                steps = steps_after(context, step)
            continue
        except BaseException as error:  # noqa: BLE001 whatever application code raises ends here
            status = _fail(context, stage, step, error)
        if status == PENDING and step is not None:
            outcome = _meet(context, stage, steps, step)
            if outcome is None:
                return
            status = outcome
            if not status:
                steps = steps[steps.index(step) + 1 :]
                continue
        if status and step is not None:
            _note_origin(context, step)
        if stage == _HEAD and not status and context.plan is not None:
            stage, steps = _PLAN, context.plan.steps
        elif stage != _CLOSING:
            stage, steps = _CLOSING, context.calls.closing
        elif status and step is not None:
            steps = tuple(s for s in steps if s.notification > step.notification)
        else:
            break
    sending.finish(context)
    for module in context.dispose():
        try:
            module.dispose()
        except BaseException as error:  # noqa: BLE001 every module is disposed of
            log_exception("module_failed", error, during="dispose", request=context.request_id)
    if context.child is not None:
        context.child.over()


def _fail(
    context: HttpContext, stage: int, step: Step | None, error: BaseException
) -> RequestNotificationStatus:
    """A step raised: 500.0 if the response can still say so, else the connection is cut."""
    if isinstance(error, ClientGoneError):
        context.is_cut = True
        return FINISH_REQUEST
    module = step.registration.name if step and step.registration else "the pipeline"
    log_exception(
        "module_failed",
        error,
        module=module,
        during=step.notification.name if step else "",
        request=context.request_id,
        url=context.message.target,
    )
    if stage == _CLOSING:
        return FINISH_REQUEST
    if context.exchange.started:
        context.is_cut = True
        return FINISH_REQUEST
    refuse_failed(context, error)
    return FINISH_REQUEST


def refuse_failed(
    context: HttpContext, error: BaseException, module: str = "", notification: str = ""
) -> None:
    """413.1, or 500.0 with the traceback for those who may see it.

    `module` says whose fault it is where its step will not.
    """
    response = context.response
    response.clear()
    if isinstance(error, EntityTooLargeError):
        response.set_status(413, "Request Entity Too Large", 1)
        response.set_need_disconnect()
        return
    response.set_status(500, "Internal Server Error", 0, E_UNEXPECTED)
    if response.error is not None:
        response.error.traceback = "".join(traceback.format_exception(error))
        response.error.module_name = module
        response.error.notification = notification


def _note_origin(context: HttpContext, step: Step) -> None:
    """Remember which module and event an error status comes from."""
    error = context.response.error
    if error is not None and not error.module_name:
        error.module_name = step.registration.name if step.registration else "IIS Web Core"
        error.notification = str(step.notification.name)


# ── PENDING ─────────────────────────────────────────────────────────────────────────────────────


def _meet(
    context: HttpContext, stage: int, steps: tuple[Step, ...], step: Step
) -> RequestNotificationStatus | None:
    """The runner is ready to leave: None if it may, else the outcome that was there already."""
    while True:
        context.resume_at = (stage, steps, step)
        if _meetings.setdefault(context, _RUNNER) is _RUNNER:
            return None
        del _meetings[context]
        outcome = _outcome(context, step)
        if outcome != PENDING:
            return outcome


def _outcome(context: HttpContext, step: Step) -> RequestNotificationStatus:
    """What the completion that has come means for the event that was pending."""
    completion, context.completion = context.completion, None
    if not isinstance(completion, AsyncCompletion):
        return CONTINUE if completion is None else completion
    try:
        if step.registration is None:
            return CONTINUE
        module = context.calls.module_of(context, step.registration)
        return module.on_async_completion(
            context, step.notification, step.is_post, context, completion
        )
    except BaseException as error:  # noqa: BLE001 as in _run
        return _fail(context, _stage_of(context), step, error)


def _stage_of(context: HttpContext) -> int:
    return context.resume_at[0] if context.resume_at is not None else _HEAD


def make_completer(
    post: Callable[[Callable[[], None]], None],
) -> Callable[[HttpContext, AsyncCompletion | RequestNotificationStatus], None]:
    """The function that brings a completion; `post` runs a callable on a thread of the worker."""

    def complete(
        context: HttpContext, completion: AsyncCompletion | RequestNotificationStatus
    ) -> None:
        context.completion = completion
        if _meetings.setdefault(context, _COMPLETER) is _COMPLETER:
            return
        del _meetings[context]
        if isinstance(completion, AsyncCompletion):
            post(lambda: _resume(context))
        else:
            _resume(context)

    return complete


def _resume(context: HttpContext) -> None:
    if context.resume_at is None:
        return
    stage, steps, step = context.resume_at
    status = _outcome(context, step)
    if status == PENDING:
        met = _meet(context, stage, steps, step)
        if met is None:
            return
        status = met
    if not status:
        _run(context, stage, steps[steps.index(step) + 1 :])
        return
    _note_origin(context, step)
    if stage == _CLOSING:
        _run(context, stage, tuple(s for s in steps if s.notification > step.notification))
    else:
        _run(context, _CLOSING, context.calls.closing)
