"""What is around the calls where a module listens to trace events, or URLs are traced.

Around each call of a module: NOTIFY_MODULE_START and _END, NOTIFY_MODULE_COMPLETION, and
MODULE_SET_RESPONSE_ERROR_STATUS where the call has made the response an error. Around a request:
GENERAL_REQUEST_START and _END. Other call lists have nothing around theirs and pay nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.calls.event_calls import Step
from was.worker.completion import AsyncCompletion
from was.worker.notifications import (
    CONTINUE,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.tracing.trace import VERBOSE, TraceArea, TraceContext, TraceEvent

if TYPE_CHECKING:
    from was.worker.calls.call_lists import Completer
    from was.worker.interfaces.context import HttpContext
    from was.worker.tracing.trace import Tracing

__all__ = ["TracedCalls", "trace_request"]

RQ = RequestNotification
_FIRST_ERROR = 400


class TracedCalls:
    """What call lists put around their calls for a module that listens."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self.first = Step(self._begins, RQ.BEGIN_REQUEST, False, None)
        self.last = Step(self._ends, RQ.END_REQUEST, True, None)

    def around(self, step: Step) -> Step:
        """The step with events before and after; the core's own has none."""
        if step.registration is None:
            return step
        return step._replace(call=_TracedCall(self._tracing, step, step.registration.name))

    def completing(self, complete: Completer) -> Completer:
        """The completer, of whose completions the listener is told first."""

        def tell_and_complete(
            context: HttpContext, completion: AsyncCompletion | RequestNotificationStatus
        ) -> None:
            self._tell_completion(context, completion)
            complete(context, completion)

        return tell_and_complete

    def _tell_completion(
        self, context: HttpContext, completion: AsyncCompletion | RequestNotificationStatus
    ) -> None:
        """An operation of the module that was called last has completed."""
        if isinstance(completion, AsyncCompletion) and context.trace is not None:
            raise_in(self._tracing, context, "NOTIFY_MODULE_COMPLETION", context.trace.running)

    def _begins(self, context: HttpContext, _: object) -> RequestNotificationStatus:
        trace_request(self._tracing, context, "GENERAL_REQUEST_START")
        return CONTINUE

    def _ends(self, context: HttpContext, _: object) -> RequestNotificationStatus:
        trace_request(self._tracing, context, "GENERAL_REQUEST_END")
        return CONTINUE


def trace_request(tracing: Tracing, context: HttpContext, name: str) -> None:
    """An event about the whole of a request."""
    if tracing.is_on(context):
        items: dict[str, object] = {
            "SiteId": context.message.site_id,
            "AppPoolId": context.application.pool,
            "RequestURL": context.message.target,
            "RequestVerb": context.method,
        }
        if name == "GENERAL_REQUEST_END":
            response = context.response
            items |= {"HttpStatus": response.status, "HttpSubStatus": response.sub_status}
        raise_in(tracing, context, name, items, TraceArea.GENERAL)


def raise_in(
    tracing: Tracing,
    context: HttpContext,
    name: str,
    items: dict[str, object],
    area: TraceArea = TraceArea.REQUEST_NOTIFICATIONS,
    verbosity: int = VERBOSE,
) -> None:
    """Raise one of the pipeline's own events."""
    activity = TraceContext(tracing, context).trace_activity_id or ""
    whole = {"ContextId": activity, **items}
    event = TraceEvent(name, whole, area, verbosity, activity_guid=activity)
    tracing.raise_event(event, context)


def _items(step: Step, name: str) -> dict[str, object]:
    return {
        "ModuleName": name,
        "Notification": int(step.notification),
        "fIsPostNotification": step.is_post,
    }


class _TracedCall:
    """A module's call with the events around it."""

    __slots__ = ("__self__", "_call", "_items", "_name", "_notification", "_tracing")

    def __init__(self, tracing: Tracing, step: Step, name: str) -> None:
        self._tracing = tracing
        self._call = step.call
        self._name = name
        self._notification = step.notification
        self._items = _items(step, name)
        # What call lists ask a bound method for.
        self.__self__: object = getattr(step.call, "__self__", None)

    def __call__(self, context: HttpContext, provider: object) -> RequestNotificationStatus:
        tracing = self._tracing
        is_passed = self._notification is RQ.EXECUTE_REQUEST_HANDLER and context.is_handled
        if is_passed or not tracing.is_on(context):
            return self._call(context, provider)
        response = context.response
        before = response.status, response.sub_status
        context.trace_context.running = self._items
        raise_in(tracing, context, "NOTIFY_MODULE_START", {**self._items, "fIsCompletion": False})
        status = self._call(context, provider)
        after = response.status, response.sub_status
        if after != before and after[0] >= _FIRST_ERROR:
            self._tell_error(context)
        items = {**self._items, "NotificationStatus": int(status or CONTINUE)}
        raise_in(tracing, context, "NOTIFY_MODULE_END", items)
        return status

    def _tell_error(self, context: HttpContext) -> None:
        response = context.response
        error = response.error
        items: dict[str, object] = {
            "ModuleName": self._name,
            "Notification": int(self._notification),
            "HttpStatus": response.status,
            "HttpReason": response.reason,
            "HttpSubStatus": response.sub_status,
            "ErrorCode": 0 if error is None else error.hresult,
            "ConfigExceptionInfo": ""
            if context.calls.errors is None
            else str(context.calls.errors),
        }
        name = "MODULE_SET_RESPONSE_ERROR_STATUS"
        raise_in(self._tracing, context, name, items, TraceArea.MODULE, verbosity=3)
