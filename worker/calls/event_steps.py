"""The steps of each event: the calls of its modules, in their order.

Priority, then the module's place in `modules`; at RQ_EXECUTE_REQUEST_HANDLER the order is that of
the handler's own `modules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from was.worker.calls.event_calls import Step, Unhandled, bind
from was.worker.interfaces.hresult import E_FILE_NOT_FOUND, E_INVALID_DATA
from was.worker.notifications import (
    CONTINUE,
    DETERMINISTIC,
    FINISH_REQUEST,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.calls.listed_modules import ListedModule
    from was.worker.interfaces.context import HttpContext
    from was.worker.mapping import ScriptMapInfo

__all__ = ["EventSteps", "refuse_unhandled"]

RQ = RequestNotification


class EventSteps:
    """Those of one list of modules; `around` may put something around the call of each."""

    def __init__(self, modules: list[ListedModule], around: Callable[[Step], Step]) -> None:
        self._modules = modules
        self._around = around
        # Every handler's plan has the same events: their steps are found once.
        self._known: dict[tuple[RequestNotification, bool], list[Step]] = {}

    def both(self, *notifications: RequestNotification) -> list[Step]:
        """The steps of events, each followed by those of its post-event."""
        return [
            step
            for notification in notifications
            for is_post in (False, True)
            for step in self.of(notification, is_post)
        ]

    def of(self, notification: RequestNotification, is_post: bool = False) -> list[Step]:
        """The steps of one event, or post-event."""
        known = self._known.get((notification, is_post))
        if known is None:
            found = self._find(notification, is_post)
            known = self._known[notification, is_post] = list(map(self._around, found))
        return known

    def _find(self, notification: RequestNotification, is_post: bool) -> Iterator[Step]:
        if is_post and notification not in DETERMINISTIC:
            return
        bit = int(notification)  # an enum's & costs more than all else here
        subscribed = [
            (registration, shared)
            for registration, shared in self._modules
            if (registration.post_mask if is_post else registration.mask) & bit
        ]
        subscribed.sort(key=lambda pair: pair[0].priority(notification, is_post))
        for registration, shared in subscribed:
            call = bind(registration, shared, notification, is_post)
            if call is not None:
                yield Step(call, notification, is_post, registration)

    def of_handler(self, script_map: ScriptMapInfo) -> list[Step]:
        """The modules of a mapping, each asked if none before it has answered."""
        return list(map(self._around, self._find_handlers(script_map)))

    def _find_handlers(self, script_map: ScriptMapInfo) -> Iterator[Step]:
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
