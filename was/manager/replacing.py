"""Processes of ours that are started anew when they have died: listener and template.

And the listener that waits to be the next one. The supervisor is its own side's affair, the
workers are their pools'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.manager.listener_side import ListenerSide
    from was.manager.manager import Manager
    from was.manager.template_side import TemplateSide

__all__ = ["Replacing"]

MOST_FAILED_STARTS = 5


class Replacing:
    """Starts what is due; a server whose listener or template never comes to work is ended."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def next_deadline(self) -> float | None:
        """When the first of them may start."""
        times = [side.respawn.at for side in self._sides()]
        if self._may_have_spare():
            times.append(self._manager.listener.spare.make_at)
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: float) -> None:
        """Start what is due."""
        for side in self._sides():
            if side.respawn.at is None or now < side.respawn.at:
                continue
            if side.respawn.failed_starts >= MOST_FAILED_STARTS and not self._manager.is_ready:
                name = "listener" if side is self._manager.listener else "template"
                self._manager.failed_start = f"the {name} process does not start; see the log"
                self._manager.shutdown.at_once(now)
                return
            side.spawn()
        if self._may_have_spare():
            self._manager.listener.spare.plan(now)
            self._manager.listener.spare.tick(now)

    def _sides(self) -> list[ListenerSide | TemplateSide]:
        """The listener until the server ends, the template while workers may be needed."""
        manager = self._manager
        if not manager.shutdown.has_begun:
            return [manager.listener, manager.template]
        return [] if manager.shutdown.is_stopping_workers else [manager.template]

    def _may_have_spare(self) -> bool:
        """Where a listener serves and is to go on doing so."""
        manager = self._manager
        is_staying = manager.is_ready and not manager.shutdown.has_begun
        return is_staying and manager.listener.process.is_there
