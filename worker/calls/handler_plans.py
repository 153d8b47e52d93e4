"""Handler plans: which mapping answers a request, and what is called after its choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from was.worker import access
from was.worker.calls.event_calls import Run, Step
from was.worker.calls.preconditions import is_satisfied
from was.worker.interfaces.hresult import E_ACCESSDENIED, E_FILE_NOT_FOUND, E_INVALID_NAME
from was.worker.mapping import HandlerMapper, NoMatch, ScriptMapInfo
from was.worker.notifications import CONTINUE, RequestNotification, RequestNotificationStatus
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.calls.event_steps import EventSteps
    from was.worker.interfaces.context import HttpContext

__all__ = ["HandlerPlan", "HandlerPlans"]

RQ = RequestNotification


class HandlerPlan:
    """A handler mapping with what is called after its choice."""

    __slots__ = ("response_buffer_limit", "runs", "script_map")

    def __init__(self, script_map: ScriptMapInfo, runs: tuple[Run, ...]) -> None:
        self.script_map = script_map
        self.runs = runs
        self.response_buffer_limit = script_map.response_buffer_limit


class HandlerPlans:
    """The plans of one application under one state of its `handlers`."""

    def __init__(
        self,
        application: HttpApplication,
        steps: EventSteps,
        make_runs: Callable[[Iterable[Step]], tuple[Run, ...]],
    ) -> None:
        handlers = application.settings.handlers
        self._steps = steps
        self._make_runs = make_runs
        self._policy = handlers.access_policy
        script_maps = tuple(
            ScriptMapInfo(handler)
            for handler in handlers.entries
            if is_satisfied(handler.pre_condition, application.pool)
        )
        self._mapper = HandlerMapper(script_maps, application.prefix_length)
        self._plans = {id(script_map): self._plan(script_map) for script_map in script_maps}
        # The plan of every request, where the first mapping takes all.
        self.always: HandlerPlan | None = None
        if self._mapper.always is not None:
            self.always = self._plans[id(self._mapper.always.script_map)]

    def _plan(self, script_map: ScriptMapInfo) -> HandlerPlan:
        events = self._steps
        steps = [
            *events.of(RQ.MAP_REQUEST_HANDLER, True),
            *events.both(RQ.ACQUIRE_REQUEST_STATE, RQ.PRE_EXECUTE_REQUEST_HANDLER),
        ]
        check = access.make_check(script_map.required_access, self._policy)
        if check is not None:
            steps.append(Step(check, RQ.EXECUTE_REQUEST_HANDLER, False, None))
        steps += events.of_handler(script_map)
        steps += events.of(RQ.EXECUTE_REQUEST_HANDLER, True)
        steps += events.both(RQ.RELEASE_REQUEST_STATE, RQ.UPDATE_REQUEST_CACHE)
        return HandlerPlan(script_map, self._make_runs(steps))

    def plan_for(self, script_map: ScriptMapInfo) -> HandlerPlan:
        """The plan of a mapping: one of `handlers`, or one that a module has made."""
        plan = self._plans.get(id(script_map))
        if plan is None or plan.script_map is not script_map:
            plan = self._plan(script_map)
        return plan

    def choose(self, context: HttpContext, _: object) -> RequestNotificationStatus:
        """The core's step at MAP_REQUEST_HANDLER: choose the handler, unless a module has."""
        if context.plan is not None:
            return CONTINUE
        skipped = context.child.skipped if context.child is not None else None
        if self.always is not None and not skipped:
            context.plan = self.always
            return CONTINUE
        found = self._mapper.find(context.method, context.path, context.resource_mode, skipped)
        if isinstance(found, NoMatch):
            return _refuse_unmapped(context, found)
        context.plan = self._plans[id(found.script_map)]
        context.path_info_at = found.path_info_at
        return CONTINUE

    def find(
        self,
        verb: str,
        path: str,
        resource_mode: Callable[[int], int],
        *,
        with_wildcards: bool = True,
    ) -> ScriptMapInfo | None:
        """The mapping that a request for a path of this application would get, None for none."""
        skipped = None if with_wildcards else self._wildcards()
        found = self._mapper.find(verb, path, resource_mode, skipped)
        return None if isinstance(found, NoMatch) else found.script_map

    def _wildcards(self) -> frozenset[str]:
        """The names of the wildcard script maps."""
        script_maps = (plan.script_map for plan in self._plans.values())
        return frozenset(known.name for known in script_maps if known.is_star_script_map)


def _refuse_unmapped(context: HttpContext, found: NoMatch) -> RequestNotificationStatus:
    if not found.is_missing_file:
        return refuse(context, 404, 4, E_INVALID_NAME)
    if context.is_out_of_reach:
        return refuse(context, 401, 3, E_ACCESSDENIED)
    return refuse(context, 404, 0, E_FILE_NOT_FOUND)
