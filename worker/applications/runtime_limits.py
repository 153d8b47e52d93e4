"""serverRuntime: how many requests of an application run at once, and how long a body may be.

503.2 and 413.0, asked for before any module. Requests are counted for each worker, as in IIS.
Where the section says the defaults there is nothing to ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.config.settings import ServerRuntime
from was.worker.notifications import CONTINUE, RequestNotificationStatus
from was.worker.refusing import refuse, refuse_busy

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.security.ip_counts import Concurrency

__all__ = ["RuntimeLimits", "limits_of"]

_NAME = "serverRuntime"
_DEFAULT = ServerRuntime()

# What is counted outlives a change of settings.
_running: list[Concurrency] = []


class _Running:
    """A request that is counted, until its end."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def cleanup_stored_context(self) -> None:
        """The request is over."""
        _running[0].leave(self._name)


class RuntimeLimits:
    """The limits of one application or path: a step of the core at BEGIN_REQUEST."""

    def __init__(self, application: HttpApplication) -> None:
        runtime = application.settings.server_runtime
        self._name = application.config_path
        self.most_content = runtime.max_request_entity_allowed
        self._most_running = runtime.app_concurrent_request_limit
        if not _running:
            # Imported where the section says something.
            from was.worker.security.ip_counts import Concurrency

            _running.append(Concurrency())

    def __call__(self, context: HttpContext, _: object) -> RequestNotificationStatus:
        """Let the request pass, or refuse it; what others ask for on its behalf is part of it."""
        if context.child is not None:
            return CONTINUE
        length = context.message.body_length
        if length > self.most_content:
            return refuse(context, 413)
        if length < 0:
            context.request.limit_entity_body(self.most_content)
        if self._most_running < _DEFAULT.app_concurrent_request_limit:
            count = _running[0].enter(self._name)
            context.named_context_container.set_named_context(_Running(self._name), _NAME)
            if count > self._most_running:
                return refuse_busy(context)
        return CONTINUE


def limits_of(application: HttpApplication) -> RuntimeLimits | None:
    """The limits of an application's settings; None where they are the defaults."""
    runtime = application.settings.server_runtime
    if (
        runtime.app_concurrent_request_limit >= _DEFAULT.app_concurrent_request_limit
        and runtime.max_request_entity_allowed >= _DEFAULT.max_request_entity_allowed
    ):
        return None
    return RuntimeLimits(application)
