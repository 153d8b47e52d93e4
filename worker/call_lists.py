"""Call lists: which module is called when, worked out once for an application and each handler.

A list is a flat tuple of steps; an event nobody subscribed to has no step. Sorting: priority,
then the module's place in `modules`; RQ_SEND_RESPONSE turns both round; at
RQ_EXECUTE_REQUEST_HANDLER the order is that of the handler's own `modules`.

    head     BEGIN_REQUEST … MAP_REQUEST_HANDLER, then the core's choice of a handler
    plan     of the handler chosen: POST_MAP_REQUEST_HANDLER … POST_UPDATE_REQUEST_CACHE
    closing  LOG_REQUEST … POST_END_REQUEST, which run for every request

The worker's own modules (`was.` images) are called directly; before any other the scoreboard is
told which module and notification runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from was.worker import access
from was.worker.mapping import HandlerMapper, NoMatch, ScriptMapInfo
from was.worker.notifications import (
    CONTINUE,
    DETERMINISTIC,
    FINISH_REQUEST,
    METHODS,
    POST_METHODS,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.preconditions import is_satisfied
from was.worker.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistration,
    method_of,
)

if TYPE_CHECKING:
    from was.errors import ConfigErrors
    from was.worker.application import HttpApplication
    from was.worker.completion import AsyncCompletion
    from was.worker.context import HttpContext

__all__ = ["CallLists", "HandlerPlan", "Step"]

RQ = RequestNotification

# The provider's type depends on the event; the module knows it by its method.
Call = Callable[["HttpContext", Any], RequestNotificationStatus]
Completer = Callable[["HttpContext", "AsyncCompletion | RequestNotificationStatus"], None]


class Step(NamedTuple):
    """One call of one module; `registration` None is the core itself."""

    call: Call
    notification: RequestNotification
    is_post: bool
    registration: ModuleRegistration | None


class HandlerPlan:
    """A handler mapping with the steps that follow its choice."""

    __slots__ = ("response_buffer_limit", "script_map", "steps")

    def __init__(self, script_map: ScriptMapInfo, steps: tuple[Step, ...]) -> None:
        self.script_map = script_map
        self.steps = steps
        self.response_buffer_limit = script_map.response_buffer_limit


class CallLists:
    """The call lists of one application under one state of its settings."""

    def __init__(
        self,
        application: HttpApplication,
        registrations: dict[str, ModuleRegistration],
        completer: Completer,
        refusal: Call | None = None,
        errors: ConfigErrors | None = None,
    ) -> None:
        """`refusal`, if given, answers every request in place of events before LOG_REQUEST.

        `errors` are why the path's own configuration is not in force.
        """
        self.complete = completer
        self.errors = errors
        settings = application.settings
        # Every handler's plan has the same events: their steps are found once.
        self._known: dict[tuple[RequestNotification, bool], list[Step]] = {}
        self._modules: list[tuple[ModuleRegistration, HttpModule | None]] = []
        self.missing_modules: list[str] = []
        added = dict(application.resolved_modules)
        for entry in settings.modules:
            registration = added.pop(entry.name, None)
            if registration is None:
                if entry.type:
                    continue
                registration = registrations.get(entry.name)
            if not is_satisfied(entry.pre_condition, application.pool):
                continue
            if registration is None:
                self.missing_modules.append(entry.name)
            else:
                self._add_module(application, registration)
        for registration in added.values():
            self._add_module(application, registration)
        self.closing = self._events((RQ.LOG_REQUEST, RQ.END_REQUEST))
        sending = list(reversed(self._event(RQ.SEND_RESPONSE, False)))
        self.send_response = tuple(step.call for step in sending)
        # Without those that say they have nothing to do below 400.
        self.send_success = tuple(step.call for step in sending if not _wants_errors_only(step))
        self.read_entity = tuple(step.call for step in self._event(RQ.READ_ENTITY, False))
        self.map_path = tuple(step.call for step in self._event(RQ.MAP_PATH, False))
        self.custom = tuple(step.call for step in self._event(RQ.CUSTOM_NOTIFICATION, False))
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
        if refusal is None and self.missing_modules:
            refusal = _refuse_missing_module
        if refusal is not None:
            self.head: tuple[Step, ...] = (Step(refusal, RQ.BEGIN_REQUEST, False, None),)
        else:
            self.head = self._head()

    def _add_module(self, application: HttpApplication, registration: ModuleRegistration) -> None:
        factory = registration.factory
        if factory is not None:
            shared = None
            if isinstance(factory, ApplicationModuleFactory):
                shared = factory.get_application_module(application)
            self._modules.append((registration, shared))

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
        return context.module_object(registration)

    # ── building ────────────────────────────────────────────────────────────────────────────────

    def _head(self) -> tuple[Step, ...]:
        steps = [*self._events((RQ.BEGIN_REQUEST,))]
        steps += self._event(RQ.AUTHENTICATE_REQUEST, False)
        steps.append(Step(require_user, RQ.AUTHENTICATE_REQUEST, False, None))
        steps += self._event(RQ.AUTHENTICATE_REQUEST, True)
        steps += self._events((RQ.AUTHORIZE_REQUEST, RQ.RESOLVE_REQUEST_CACHE))
        steps += self._event(RQ.MAP_REQUEST_HANDLER, False)
        steps.append(Step(self._map_handler, RQ.MAP_REQUEST_HANDLER, False, None))
        return tuple(steps)

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
        return HandlerPlan(script_map, tuple(steps))

    def _handlers(self, script_map: ScriptMapInfo) -> Iterable[Step]:
        rq = RQ.EXECUTE_REQUEST_HANDLER
        by_name = {registration.name: (registration, m) for registration, m in self._modules}
        is_first = True
        for name in script_map.modules:
            if name not in by_name:
                yield Step(_refuse_unknown_handler, rq, False, None)
                return
            registration, shared = by_name[name]
            if not registration.mask & rq:
                continue
            call = _bind(registration, shared, METHODS[rq], rq, False)
            if call is None:
                continue
            hinted = call if shared is None else _Hinted(call, rq << 16 | registration.id)
            yield Step(hinted if is_first else _Unhandled(hinted), rq, False, registration)
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
        method = (POST_METHODS if is_post else METHODS)[notification]
        subscribed = [
            (registration, shared)
            for registration, shared in self._modules
            if (registration.post_mask if is_post else registration.mask) & notification
        ]
        subscribed.sort(key=lambda pair: pair[0].priority(notification, is_post))
        steps: list[Step] = []
        for registration, shared in subscribed:
            call = _bind(registration, shared, method, notification, is_post)
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
                context.response.set_status(401, "Unauthorized", 3, 0x80070005)
                return FINISH_REQUEST
            sub_status, hresult = (0, 0x80070002) if found.is_missing_file else (4, 0x8007007B)
            context.response.set_status(404, "Not Found", sub_status, hresult)
            return FINISH_REQUEST
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

    @property
    def wildcards(self) -> frozenset[str]:
        """The names of the wildcard script maps."""
        return frozenset(
            plan.script_map.name
            for plan in self._plans.values()
            if plan.script_map.is_star_script_map
        )


def require_user(context: HttpContext, _: object) -> RequestNotificationStatus:
    """After the event the core requires a user."""
    if context.user is not None:
        return CONTINUE
    context.response.set_status(401, "Unauthorized", 2, 0x80070005)
    return FINISH_REQUEST


def refuse_unhandled(context: HttpContext, _: object) -> RequestNotificationStatus:
    """Every module of the mapping has passed: the last status it set, or 404.0."""
    if context.is_handled or context.exchange.started:
        return CONTINUE
    if context.response.status < 400:
        context.response.set_status(404, "Not Found", 0, 0x80070002)
    return FINISH_REQUEST


def _refuse_unknown_handler(context: HttpContext, _: object) -> RequestNotificationStatus:
    if context.is_handled:
        return CONTINUE
    context.response.set_status(500, "Internal Server Error", 21, 0x8007000D)
    context.response.set_error_description(
        "The handler has a bad module in its module list: it is not among the modules in use here."
    )
    return FINISH_REQUEST


def _refuse_missing_module(context: HttpContext, _: object) -> RequestNotificationStatus:
    context.response.set_status(500, "Internal Server Error", 21, 0x8007000D)
    context.response.set_error_description(
        f"Not in globalModules: {', '.join(context.calls.missing_modules)}."
    )
    return FINISH_REQUEST


def _wants_errors_only(step: Step) -> bool:
    module = getattr(step.call, "__self__", None)
    return isinstance(module, HttpModule) and module.wants_errors_only


def _bind(
    registration: ModuleRegistration,
    shared: HttpModule | None,
    method: str,
    notification: RequestNotification,
    is_post: bool,
) -> Call | None:
    if shared is None:
        return _RequestModuleCall(registration, method, notification, is_post)
    if not hasattr(type(shared), method):
        return None
    bound: Call = getattr(shared, method)
    return bound


class _RequestModuleCall:
    """Calls the request's own module object, after telling the scoreboard."""

    __slots__ = ("_hint", "_is_post", "_method", "_notification", "_registration")

    def __init__(
        self,
        registration: ModuleRegistration,
        method: str,
        notification: RequestNotification,
        is_post: bool,
    ) -> None:
        self._registration = registration
        self._method = method
        self._notification = int(notification)
        self._is_post = is_post
        self._hint = self._notification << 16 | registration.id

    def __call__(self, context: HttpContext, provider: object) -> RequestNotificationStatus:
        module_id = self._registration.id
        if context.disabled is not None:
            masks = context.disabled.get(module_id, (0, 0))
            if masks[self._is_post] & self._notification:
                return CONTINUE
        exchange = context.exchange
        exchange.words[exchange.row + 1] = self._hint
        before, context.current_module = context.current_module, module_id
        try:
            status = method_of(context.module_object(self._registration), self._method)(
                context, provider
            )
        finally:
            context.current_module = before
        return status


class _Hinted:
    """A handler's call, after telling the scoreboard."""

    __slots__ = ("_call", "_hint")

    def __init__(self, call: Call, hint: int) -> None:
        self._call = call
        self._hint = hint

    def __call__(self, context: HttpContext, provider: object) -> RequestNotificationStatus:
        exchange = context.exchange
        exchange.words[exchange.row + 1] = self._hint
        return self._call(context, provider)


class _Unhandled:
    """A handler's call, if no module before it in the mapping has answered."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __call__(self, context: HttpContext, provider: object) -> RequestNotificationStatus:
        return CONTINUE if context.is_handled else self._call(context, provider)
