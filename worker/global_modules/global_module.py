"""GlobalModule: the base of global modules, with one method for each GL_ event.

Every method has one argument, the event's provider, and answers GL_CONTINUE or GL_HANDLED; a method
that ends without a return has answered GL_CONTINUE. One that a module has registered for and not
overridden is said once, when the worker starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.notifications import GL_CONTINUE, GlobalNotificationStatus

if TYPE_CHECKING:
    from was.worker.calls.resolved_modules import ResolveModulesProvider
    from was.worker.global_modules.providers import (
        ApplicationPreloadProvider,
        ApplicationProvider,
        CacheProvider,
        ConfigurationChangeProvider,
        CustomNotificationProvider,
        FileChangeProvider,
        PreBeginRequestProvider,
        RscaQueryProvider,
        StopListeningProvider,
        SuspendProcessProvider,
        ThreadCleanupProvider,
    )
    from was.worker.interfaces.providers import EventProvider
    from was.worker.tracing.trace import TraceEventProvider

__all__ = ["GlobalModule"]

Answer = GlobalNotificationStatus | None


class GlobalModule:
    """CGlobalModule: override the methods of the events you registered for."""

    def is_idle(self) -> bool:
        """Asked after each reading of the configuration: whether requests need not reach it.

        While every module that has registered for GL_PRE_BEGIN_REQUEST is idle, it is not raised;
        while every one for GL_TRACE_EVENT is, the pipeline has no events of its own.
        """
        return False

    def on_global_stop_listening(self, provider: StopListeningProvider) -> Answer:
        """No request will follow; those that run are waited for."""
        return GL_CONTINUE

    def on_global_cache_cleanup(self, provider: EventProvider) -> Answer:
        """The worker ends: caches let go of what they hold."""
        return GL_CONTINUE

    def on_global_cache_operation(self, provider: CacheProvider) -> Answer:
        """Somebody wants something of a cache; its owner acts and answers GL_HANDLED."""
        return GL_CONTINUE

    def on_global_health_check(self, provider: EventProvider) -> Answer:
        """The manager has pinged, or a module has reported the worker unhealthy."""
        return GL_CONTINUE

    def on_global_configuration_change(self, provider: ConfigurationChangeProvider) -> Answer:
        """Configuration at and below a path may be another."""
        return GL_CONTINUE

    def on_global_file_change(self, provider: FileChangeProvider) -> Answer:
        """A file that is monitored has changed, or a module has said so of one."""
        return GL_CONTINUE

    def on_global_pre_begin_request(self, provider: PreBeginRequestProvider) -> Answer:
        """Before a request's first notification: its URL may still be changed."""
        return GL_CONTINUE

    def on_global_application_start(self, provider: ApplicationProvider) -> Answer:
        """An application has been made."""
        return GL_CONTINUE

    def on_global_application_resolve_modules(self, provider: ResolveModulesProvider) -> Answer:
        """An application's list of modules is about to be made."""
        return GL_CONTINUE

    def on_global_application_stop(self, provider: ApplicationProvider) -> Answer:
        """An application ends."""
        return GL_CONTINUE

    def on_global_rsca_query(self, provider: RscaQueryProvider) -> Answer:
        """`was query` asks; who knows sets a result and answers GL_HANDLED."""
        return GL_CONTINUE

    def on_global_trace_event(self, provider: TraceEventProvider) -> Answer:
        """A trace event that somebody has asked for."""
        return GL_CONTINUE

    def on_global_custom_notification(self, provider: CustomNotificationProvider) -> Answer:
        """What another module has sent."""
        return GL_CONTINUE

    def on_global_thread_cleanup(self, provider: ThreadCleanupProvider) -> Answer:
        """This thread has ended its work for an application."""
        return GL_CONTINUE

    def on_global_application_preload(self, provider: ApplicationPreloadProvider) -> Answer:
        """The worker starts: make requests of an application with preloadEnabled."""
        return GL_CONTINUE

    def on_suspend_process(self, provider: SuspendProcessProvider) -> Answer:
        """The idle worker is about to be suspended."""
        return GL_CONTINUE

    def terminate(self) -> None:
        """The worker ends; last call."""
