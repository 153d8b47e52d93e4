"""GlobalEvents: raises the GL_ events to the global modules that have registered for them.

Order: priority, then the module's place in globalModules. GL_HANDLED ends the round; an exception
is logged and the next module is called, so no module can keep an event from another by failing. An
event that nobody has registered for costs a look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from was.log import log, log_exception
from was.worker.calls.registration import ModuleRegistration, global_method_of
from was.worker.notifications import (
    GL_CONTINUE,
    GL_HANDLED,
    GLOBAL_METHODS,
    GlobalNotification,
    GlobalNotificationStatus,
    Priority,
)

if TYPE_CHECKING:
    from was.worker.interfaces.providers import EventProvider

__all__ = ["GlobalEvents"]

_Call = tuple[ModuleRegistration, Callable[["EventProvider"], object]]


class GlobalEvents:
    """The call lists of all GL_ events of one worker. Any thread may raise."""

    def __init__(self) -> None:
        self._calls: dict[GlobalNotification, tuple[_Call, ...]] = {}
        self._complained: set[tuple[int, GlobalNotification]] = set()

    def subscribe(self, registrations: Iterable[ModuleRegistration]) -> None:
        """Put the lists together; `registrations` come in globalModules' order."""
        known = list(registrations)
        calls: dict[GlobalNotification, tuple[_Call, ...]] = {}
        for bit in GlobalNotification:
            of_bit = [r for r in known if r.global_module is not None and r.global_mask & int(bit)]
            of_bit.sort(key=lambda r: r.global_priorities.get(bit, Priority.MEDIUM))
            if of_bit:
                method = GLOBAL_METHODS[bit]
                calls[bit] = tuple(
                    (r, global_method_of(r.global_module, method))
                    for r in of_bit
                    if r.global_module is not None
                )
        self._calls = calls

    def is_wanted(self, notification: GlobalNotification) -> bool:
        """Whether any module has registered for it."""
        return notification in self._calls

    def is_awaited(self, notification: GlobalNotification) -> bool:
        """Whether any of those is not idle under the configuration in force."""
        modules = [r.global_module for r, _ in self._calls.get(notification, ())]
        # Each is asked: it takes notice of the configuration so.
        idle = [module is None or module.is_idle() for module in modules]
        return not all(idle)

    def raise_event(
        self, notification: GlobalNotification, provider: EventProvider
    ) -> GlobalNotificationStatus:
        """Call the modules one after the other until one has handled it. Never raises."""
        for registration, call in self._calls.get(notification, ()):
            try:
                status = call(provider)
            except BaseException as error:  # noqa: BLE001 whatever a module raises ends here
                log_exception(
                    "module_failed", error, module=registration.name, during=notification.name
                )
                continue
            if status == GL_HANDLED:
                return GL_HANDLED
            if status is not None and status != GL_CONTINUE:
                self._complain(registration, notification, status)
        return GL_CONTINUE

    def _complain(
        self, registration: ModuleRegistration, notification: GlobalNotification, status: object
    ) -> None:
        """A wrong value counts as GL_CONTINUE, and is said once."""
        key = (registration.id, notification)
        if key not in self._complained:
            self._complained.add(key)
            log(
                "module_failed",
                module=registration.name,
                during=notification.name,
                error=f"answered {status!r}, which is no GlobalNotificationStatus",
            )

    def close(self) -> None:
        """The modules are about to be terminated: nothing is raised any more."""
        self._calls = {}
