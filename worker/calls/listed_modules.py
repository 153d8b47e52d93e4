"""Which modules take part in the requests of an application: `modules`, and those added to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.config.model import ModuleEntry
from was.log import text_of
from was.worker.calls.bad_modules import BadModule
from was.worker.calls.preconditions import is_satisfied
from was.worker.calls.registration import ApplicationModuleFactory, HttpModule, ModuleRegistration
from was.worker.interfaces.hresult import E_FAIL, E_INVALID_DATA

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication

__all__ = ["ListedModule", "list_modules"]

# With the object for all requests; None: each has one of its own.
ListedModule = tuple[ModuleRegistration, HttpModule | None]


def list_modules(
    application: HttpApplication, registrations: dict[str, ModuleRegistration]
) -> tuple[list[ListedModule], list[BadModule]]:
    """The modules in order, and those that are listed and cannot be called."""
    good: list[ListedModule] = []
    bad: list[BadModule] = []

    def add(registration: ModuleRegistration, entry: ModuleEntry) -> None:
        factory = registration.factory
        if isinstance(factory, ApplicationModuleFactory):
            try:
                good.append((registration, factory.get_application_module(application)))
            except Exception as error:  # noqa: BLE001 a module's fault costs its application
                bad.append(BadModule(entry, text_of(error), E_FAIL))
        elif factory is not None:
            good.append((registration, None))

    added = dict(application.resolved_modules)
    for entry in application.settings.modules:
        registration = added.pop(entry.name, None)
        if registration is None:
            if entry.type:
                continue
            registration = registrations.get(entry.name)
        if not is_satisfied(entry.pre_condition, application.pool):
            continue
        if registration is None:
            bad.append(BadModule(entry, "it is not among globalModules", E_INVALID_DATA))
        elif registration.failure:
            bad.append(BadModule(entry, registration.failure, registration.hresult))
        else:
            add(registration, entry)
    for registration in added.values():
        add(registration, ModuleEntry(name=registration.name))
    return good, bad
