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

from collections.abc import Callable
from typing import TYPE_CHECKING

from was.log import log_exception
from was.worker import sending
from was.worker.calls.event_calls import only, single, tell
from was.worker.calls.objects import take_verdict
from was.worker.completion import AsyncCompletion
from was.worker.exchange import ClientGoneError
from was.worker.moving import RequestMovedError, runs_after
from was.worker.notifications import CONTINUE, FINISH_REQUEST, PENDING, RequestNotificationStatus
from was.worker.refusing import refuse_failed

if TYPE_CHECKING:
    from was.worker.calls.event_calls import Run, Step
    from was.worker.calls.http_module import HttpModule
    from was.worker.interfaces.context import HttpContext

__all__ = ["end_request", "make_completer", "run_head", "run_request"]

_HEAD, _PLAN, _CLOSING = 0, 1, 2

_RUNNER, _COMPLETER = "runner", "completer"
_meetings: dict[HttpContext, str] = {}

# None is taken for CONTINUE: a method that ends without a return.
_USUAL = (None, CONTINUE, PENDING, FINISH_REQUEST)


def run_request(context: HttpContext) -> None:
    """Run a request to its END, or to where it waits for a completion. Never raises."""
    _run(context, _HEAD, context.calls.head)


def end_request(context: HttpContext) -> None:
    """The same for a request whose response is set already: from LOG_REQUEST on."""
    _run(context, _CLOSING, context.calls.closing)


def run_head(context: HttpContext, head: tuple[Run, ...]) -> None:
    """The same for a request that begins otherwise than its application's do: a child."""
    _run(context, _HEAD, head)


def _run(context: HttpContext, stage: int, runs: tuple[Run, ...]) -> None:
    while True:
        run: Run | None = None
        step: Step | None = None
        status: int = CONTINUE
        try:
            for run in runs:
                status = run[0](context, context)
                if status:
                    break
        except RequestMovedError:
            if run is not None:
                step = _stopped(context, run)
                runs = runs_after(context, step)
                if context.is_on_loop and _meet(context, stage, runs, step) is None:
                    # Whoever is to answer now may block: on a request thread.
                    context.is_on_loop = False
                    context.post_completion(0, routine=_go_on)
                    return
            continue
        except BaseException as error:  # noqa: BLE001 whatever application code raises ends here
            step = _stopped(context, run) if run is not None else None
            status = _fail(context, stage, step, error)
        if status and run is not None:
            if step is None:
                step = _stopped(context, run)
            if not _is_answer(status):
                status = _refuse_answer(context, stage, step, status)
            if status == PENDING:
                rest = _rest(runs, run, step)
                outcome = _meet(context, stage, rest, step)
                if outcome is None:
                    return
                if not outcome:
                    runs = rest
                    continue
                status = outcome
            take_verdict(context)
            _note_origin(context, step)
        if stage == _HEAD and not status and context.plan is not None:
            stage, runs = _PLAN, context.plan.runs
        elif stage != _CLOSING:
            stage, runs = _CLOSING, context.calls.closing
        elif status and step is not None:
            runs = _later(runs, step)
        else:
            break
    _end(context)


def _go_on(_context: HttpContext, _completion: object) -> RequestNotificationStatus:
    return CONTINUE


def _end(context: HttpContext) -> None:
    sending.finish(context)
    modules = context.dispose()
    if modules and context.calls.disposes:
        _dispose(context, modules)
    context.is_over = True
    if _meetings:
        _meetings.pop(context, None)  # of a completion that nothing had waited for
    if context.child is not None:
        context.child.over()


def _dispose(context: HttpContext, modules: list[HttpModule]) -> None:
    for module in modules:
        try:
            module.dispose()
        except BaseException as error:  # noqa: BLE001 every module is disposed of
            log_exception("module_failed", error, during="dispose", request=context.request_id)


def _stopped(context: HttpContext, run: Run) -> Step:
    """The step of a run that did not answer CONTINUE, or raised."""
    return run.step_at(context.exchange.words[context.exchange.row + 1])


def _rest(runs: tuple[Run, ...], run: Run, step: Step) -> tuple[Run, ...]:
    """What comes after a step: one by one to the end of its event, then as before."""
    at = 1
    while runs[at - 1] is not run:
        at += 1
    steps = run.steps
    if steps[-1] is step:
        return runs[at:]
    return (*map(single, steps[steps.index(step) + 1 :]), *runs[at:])


def _later(runs: tuple[Run, ...], step: Step) -> tuple[Run, ...]:
    return only(runs, lambda other: other.notification > step.notification)


def _is_answer(status: object) -> bool:
    # What else a module may return is an object of its own, which may do anything when it is asked.
    return status is None or (isinstance(status, int) and status is not True and status in _USUAL)


def _refuse_answer(
    context: HttpContext, stage: int, step: Step, status: object
) -> RequestNotificationStatus:
    """A module answered what is none of the three: as if it had raised."""
    shown = f"{status:d}" if isinstance(status, int) else type(status).__name__
    error = TypeError(f"not a RequestNotificationStatus: {shown}")
    return _fail(context, stage, step, error)


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


def _note_origin(context: HttpContext, step: Step) -> None:
    """Remember which module and event an error status comes from."""
    error = context.response.error
    if error is not None and not error.module_name:
        error.module_name = step.registration.name if step.registration else "IIS Web Core"
        error.notification = str(step.notification.name)


# ── PENDING ─────────────────────────────────────────────────────────────────────────────────────


def _meet(
    context: HttpContext, stage: int, rest: tuple[Run, ...], step: Step
) -> RequestNotificationStatus | None:
    """The runner is ready to leave: None if it may, else the outcome that was there already."""
    while True:
        context.resume_at = (stage, rest, step)
        if _meetings.setdefault(context, _RUNNER) is _RUNNER:
            return None
        _meetings.pop(context, None)
        outcome = _outcome(context, step)
        if outcome != PENDING:
            return outcome


def _outcome(context: HttpContext, step: Step) -> RequestNotificationStatus:
    """What the completion that has come means for the event that was pending."""
    completion, context.completion = context.completion, None
    if completion is None:  # one too many, and taken already: what is waited for is yet to come
        return PENDING
    if not isinstance(completion, AsyncCompletion):
        return completion
    try:
        if completion.routine is not None:
            status = completion.routine(context, completion)
        elif step.registration is None:
            return CONTINUE
        else:
            tell(context, step)
            module = context.calls.module_of(context, step.registration)
            status = module.on_async_completion(
                context, step.notification, step.is_post, context, completion
            )
    except BaseException as error:  # noqa: BLE001 as in _run
        return _fail(context, _stage_of(context), step, error)
    if not _is_answer(status):
        return _refuse_answer(context, _stage_of(context), step, status)
    return status or CONTINUE


def _stage_of(context: HttpContext) -> int:
    return context.resume_at[0] if context.resume_at is not None else _HEAD


def make_completer(
    post: Callable[[Callable[[], None]], None],
) -> Callable[[HttpContext, AsyncCompletion | RequestNotificationStatus], None]:
    """The function that brings a completion; `post` runs a callable on a thread of the worker."""

    def complete(
        context: HttpContext, completion: AsyncCompletion | RequestNotificationStatus
    ) -> None:
        if completion == PENDING or context.is_over:
            return
        context.completion = completion
        if _meetings.setdefault(context, _COMPLETER) is _COMPLETER:
            if context.is_over:
                _meetings.pop(context, None)
            return
        if _meetings.pop(context, None) is not _RUNNER:
            return  # a second completion of one event, on another thread
        if isinstance(completion, AsyncCompletion):
            post(lambda: _resume(context))
        else:
            _resume(context)

    return complete


def _resume(context: HttpContext) -> None:
    if context.resume_at is None:
        return
    stage, rest, step = context.resume_at
    status = _outcome(context, step)
    if status == PENDING:
        met = _meet(context, stage, rest, step)
        if met is None:
            return
        status = met
    status = status or context.verdict
    if not status:
        _run(context, stage, rest)
        return
    take_verdict(context)
    _note_origin(context, step)
    _run(context, _CLOSING, _later(rest, step) if stage == _CLOSING else context.calls.closing)
