"""The part of HttpContext that deals with notifications, completions and their order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, cast

from was.ipc.scoreboard import Row
from was.worker.calls.event_calls import tell
from was.worker.calls.nested_events import raise_within
from was.worker.calls.objects import mute
from was.worker.completion import AsyncCompletion, Routine
from was.worker.interfaces.hresult import ERROR_INVALID_HANDLE, HResultError
from was.worker.notifications import (
    CONTINUE,
    FINISH_REQUEST,
    PENDING,
    RequestNotification,
    RequestNotificationStatus,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from was.worker.calls.event_calls import Run, Step
    from was.worker.calls.http_module import HttpModule
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.user import HttpUser

__all__ = ["ContextEvents", "ExecutionStats", "NextNotification"]


class NextNotification(NamedTuple):
    """What get_next_notification hands out: call the module's method, and answer for it."""

    notification: RequestNotification
    is_post: bool
    module: HttpModule
    provider: object


class ExecutionStats(NamedTuple):
    """Where a request stands; `notification` and `module_name` are 0 and "" before the first."""

    notification: int
    module_name: str
    elapsed_ms: int  # since the request came in


class ContextEvents:
    """Notifications of the running request."""

    __slots__ = ()

    @property
    def current_module(self) -> int:
        """The id of the running module, as the scoreboard has it."""
        me = cast("HttpContext", self)
        return me.exchange.words[me.exchange.row + 1] & 0xFFFF

    def disable_notifications(self, mask: int, post_mask: int) -> None:
        """No more of these deterministic events for the running module, in this request.

        For modules with an object a request; others can look at the context and go on.
        """
        me = cast("HttpContext", self)
        mute(me, mask, post_mask)

    # ── completions ─────────────────────────────────────────────────────────────────────────────

    def indicate_completion(self, status: RequestNotificationStatus) -> None:
        """Go on, on this thread, with `status` as the outcome of the pending notification."""
        me = cast("HttpContext", self)
        me.calls.complete(me, status or CONTINUE)

    def post_completion(
        self,
        completion_bytes: int,
        completion_status: int = 0,
        routine: Routine | None = None,
    ) -> None:
        """Call the pending module's on_async_completion, or `routine`, on a thread of the worker.

        `routine(context, completion_info)` answers like on_async_completion.
        """
        me = cast("HttpContext", self)
        completion = AsyncCompletion(completion_bytes, completion_status, routine=routine)
        me.calls.complete(me, completion)

    def cancel_io(self) -> None:
        """Give up what is being read from or sent to the client: its completion brings an error.

        The client is cut, as nothing can be read from or sent to it any more. Raises HResultError:
        ERROR_INVALID_HANDLE where nothing is under way.
        """
        me = cast("HttpContext", self)
        if not me.operations:
            raise HResultError(ERROR_INVALID_HANDLE, "no operation is under way")
        me.is_cut = True
        me.exchange.cancel()

    def enable_full_duplex(self) -> None:
        """Allow one read and one write under way at the same time."""
        me = cast("HttpContext", self)
        me.is_full_duplex = True

    def notify_custom_notification(self, provider: object) -> bool:
        """Raise RQ_CUSTOM_NOTIFICATION. Whether a completion follows: never, in this server."""
        me = cast("HttpContext", self)
        raise_within(me, me.calls.custom, provider)
        return False

    # ── what comes next ─────────────────────────────────────────────────────────────────────────

    def get_next_notification(self, status: RequestNotificationStatus) -> NextNotification | None:
        """The next call, if it is for the running module, which then makes it itself.

        `status` is what the module would answer now. None: return to the server. For modules with
        an object a request. What is handed out is not called again.
        """
        me = cast("HttpContext", self)
        here = self._current_step()
        if here is None or here.registration is None or status == PENDING:
            return None
        step = next(self._steps_after(here, status), None)
        slot = me.calls.slots.get(here.registration.id)
        objects = me.kept or me.objects
        if step is None or step.registration is not here.registration:
            return None
        if slot is None or objects is None:
            return None
        module = objects[slot]
        masks = (0, step.notification) if step.is_post else (step.notification, 0)
        mute(me, *masks)
        tell(me, step)
        return NextNotification(step.notification, step.is_post, module, me)

    def get_is_last_notification(self, status: RequestNotificationStatus) -> bool:
        """Whether the running module has no further call in this request if it answers `status`."""
        me = cast("HttpContext", self)
        here = self._current_step()
        if here is None or here.registration is None:
            return True
        registration = here.registration
        if status == CONTINUE and me.plan is None and here.notification < LOG_REQUEST:
            # Which handler will run is not known: what it has registered for counts.
            later = ~(int(here.notification) * 2 - 1) & 0xFFF
            return not (registration.mask | registration.post_mask) & later
        return all(s.registration is not registration for s in self._steps_after(here, status))

    def _current_step(self) -> Step | None:
        me = cast("HttpContext", self)
        hint = me.exchange.words[me.exchange.row + 1]
        for run in (*me.calls.head, *self._plan_runs(), *me.calls.closing):
            step = run.step_at(hint)
            if step.registration is not None and step.hint == hint:
                return step
        return None

    def _plan_runs(self) -> tuple[Run, ...]:
        me = cast("HttpContext", self)
        return me.plan.runs if me.plan is not None else ()

    def _steps_after(self, here: Step, status: int) -> Iterator[Step]:
        me = cast("HttpContext", self)
        is_behind = False
        for run in (*me.calls.head, *self._plan_runs(), *me.calls.closing):
            for step in run.steps:
                is_closing = step.notification >= LOG_REQUEST
                is_left = is_closing and step.notification != here.notification
                if is_behind and (status != FINISH_REQUEST or is_left):
                    yield step
                is_behind = is_behind or step is here

    # ── facts ───────────────────────────────────────────────────────────────────────────────────

    def get_current_execution_stats(self) -> ExecutionStats:
        """Which notification and module run, as the scoreboard has it."""
        me = cast("HttpContext", self)
        at = me.exchange.row
        row = Row(tuple(me.exchange.words[at : at + 8]))
        name = me.calls.name_of(row.module)
        return ExecutionStats(row.notification, name, me.request_elapsed_time)

    @property
    def request_start_time(self) -> int:
        """When the request came to the pipeline, in milliseconds of the monotonic clock."""
        me = cast("HttpContext", self)
        return me.exchange.words[me.exchange.row + 2] // 1_000_000

    @property
    def request_elapsed_time(self) -> int:
        """Milliseconds since request_start_time."""
        me = cast("HttpContext", self)
        return time.monotonic_ns() // 1_000_000 - me.request_start_time

    @property
    def original_user(self) -> HttpUser | None:
        """The user before a module replaced it with set_user."""
        me = cast("HttpContext", self)
        return me.original if me.original is not None else me.user

    def get_server_var_changes(
        self, old_number: int = 0
    ) -> tuple[int, list[tuple[str, str | None]]]:
        """What set_server_variable has set since a number of this method's, and the new number."""
        me = cast("HttpContext", self)
        changes = me.changes or []
        return len(changes), changes[old_number:]

    @property
    def script_translated(self) -> str:
        """The file that script_name stands for."""
        me = cast("HttpContext", self)
        return me.map_path(me.script_name)

    def allocate_request_memory(self, size: int) -> bytearray:
        """Zeroed memory; it lives as long as somebody holds it."""
        return bytearray(size)

    allocate_memory = allocate_request_memory  # IModuleAllocator, for get_http_module


LOG_REQUEST = RequestNotification.LOG_REQUEST
