"""How modules are called: those with an object a request in runs, the others one by one.

A run is a function made for its steps, as dataclasses make theirs: with ten modules on every event
a request makes 240 calls, and a loop over names costs as much as the calls (decision 0033). It
tells the scoreboard before each call which module and notification runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from was.ipc.scoreboard import hint_of
from was.worker.calls.http_module import HttpModule
from was.worker.calls.objects import make_objects
from was.worker.notifications import (
    CONTINUE,
    METHODS,
    POST_METHODS,
    RequestNotification,
    RequestNotificationStatus,
)

if TYPE_CHECKING:
    from was.worker.calls.registration import ModuleRegistration
    from was.worker.interfaces.context import HttpContext

__all__ = ["Call", "Run", "Step", "Unhandled", "bind", "make_runs", "only", "single", "tell"]

# The provider's type depends on the event; the module knows it by its method.
Call = Callable[["HttpContext", Any], RequestNotificationStatus]


class Step(NamedTuple):
    """One call of one module; `registration` None is the core itself."""

    call: Call
    notification: RequestNotification
    is_post: bool
    registration: ModuleRegistration | None

    @property
    def hint(self) -> int:
        """How the scoreboard says that it runs."""
        number = self.registration.id if self.registration is not None else 0
        return hint_of(self.notification, number, self.is_post)


class Run(NamedTuple):
    """What the pipeline calls: the steps of modules that follow one another, or a single one."""

    call: Call
    steps: tuple[Step, ...]

    def step_at(self, hint: int) -> Step:
        """The step that the scoreboard's word speaks of; the first if it speaks of none."""
        steps = self.steps
        if len(steps) > 1:
            for step in steps:
                if hint == step.hint:
                    return step
        return self.steps[0]


def only(runs: Iterable[Run], is_wanted: Callable[[Step], bool]) -> tuple[Run, ...]:
    """The runs without the steps that are not wanted."""
    kept: list[Run] = []
    for run in runs:
        wanted = tuple(filter(is_wanted, run.steps))
        if len(wanted) == len(run.steps):
            kept.append(run)
        else:
            kept += map(single, wanted)
    return tuple(kept)


def single(step: Step) -> Run:
    """One step as a run."""
    return Run(step.call, (step,))


def tell(context: HttpContext, step: Step) -> None:
    """Tell the scoreboard that a step's module runs (again)."""
    if step.registration is not None:
        exchange = context.exchange
        exchange.words[exchange.row + 1] = step.hint


def make_runs(
    steps: Iterable[Step],
    slots: Mapping[int, int],
    *,
    asks_verdict: bool,
    is_nested: bool,
    free: Collection[Call] = (),
) -> tuple[Run, ...]:
    """Runs for steps in order. `slots`: where a context has the object of which registration.

    `asks_verdict`: an event within a call (RQ_SEND_RESPONSE, RQ_READ_ENTITY …) may end the request
    after it; `free` are calls that raise none. `is_nested`: the steps are those of such an event.
    """
    runs: list[Run] = []

    def has_object(step: Step) -> bool:
        return type(step.call) is RequestModuleCall

    for is_compiled, group in groupby(steps, has_object):
        together = tuple(group)
        if is_compiled:
            runs.append(Run(_compile(together, slots, is_nested), together))
        elif asks_verdict:
            runs += [
                single(step) if step.call in free else Run(_ask_verdict(step.call), (step,))
                for step in together
            ]
        else:
            runs += map(single, together)
    return tuple(runs)


def _compile(steps: tuple[Step, ...], slots: Mapping[int, int], is_nested: bool) -> Call:
    lines = [
        "def run(context, provider):",
        f"    objects = {'context.kept or ' if is_nested else ''}context.objects",
        "    if objects is None:",
        "        objects = make_objects(context)",
        "    exchange = context.exchange",
        "    words = exchange.words",
        "    cell = exchange.module_cell",
        "    at = exchange.row + 1",
    ]
    before = None
    for step in steps:
        assert step.registration is not None
        method = (POST_METHODS if step.is_post else METHODS)[step.notification]
        lines += [
            f"    {_store(before, step)}",
            f"    status = objects[{slots[step.registration.id]}].{method}(context, provider)",
            "    if status:",
            "        return status",
        ]
        before = step
    lines.append("    return CONTINUE" if is_nested else "    return context.verdict")
    names: dict[str, Any] = {"CONTINUE": CONTINUE, "make_objects": make_objects}
    exec("\n".join(lines), names)
    call: Call = names["run"]
    return call


def _store(before: Step | None, step: Step) -> str:
    """Tell the scoreboard of a step; of the module alone after one of the same event."""
    if before is not None and before.registration is not None and step.registration is not None:
        is_same_event = (before.notification, before.is_post) == (step.notification, step.is_post)
        if is_same_event and max(before.registration.id, step.registration.id) < 256:
            return f"cell[...] = {bytes([step.registration.id])!r}"
    return f"words[at] = {step.hint}"


def _ask_verdict(call: Call) -> Call:
    def ask(context: HttpContext, provider: object) -> RequestNotificationStatus:
        return call(context, provider) or context.verdict

    return ask


# ── one call ────────────────────────────────────────────────────────────────────────────────────


def bind(
    registration: ModuleRegistration,
    shared: HttpModule | None,
    notification: RequestNotification,
    is_post: bool,
) -> Call | None:
    """The call of one module for one event; None if its object has no method for it."""
    method = (POST_METHODS if is_post else METHODS)[notification]
    if shared is None:
        return RequestModuleCall(registration, method, notification, is_post)
    if getattr(type(shared), method, None) is getattr(HttpModule, method):
        return None
    bound: Call = getattr(shared, method)
    if registration.is_ours and notification is not RequestNotification.EXECUTE_REQUEST_HANDLER:
        return bound
    return _Hinted(bound, hint_of(notification, registration.id, is_post))


class RequestModuleCall:
    """Calls the request's own object."""

    __slots__ = ("_hint", "_method", "_registration")

    def __init__(
        self,
        registration: ModuleRegistration,
        method: str,
        notification: RequestNotification,
        is_post: bool,
    ) -> None:
        self._registration = registration
        self._method = method
        self._hint = hint_of(notification, registration.id, is_post)

    def __call__(self, context: HttpContext, provider: object) -> RequestNotificationStatus:
        exchange = context.exchange
        exchange.words[exchange.row + 1] = self._hint
        module = context.calls.module_of(context, self._registration)
        status: RequestNotificationStatus = getattr(module, self._method)(context, provider)
        return status


class _Hinted:
    """A call of an application's own object, after telling the scoreboard."""

    __slots__ = ("__self__", "_call", "_hint")

    def __init__(self, call: Call, hint: int) -> None:
        self._call = call
        self._hint = hint
        self.__self__ = getattr(call, "__self__", None)

    def __call__(self, context: HttpContext, provider: object) -> RequestNotificationStatus:
        exchange = context.exchange
        exchange.words[exchange.row + 1] = self._hint
        return self._call(context, provider)


class Unhandled:
    """A handler's call, if no module before it in the mapping has answered."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __call__(self, context: HttpContext, provider: object) -> RequestNotificationStatus:
        """The module's answer; CONTINUE where it is not asked."""
        return CONTINUE if context.is_handled else self._call(context, provider)
