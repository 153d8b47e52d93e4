"""Whether this worker is well: GL_HEALTH_CHECK, and what a module's verdict leads to.

The event is raised at each ping of the manager, before it is answered, and when a module reports
the worker unhealthy. A module that finds something wrong calls report_unhealthy; one that hangs in
the event leaves the ping unanswered, and the worker is replaced after pingResponseTime.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from was.worker.global_modules.events import GlobalEvents
from was.worker.interfaces.providers import EventProvider
from was.worker.notifications import GlobalNotification

__all__ = ["Health"]


class Health:
    """Raises the event; says once what was wrong."""

    def __init__(self, events: GlobalEvents, tell: Callable[[str], None]) -> None:
        """`tell` asks for a successor of this worker, with the reason."""
        self._events = events
        self._tell = tell
        self._inside = threading.local()

    def check(self) -> None:
        """Raise GL_HEALTH_CHECK; not within itself."""
        if getattr(self._inside, "yes", False):
            return
        self._inside.yes = True
        try:
            self._events.raise_event(GlobalNotification.HEALTH_CHECK, EventProvider())
        finally:
            self._inside.yes = False

    def report_unhealthy(self, reason: str, hresult: int) -> None:
        """GL_HEALTH_CHECK, then the worker is to be replaced."""
        self.check()
        self._tell(f"{reason} (0x{hresult & 0xFFFFFFFF:08X})" if hresult else reason)
