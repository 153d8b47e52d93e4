"""Call lists: which module is called when, worked out once for an application and each handler.

A list is a flat tuple of runs (see event_calls); an event nobody subscribed to has none. The order
is that of the event's steps (see event_steps); RQ_SEND_RESPONSE turns it round.

    head     BEGIN_REQUEST … MAP_REQUEST_HANDLER, then the core's choice of a handler
    plan     of the handler chosen (see handler_plans): POST_MAP_REQUEST_HANDLER …
             POST_UPDATE_REQUEST_CACHE
    closing  LOG_REQUEST … POST_END_REQUEST, which run for every request

The worker's own modules are called directly; before any other the scoreboard is told which module
and notification runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from was.worker.applications.runtime_limits import limits_of
from was.worker.calls.bad_modules import refuse_bad_modules
from was.worker.calls.event_calls import Call, Run, Step, make_runs, single
from was.worker.calls.event_steps import EventSteps, refuse_unhandled
from was.worker.calls.handler_plans import HandlerPlans
from was.worker.calls.http_module import HttpModule
from was.worker.calls.listed_modules import list_modules
from was.worker.calls.objects import make_objects
from was.worker.calls.registration import ModuleRegistration
from was.worker.interfaces.hresult import E_ACCESSDENIED
from was.worker.notifications import CONTINUE, RequestNotification, RequestNotificationStatus
from was.worker.refusing import refuse, refuse_configuration

if TYPE_CHECKING:
    from was.errors import ConfigErrors
    from was.worker.applications.application import HttpApplication
    from was.worker.applications.runtime_limits import RuntimeLimits
    from was.worker.completion import AsyncCompletion
    from was.worker.interfaces.context import HttpContext
    from was.worker.mapping import ScriptMapInfo
    from was.worker.tracing.traced_calls import TracedCalls

__all__ = ["CallLists", "Completer"]

RQ = RequestNotification

# Raised within other events.
_NESTED = int(RQ.SEND_RESPONSE | RQ.READ_ENTITY | RQ.MAP_PATH | RQ.CUSTOM_NOTIFICATION)

_ANY_LENGTH = 1 << 63

Completer = Callable[["HttpContext", "AsyncCompletion | RequestNotificationStatus"], None]


class CallLists:
    """The call lists of one application under one state of its settings."""

    def __init__(
        self,
        application: HttpApplication,
        registrations: dict[str, ModuleRegistration],
        completer: Completer,
        errors: ConfigErrors | None,
        traces: TracedCalls | None,
    ) -> None:
        """`errors` are why the path's own configuration is not in force.

        Every request is refused for them then, in place of events before LOG_REQUEST; so it is for
        modules that are listed and cannot be called.
        """
        self.complete = completer if traces is None else traces.completing(completer)
        self.errors = errors
        self._modules, self.bad_modules = list_modules(application, registrations)
        for bad in self.bad_modules:
            bad.tell(application.config_path)
        # Who makes an object for each request, in order: a context keeps them in a list.
        own = [r for r, shared in self._modules if shared is None]
        self.makers = tuple(r.factory.get_http_module for r in own if r.factory is not None)
        # The classes of their objects, as they are met; whether any has a dispose of its own.
        self.kinds: set[type] = set()
        self.disposes = False
        self.slots = {registration.id: at for at, registration in enumerate(own)}
        # ISAPI filters and log plug-ins: not our code, though in modules of ours.
        active = {r.name for r, m in self._modules if type(m) is not HttpModule}
        has_filters = "IsapiFilterModule" in active
        # Not on the event loop, then: an error page may be the answer of another URL, which may
        # be the loop's.
        self.may_block = (
            has_filters
            or "CustomLoggingModule" in active
            or application.settings.http_errors.executes_urls
        )
        self._asks_verdict = has_filters or any(
            r.mask & _NESTED for r, _ in self._modules if not r.is_ours
        )
        runtime = limits_of(application)
        self.most_content = self._most_content(application, runtime)
        steps = EventSteps(self._modules, _unchanged if traces is None else traces.around)
        closing = steps.both(RQ.LOG_REQUEST, RQ.END_REQUEST)
        self.closing = self._runs(closing if traces is None else [*closing, traces.last])
        sending = self._runs(reversed(steps.of(RQ.SEND_RESPONSE)), is_nested=True)
        self.send_response = tuple(run.call for run in sending)
        # Without those that say they have nothing to do below 400.
        self.send_success = tuple(run.call for run in sending if not _wants_errors_only(run))
        self.send_errors = tuple(run.call for run in sending if _wants_errors_only(run))
        self.read_entity = self._nested(steps.of(RQ.READ_ENTITY))
        self.map_path = self._nested(steps.of(RQ.MAP_PATH))
        self.custom = self._nested(steps.of(RQ.CUSTOM_NOTIFICATION))
        self.handlers = HandlerPlans(application, steps, self._runs)
        always = self.handlers.always
        self.is_always_for_loop = (
            always is not None and not self.may_block and _is_for_loop(always.script_map)
        )
        if errors is not None:
            self.head = _refusal(refuse_configuration)
        elif self.bad_modules:
            self.head = _refusal(refuse_bad_modules)
        else:
            first = [] if traces is None else [traces.first]
            self.head = self._head(steps, runtime, first)

    def module_of(self, context: HttpContext, registration: ModuleRegistration) -> HttpModule:
        """The object that answers for a module in a request."""
        for known, shared in self._modules:
            if known is registration and shared is not None:
                return shared
        objects = context.kept or context.objects or make_objects(context)
        return objects[self.slots[registration.id]]

    def place_of(self, registration: ModuleRegistration) -> int:
        """The place of a module in this list, -1 if it is not there."""
        return next((at for at, (r, _) in enumerate(self._modules) if r is registration), -1)

    def name_of(self, module_id: int) -> str:
        """The name of a module in this list, "" if it is not."""
        return next((r.name for r, _ in self._modules if r.id == module_id), "")

    def is_for_loop(self, verb: str, path: str) -> bool:
        """Whether a request would get a handler on the event loop, and nothing blocks before."""
        if self.may_block or self.handlers.always is not None:
            return self.is_always_for_loop
        script_map = self.handlers.find(verb, path, _no_file)
        return script_map is not None and _is_for_loop(script_map)

    # ── building ────────────────────────────────────────────────────────────────────────────────

    def _most_content(self, application: HttpApplication, runtime: RuntimeLimits | None) -> int:
        """Longer bodies are refused by their length alone."""
        most = _ANY_LENGTH if runtime is None else runtime.most_content
        if any(r.name == "RequestFilteringModule" for r, _ in self._modules):
            limits = application.settings.request_filtering.request_limits
            most = min(most, limits.max_allowed_content_length)
        return most

    def _runs(self, steps: Iterable[Step], is_nested: bool = False) -> tuple[Run, ...]:
        return make_runs(
            steps,
            self.slots,
            asks_verdict=self._asks_verdict and not is_nested,
            is_nested=is_nested,
            free=(require_user, refuse_unhandled),
        )

    def _nested(self, steps: Iterable[Step]) -> tuple[Call, ...]:
        return tuple(run.call for run in self._runs(steps, is_nested=True))

    def _head(
        self, steps: EventSteps, runtime: RuntimeLimits | None, first: list[Step]
    ) -> tuple[Run, ...]:
        limits = [] if runtime is None else [Step(runtime, RQ.BEGIN_REQUEST, False, None)]
        return self._runs(
            [
                *limits,
                *first,
                *steps.both(RQ.BEGIN_REQUEST),
                *steps.of(RQ.AUTHENTICATE_REQUEST),
                Step(require_user, RQ.AUTHENTICATE_REQUEST, False, None),
                *steps.of(RQ.AUTHENTICATE_REQUEST, True),
                *steps.both(RQ.AUTHORIZE_REQUEST, RQ.RESOLVE_REQUEST_CACHE),
                *steps.of(RQ.MAP_REQUEST_HANDLER),
                Step(self.handlers.choose, RQ.MAP_REQUEST_HANDLER, False, None),
            ]
        )


def _unchanged(step: Step) -> Step:
    return step


def _is_for_loop(script_map: ScriptMapInfo) -> bool:
    return "AsgiModule" in script_map.modules


def _refusal(call: Call) -> tuple[Run, ...]:
    return (single(Step(call, RQ.BEGIN_REQUEST, False, None)),)


def _no_file(_at: int) -> int:
    return 0


def require_user(context: HttpContext, _: object) -> RequestNotificationStatus:
    """After the event the core requires a user."""
    if context.user is not None:
        return CONTINUE
    return refuse(context, 401, 2, E_ACCESSDENIED)


def _wants_errors_only(run: Run) -> bool:
    module = getattr(run.call, "__self__", None)
    return isinstance(module, HttpModule) and module.wants_errors_only
