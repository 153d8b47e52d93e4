"""The worker is about to be suspended, and runs again: GL_SUSPEND_PROCESS and its callbacks."""

from __future__ import annotations

from was.log import log_exception
from was.worker.global_modules.events import GlobalEvents
from was.worker.global_modules.providers import SuspendProcessCallback, SuspendProcessProvider
from was.worker.notifications import GlobalNotification

__all__ = ["Suspension"]


class Suspension:
    """Who wants to be told when the process runs again. The host's thread only."""

    def __init__(self, events: GlobalEvents) -> None:
        self._events = events
        self._callbacks: list[SuspendProcessCallback] = []

    def prepare(self) -> None:
        """The process will be stopped as soon as the modules have come back."""
        provider = SuspendProcessProvider()
        self._events.raise_event(GlobalNotification.SUSPEND_PROCESS, provider)
        self._callbacks += provider.callbacks

    def resume(self) -> None:
        """The process runs: each callback is told, once."""
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback.resume()
            except Exception as error:  # noqa: BLE001 each is told, whatever the others do
                log_exception("module_failed", error, during="IGlobalSuspendProcessCallback")
