"""HistoryKeeper: the configuration file is looked at every period, and kept when it has changed."""

from __future__ import annotations

from was.config.history import keep
from was.log import log
from was.manager.server import Server
from was.manager.watching import Stamp, stamp

__all__ = ["HistoryKeeper"]


class HistoryKeeper:
    """Looks at applicationHost.config as soon as the server is ready, then every period."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._looked_at: float | None = None
        self._kept: Stamp = None
        self._problem = ""

    def begin(self, now: float) -> None:
        """The server is ready."""
        self._looked_at = now - self._period_s()

    def next_deadline(self) -> float | None:
        """When the file is to be looked at next, by the period that is in force now."""
        return None if self._looked_at is None else self._looked_at + self._period_s()

    def tick(self, now: float) -> None:
        """Keep what has changed, if it is time to look. Never raises; says each problem once."""
        due_at = self.next_deadline()
        if due_at is None or now < due_at:
            return
        self._looked_at = now
        file = self._server.home.config_file
        found = stamp(file)
        if found is None or found == self._kept:
            return
        problem = keep(file, self._server.config.history)
        if problem and problem != self._problem:
            log("history_failed", error=problem)
        self._problem = problem
        if not problem:
            self._kept = found

    def _period_s(self) -> float:
        return self._server.clock.scaled(self._server.config.history.period_s)
