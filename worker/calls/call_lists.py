"""Call lists: which module is called when, worked out once for an application and each handler.

A list is a flat tuple of runs (see event_calls); an event nobody subscribed to has none. Sorting:
priority, then the module's place in `modules`; RQ_SEND_RESPONSE turns both round; at
RQ_EXECUTE_REQUEST_HANDLER the order is that of the handler's own `modules`.

    head     BEGIN_REQUEST … MAP_REQUEST_HANDLER, then the core's choice of a handler
    plan     of the handler chosen: POST_MAP_REQUEST_HANDLER … POST_UPDATE_REQUEST_CACHE
    closing  LOG_REQUEST … POST_END_REQUEST, which run for every request

The worker's own modules are called directly; before any other the scoreboard is told which module
and notification runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from was.worker import access
from was.worker.applications.runtime_limits import limits_of
from was.worker.calls.bad_modules import refuse_bad_modules
from was.worker.calls.event_calls import Call, Run, Step, Unhandled, bind, make_runs, single
from was.worker.calls.http_module import HttpModule
from was.worker.calls.listed_modules import list_modules
from was.worker.calls.objects import make_objects
from was.worker.calls.preconditions import is_satisfied
from was.worker.calls.registration import ModuleRegistration
from was.worker.interfaces.hresult import (
    E_ACCESSDENIED,
    E_FILE_NOT_FOUND,
    E_INVALID_DATA,
    E_INVALID_NAME,
)
from was.worker.mapping import HandlerMapper, NoMatch, ScriptMapInfo
from was.worker.notifications import (
    CONTINUE,
    DETERMINISTIC,
    FINISH_REQUEST,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse, refuse_configuration

if TYPE_CHECKING:
    from was.errors import ConfigErrors
    from was.worker.applications.application import HttpApplication
    from was.worker.completion import AsyncCompletion
    from was.worker.interfaces.context import HttpContext

__all__ = ["CallLists", "HandlerPlan"]

RQ = RequestNotification

# Raised within other events.
_NESTED = int(RQ.SEND_RESPONSE | RQ.READ_ENTITY | RQ.MAP_PATH | RQ.CUSTOM_NOTIFICATION)

_ANY_LENGTH = 1 << 63

Completer = Callable[["HttpContext", "AsyncCompletion | RequestNotificationStatus"], None]


class HandlerPlan:
    """A handler mapping with what is called after its choice."""

    __slots__ = ("response_buffer_limit", "runs", "script_map")

    def __init__(self, script_map: ScriptMapInfo, runs: tuple[Run, ...]) -> None:
        self.script_map = script_map
        self.runs = runs
        self.response_buffer_limit = script_map.response_buffer_limit


class CallLists:
    """The call lists of one application under one state of its settings."""

    def __init__(
        self,
        application: HttpApplication,
        registrations: dict[str, ModuleRegistration],
        completer: Completer,
        errors: ConfigErrors | None = None,
    ) -> None:
        """`errors` are why the path's own configuration is not in force.

        Every request is refused for them then, in place of events before LOG_REQUEST; so it is for
        modules that are listed and cannot be called.
        """
        self.complete = completer
        self.errors = errors
        settings = application.settings
        # Every handler's plan has the same events: their steps are found once.
        self._known: dict[tuple[RequestNotification, bool], list[Step]] = {}
        self._modules, self.bad_modules = list_modules(application, registrations)
        # Who makes an object for each request, in order: a context keeps them in a list.
        own = [r for r, shared in self._modules if shared is None]
        self.makers = tuple(r.factory.get_http_module for r in own if r.factory is not None)
        # The classes of their objects, as they are met; whether any has a dispose of its own.
        self.kinds: set[type] = set()
        self.disposes = False
        self.slots = {registration.id: at for at, registration in enumerate(own)}
        # ISAPI filters: not our code, though in a module of ours.
        self._has_filters = any(
            r.name == "IsapiFilterModule" and type(m) is not HttpModule for r, m in self._modules
        )
        # Longer bodies are refused by their length alone.
        self.most_content = _ANY_LENGTH
        if any(r.name == "RequestFilteringModule" for r, _ in self._modules):
            limits = settings.request_filtering.request_limits
            self.most_content = limits.max_allowed_content_length
        self._runtime = limits_of(application)
        if self._runtime is not None:
            self.most_content = min(self.most_content, self._runtime.most_content)
        self.is_always_for_loop = False
        self._asks_verdict = self._has_filters or any(
            r.mask & _NESTED for r, _ in self._modules if not r.is_ours
        )
        self.closing = self._runs(self._events((RQ.LOG_REQUEST, RQ.END_REQUEST)))
        sending = self._runs(reversed(self._event(RQ.SEND_RESPONSE, False)), is_nested=True)
        self.send_response = tuple(run.call for run in sending)
        # Without those that say they have nothing to do below 400.
        self.send_success = tuple(run.call for run in sending if not _wants_errors_only(run))
        self.send_errors = tuple(run.call for run in sending if _wants_errors_only(run))
        self.read_entity = self._nested(RQ.READ_ENTITY)
        self.map_path = self._nested(RQ.MAP_PATH)
        self.custom = self._nested(RQ.CUSTOM_NOTIFICATION)
        self._policy = settings.handlers.access_policy
        script_maps = tuple(
            ScriptMapInfo(handler)
            for handler in settings.handlers.entries
            if is_satisfied(handler.pre_condition, application.pool)
        )
        self._mapper = HandlerMapper(script_maps, application.prefix_length)
        self._plans = {id(script_map): self._plan(script_map) for script_map in script_maps}
        self.always: HandlerPlan | None = None
        if self._mapper.always is not None:
            self.always = self._plans[id(self._mapper.always.script_map)]
            modules = self.always.script_map.modules
            self.is_always_for_loop = "AsgiModule" in modules and not self._has_filters
        for bad in self.bad_modules:
            bad.tell(application.config_path)
        if errors is not None:
            self.head = _refusal(refuse_configuration)
        elif self.bad_modules:
            self.head = _refusal(refuse_bad_modules)
        else:
            self.head = self._head()

    def plan_for(self, script_map: ScriptMapInfo) -> HandlerPlan:
        """The plan of a mapping: one of `handlers`, or one that a module has made."""
        plan = self._plans.get(id(script_map))
        if plan is None or plan.script_map is not script_map:
            plan = self._plan(script_map)
        return plan

    def module_of(self, context: HttpContext, registration: ModuleRegistration) -> HttpModule:
        """The object that answers for a module in a request."""
        for known, shared in self._modules:
            if known is registration and shared is not None:
                return shared
        objects = context.kept or context.objects or make_objects(context)
        return objects[self.slots[registration.id]]

    def name_of(self, module_id: int) -> str:
        """The name of a module in this list, "" if it is not."""
        return next((r.name for r, _ in self._modules if r.id == module_id), "")

    # ── building ────────────────────────────────────────────────────────────────────────────────

    def _runs(self, steps: Iterable[Step], is_nested: bool = False) -> tuple[Run, ...]:
        return make_runs(
            steps,
            self.slots,
            asks_verdict=self._asks_verdict and not is_nested,
            is_nested=is_nested,
            free=(require_user, refuse_unhandled),
        )

    def _nested(self, notification: RequestNotification) -> tuple[Call, ...]:
        runs = self._runs(self._event(notification, False), is_nested=True)
        return tuple(run.call for run in runs)

    def _head(self) -> tuple[Run, ...]:
        steps = [*self._events((RQ.BEGIN_REQUEST,))]
        if self._runtime is not None:
            steps.insert(0, Step(self._runtime, RQ.BEGIN_REQUEST, False, None))
        steps += self._event(RQ.AUTHENTICATE_REQUEST, False)
        steps.append(Step(require_user, RQ.AUTHENTICATE_REQUEST, False, None))
        steps += self._event(RQ.AUTHENTICATE_REQUEST, True)
        steps += self._events((RQ.AUTHORIZE_REQUEST, RQ.RESOLVE_REQUEST_CACHE))
        steps += self._event(RQ.MAP_REQUEST_HANDLER, False)
        steps.append(Step(self._map_handler, RQ.MAP_REQUEST_HANDLER, False, None))
        return self._runs(steps)

    def _plan(self, script_map: ScriptMapInfo) -> HandlerPlan:
        before = (RQ.ACQUIRE_REQUEST_STATE, RQ.PRE_EXECUTE_REQUEST_HANDLER)
        after = (RQ.RELEASE_REQUEST_STATE, RQ.UPDATE_REQUEST_CACHE)
        steps = [*self._event(RQ.MAP_REQUEST_HANDLER, True), *self._events(before)]
        check = access.make_check(script_map.required_access, self._policy)
        if check is not None:
            steps.append(Step(check, RQ.EXECUTE_REQUEST_HANDLER, False, None))
        steps += self._handlers(script_map)
        steps += self._event(RQ.EXECUTE_REQUEST_HANDLER, True)
        steps += self._events(after)
        return HandlerPlan(script_map, self._runs(steps))

    def _handlers(self, script_map: ScriptMapInfo) -> Iterable[Step]:
        rq = RQ.EXECUTE_REQUEST_HANDLER
        by_name = {registration.name: (registration, m) for registration, m in self._modules}
        is_first = True
        for name in script_map.modules:
            if name not in by_name:
                yield Step(_refuse_unknown_handler, rq, False, None)
                return
            registration, shared = by_name[name]
            if not registration.mask & int(rq):
                continue
            call = bind(registration, shared, rq, False)
            if call is None:
                continue
            yield Step(call if is_first else Unhandled(call), rq, False, registration)
            is_first = False
        yield Step(refuse_unhandled, rq, False, None)

    def _events(self, notifications: Iterable[RequestNotification]) -> tuple[Step, ...]:
        steps: list[Step] = []
        for notification in notifications:
            steps += self._event(notification, False)
            steps += self._event(notification, True)
        return tuple(steps)

    def _event(self, notification: RequestNotification, is_post: bool) -> list[Step]:
        """The steps of one event, in the order of calls."""
        known = self._known.get((notification, is_post))
        if known is None:
            known = self._known[notification, is_post] = self._find(notification, is_post)
        return known

    def _find(self, notification: RequestNotification, is_post: bool) -> list[Step]:
        if is_post and notification not in DETERMINISTIC:
            return []
        bit = int(notification)  # an enum's & costs more than all else here
        subscribed = [
            (registration, shared)
            for registration, shared in self._modules
            if (registration.post_mask if is_post else registration.mask) & bit
        ]
        subscribed.sort(key=lambda pair: pair[0].priority(notification, is_post))
        steps: list[Step] = []
        for registration, shared in subscribed:
            call = bind(registration, shared, notification, is_post)
            if call is not None:
                steps.append(Step(call, notification, is_post, registration))
        return steps

    # ── the core's own step ─────────────────────────────────────────────────────────────────────

    def _map_handler(self, context: HttpContext, _: object) -> RequestNotificationStatus:
        """Choose the handler, unless a module has."""
        if context.plan is not None:
            return CONTINUE
        skipped = context.child.skipped if context.child is not None else None
        if self.always is not None and not skipped:
            context.plan = self.always
            return CONTINUE
        found = self._mapper.find(context.method, context.path, context.resource_mode, skipped)
        if isinstance(found, NoMatch):
            if found.is_missing_file and context.is_out_of_reach:
                return refuse(context, 401, 3, E_ACCESSDENIED)
            sub_status, hresult = (
                (0, E_FILE_NOT_FOUND) if found.is_missing_file else (4, E_INVALID_NAME)
            )
            return refuse(context, 404, sub_status, hresult)
        context.plan = self._plans[id(found.script_map)]
        context.path_info_at = found.path_info_at
        return CONTINUE

    def find(
        self,
        verb: str,
        path: str,
        resource_mode: Callable[[int], int],
        skipped: frozenset[str] | None = None,
    ) -> ScriptMapInfo | None:
        """The mapping that a request for a path of this application would get, None for none."""
        found = self._mapper.find(verb, path, resource_mode, skipped)
        return None if isinstance(found, NoMatch) else found.script_map

    def is_for_loop(self, verb: str, path: str) -> bool:
        """Whether a request would get a handler on the event loop, and nothing blocks before."""
        if self._has_filters or self.always is not None:
            return self.is_always_for_loop
        script_map = self.find(verb, path, _no_file)
        return script_map is not None and "AsgiModule" in script_map.modules

    @property
    def wildcards(self) -> frozenset[str]:
        """The names of the wildcard script maps."""
        return frozenset(
            plan.script_map.name
            for plan in self._plans.values()
            if plan.script_map.is_star_script_map
        )


def _refusal(call: Call) -> tuple[Run, ...]:
    return (single(Step(call, RQ.BEGIN_REQUEST, False, None)),)


def _no_file(_at: int) -> int:
    return 0


def require_user(context: HttpContext, _: object) -> RequestNotificationStatus:
    """After the event the core requires a user."""
    if context.user is not None:
        return CONTINUE
    return refuse(context, 401, 2, E_ACCESSDENIED)


def refuse_unhandled(context: HttpContext, _: object) -> RequestNotificationStatus:
    """Every module of the mapping has passed: the last status it set, or 404.0."""
    if context.is_handled or context.exchange.started:
        return CONTINUE
    if context.response.status < 400:
        return refuse(context, 404, 0, E_FILE_NOT_FOUND)
    return FINISH_REQUEST


def _refuse_unknown_handler(context: HttpContext, _: object) -> RequestNotificationStatus:
    if context.is_handled:
        return CONTINUE
    text = "The handler has a bad module in its module list: "
    text += "it is not among the modules in use here."
    return refuse(context, 500, 21, E_INVALID_DATA, text)


def _wants_errors_only(run: Run) -> bool:
    module = getattr(run.call, "__self__", None)
    return isinstance(module, HttpModule) and module.wants_errors_only
