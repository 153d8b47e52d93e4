"""Modules that are added to one application while its list of modules is made.

At GL_APPLICATION_RESOLVE_MODULES a module may register others for the application: that is how
IIS's managed engine brings in what `modules` names by type. Such a module takes the place that its
name has in `modules`; one that is not named there comes after all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from was.worker.calls.preconditions import is_satisfied
from was.worker.calls.registration import ModuleRegistration, bits_of, priority_of
from was.worker.global_modules.providers import ApplicationProvider
from was.worker.interfaces.hresult import (
    ERROR_ALREADY_EXISTS,
    ERROR_FILE_NOT_FOUND,
    ERROR_INVALID_PARAMETER,
    HResultError,
)
from was.worker.notifications import Priority, RequestNotification

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.calls.registration import HttpModuleFactory

__all__ = ["ResolveModulesProvider"]


class ResolveModulesProvider(ApplicationProvider):
    """IHttpApplicationResolveModulesProvider."""

    __slots__ = ("_known_ids", "_next_id", "modules")

    def __init__(
        self,
        application: HttpApplication,
        known_ids: frozenset[int],
        next_id: Callable[[str], int],
    ) -> None:
        """`known_ids` are those of globalModules; `next_id` gives that of a new one."""
        super().__init__(application)
        self._known_ids = known_ids
        self._next_id = next_id
        self.modules: dict[str, ModuleRegistration] = {}

    def register_module(
        self,
        parent_id: int,
        factory: HttpModuleFactory,
        name: str,
        module_type: str = "",
        pre_condition: str = "",
        mask: int = 0,
        post_mask: int = 0,
    ) -> None:
        """Add a module to the application's list; its preCondition may leave it out again.

        HResultError: ERROR_FILE_NOT_FOUND for a parent that is no module of globalModules,
        ERROR_INVALID_PARAMETER without factory, name or notification, ERROR_ALREADY_EXISTS for a
        name that has been registered. `module_type` is for the module itself.
        """
        if parent_id not in self._known_ids:
            raise HResultError(ERROR_FILE_NOT_FOUND, f"no module has the id {parent_id}")
        wanted = bits_of(RequestNotification, mask)
        wanted_post = bits_of(RequestNotification, post_mask)
        if not name or not hasattr(factory, "get_http_module") or not (wanted or wanted_post):
            raise HResultError(
                ERROR_INVALID_PARAMETER, "a module has a name, a factory and notifications"
            )
        if name in self.modules:
            raise HResultError(ERROR_ALREADY_EXISTS, f"'{name}' is registered already")
        if not is_satisfied(pre_condition, self.application.pool):
            return
        before = self.application.resolved_modules.get(name)
        registration = ModuleRegistration(
            name, self._next_id(name) if before is None else before.id
        )
        registration.factory = factory
        registration.mask = wanted
        registration.post_mask = wanted_post
        self.modules[name] = registration

    def set_priority_for_request_notification(
        self, name: str, mask: int, priority: Priority | str | int
    ) -> None:
        """Choose the place of a module registered here within the events of `mask`.

        HResultError: ERROR_FILE_NOT_FOUND for an unknown name, ERROR_INVALID_PARAMETER for an
        unknown alias or event.
        """
        registration = self.modules.get(name)
        if registration is None:
            raise HResultError(ERROR_FILE_NOT_FOUND, f"no module '{name}' is registered here")
        place = priority_of(priority)
        for bit in RequestNotification(bits_of(RequestNotification, mask)):
            registration.priorities[bit] = place
