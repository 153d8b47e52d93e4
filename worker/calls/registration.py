"""How modules come into the worker: register_module, factories, masks and priorities.

`globalModules/add` names a Python module (`image`). It is imported once a worker, in list order,
and its `register_module(server_version, registration_info, http_server)` says which notifications
it wants. A module that cannot be loaded stops nothing but the applications whose `modules` name it.

Request modules come from a factory: one object a request and module, asked for when the module's
first notification is due. ApplicationModuleFactory is the cheap kind for modules that keep nothing
of a request: one object an application, made when the application's call lists are built, so
that it can work out everything from the settings beforehand; methods it does not have take no
place in a call list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from was.log import log_exception, text_of
from was.worker.calls.http_module import HttpModule, warn_of_missing
from was.worker.calls.module_images import import_image
from was.worker.global_modules.global_module import GlobalModule
from was.worker.interfaces.hresult import (
    E_FAIL,
    ERROR_ALREADY_EXISTS,
    ERROR_INVALID_PARAMETER,
    ERROR_MOD_NOT_FOUND,
    ERROR_PROC_NOT_FOUND,
    HResultError,
    from_win32,
)
from was.worker.notifications import (
    GL_CONTINUE,
    GlobalNotification,
    GlobalNotificationStatus,
    Priority,
    RequestNotification,
)

if TYPE_CHECKING:
    from was.config.model import GlobalModule as GlobalModuleEntry
    from was.worker.applications.application import HttpApplication

__all__ = [
    "SERVER_VERSION",
    "ApplicationModuleFactory",
    "GlobalModule",
    "HttpModule",
    "HttpModuleFactory",
    "ModuleRegistration",
    "ModuleRegistrationInfo",
    "bits_of",
    "global_method_of",
    "load_global_module",
    "priority_of",
]

SERVER_VERSION = 10


class HttpModuleFactory(Protocol):
    """Makes the module object of each request."""

    def get_http_module(self, allocator: object) -> HttpModule:
        """A module object for one request."""
        ...

    def terminate(self) -> None:
        """The worker ends."""
        ...


class ApplicationModuleFactory:
    """One module object an application, for modules that keep nothing of a request."""

    def __init__(self, make: Callable[[HttpApplication], HttpModule]) -> None:
        self._make = make

    def get_http_module(self, allocator: object) -> HttpModule:
        """Never used by the pipeline, which asks for the application's object."""
        raise NotImplementedError("this module has one object an application")

    def get_application_module(self, application: HttpApplication) -> HttpModule:
        """The object for all requests of `application` under its present settings."""
        return self._make(application)

    def terminate(self) -> None:
        """Nothing to give back."""


class ModuleRegistration:
    """What one entry of globalModules has registered: read by the builder of call lists."""

    def __init__(self, name: str, module_id: int) -> None:
        self.name = name
        self.id = module_id
        self.is_ours = False  # whether it is one of the worker's own
        self.failure = ""  # why it could not be loaded
        self.hresult = 0
        self.factory: HttpModuleFactory | None = None
        self.mask = 0  # of RequestNotification; plain numbers are what building call lists needs
        self.post_mask = 0
        self.global_module: GlobalModule | None = None
        self.global_mask = 0  # of GlobalNotification
        self.priorities: dict[RequestNotification, Priority] = {}
        self.post_priorities: dict[RequestNotification, Priority] = {}
        self.global_priorities: dict[GlobalNotification, Priority] = {}

    def priority(self, notification: RequestNotification, is_post: bool) -> Priority:
        """The module's class within one event; a post-event takes the event's unless set."""
        of_event = self.priorities.get(notification, Priority.MEDIUM)
        return self.post_priorities.get(notification, of_event) if is_post else of_event


class ModuleRegistrationInfo:
    """IHttpModuleRegistrationInfo: handed to register_module."""

    def __init__(self, registration: ModuleRegistration) -> None:
        self._registration = registration

    @property
    def name(self) -> str:
        """The name in globalModules."""
        return self._registration.name

    @property
    def id(self) -> int:
        """The module's id in this worker."""
        return self._registration.id

    def set_request_notifications(
        self, factory: HttpModuleFactory, mask: int, post_mask: int
    ) -> None:
        """Subscribe to request notifications, once.

        Raises HResultError: ERROR_ALREADY_EXISTS the second time, ERROR_INVALID_PARAMETER for bits
        that are no notification and for a factory that is none.
        """
        registration = self._registration
        if registration.factory is not None:
            raise HResultError(ERROR_ALREADY_EXISTS, "request notifications are set already")
        checked = bits_of(RequestNotification, mask), bits_of(RequestNotification, post_mask)
        if not callable(getattr(factory, "get_http_module", None)):
            raise HResultError(ERROR_INVALID_PARAMETER, f"not a module factory: {factory!r:.80}")
        registration.mask, registration.post_mask = checked
        registration.factory = factory

    def set_global_notifications(self, module: GlobalModule, mask: int) -> None:
        """Subscribe to global notifications, once; errors as above."""
        registration = self._registration
        if registration.global_module is not None:
            raise HResultError(ERROR_ALREADY_EXISTS, "global notifications are set already")
        registration.global_mask = bits_of(GlobalNotification, mask)
        if not _is_global_module(module):
            raise HResultError(ERROR_INVALID_PARAMETER, f"not a GlobalModule: {module!r:.80}")
        registration.global_module = module

    def set_priority_for_request_notification(
        self, mask: int, priority: Priority | str | int
    ) -> None:
        """Choose the module's place within the events of `mask`.

        `priority` is a Priority, its number or its alias ("FIRST" … "LAST"). Raises HResultError:
        ERROR_INVALID_PARAMETER for what is none, and for unknown bits.
        """
        for bit in RequestNotification(bits_of(RequestNotification, mask)):
            self._registration.priorities[bit] = priority_of(priority)

    def set_priority_for_post_request_notification(
        self, mask: int, priority: Priority | str | int
    ) -> None:
        """Choose the module's place within the post-events of `mask`."""
        for bit in RequestNotification(bits_of(RequestNotification, mask)):
            self._registration.post_priorities[bit] = priority_of(priority)

    def set_priority_for_global_notification(
        self, mask: int, priority: Priority | str | int
    ) -> None:
        """Choose the module's place within global notifications."""
        for bit in GlobalNotification(bits_of(GlobalNotification, mask)):
            self._registration.global_priorities[bit] = priority_of(priority)


_KNOWN: dict[type, int] = {kind: sum(kind) for kind in (RequestNotification, GlobalNotification)}


def bits_of(kind: type[RequestNotification | GlobalNotification], mask: int) -> int:
    """A mask as a plain number. HResultError: ERROR_INVALID_PARAMETER for unknown bits."""
    if not _is_number(mask) or int(mask) & ~_KNOWN[kind]:
        raise HResultError(ERROR_INVALID_PARAMETER, f"no such notifications: {mask!r:.80}")
    return int(mask)


def _is_number(value: object) -> bool:
    return isinstance(value, int)


def _is_global_module(value: object) -> bool:
    return isinstance(value, GlobalModule)


def priority_of(value: Priority | str | int) -> Priority:
    """A class by its number or alias. HResultError: ERROR_INVALID_PARAMETER for what is none."""
    try:
        return Priority[value.upper()] if isinstance(value, str) else Priority(value)
    except (KeyError, ValueError):
        raise HResultError(ERROR_INVALID_PARAMETER, f"no such priority: {value!r:.80}") from None


def load_global_module(
    entry: GlobalModuleEntry, module_id: int, http_server: object
) -> ModuleRegistration:
    """Import one module of globalModules and let it register; never raises.

    Whatever goes wrong is told once, with the place of the entry, and kept as `failure`.
    """
    registration = ModuleRegistration(entry.name, module_id)
    try:
        image = import_image(entry.image)
        result: object = image.register_module(
            SERVER_VERSION, ModuleRegistrationInfo(registration), http_server
        )
        _check_result(result)
    except BaseException as error:  # noqa: BLE001 sys.exit() in a module must not end the worker
        registration = ModuleRegistration(entry.name, module_id)
        registration.failure = text_of(error)
        registration.hresult = _hresult_of(error)
        log_exception(
            "module_not_loaded",
            error,
            module=entry.name,
            image=entry.image,
            file=entry.file,
            line=entry.line,
        )
    return registration


def _check_result(result: object) -> None:
    if isinstance(result, int) and result & 0x80000000:
        raise HResultError(result, "register_module has failed")


def _hresult_of(error: BaseException) -> int:
    if isinstance(error, HResultError):
        return error.hresult
    if isinstance(error, ImportError | FileNotFoundError):
        return from_win32(ERROR_MOD_NOT_FOUND)
    if isinstance(error, AttributeError):
        return from_win32(ERROR_PROC_NOT_FOUND)
    return E_FAIL


def global_method_of(module: GlobalModule, name: str) -> Callable[..., GlobalNotificationStatus]:
    """What is called for an event; where the module has no such method, what goes on."""
    found = getattr(module, name, None)
    if found is None or getattr(found, "__func__", None) is getattr(GlobalModule, name):
        warn_of_missing(type(module), name)
        return _global_continue
    method: Callable[..., GlobalNotificationStatus] = found
    return method


def _global_continue(*_: object) -> GlobalNotificationStatus:
    return GL_CONTINUE
