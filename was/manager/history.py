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
        self._next_at: float | None = None
        self._kept: Stamp = None
        self._problem = ""

    def begin(self, now: float) -> None:
        """The server is ready."""
        self._next_at = now

    def next_deadline(self) -> float | None:
        """When the file is to be looked at next."""
        return self._next_at

    def tick(self, now: float) -> None:
        """Keep what has changed, if it is time to look. Never raises; says each problem once."""
        if self._next_at is None or now < self._next_at:
            return
        server = self._server
        history = server.config.history
        self._next_at = now + server.clock.scaled(history.period_s)
        found = stamp(server.home.config_file)
        if found is None or found == self._kept:
            return
        problem = keep(server.home.config_file, history)
        if problem and problem != self._problem:
            log("history_failed", error=problem)
        self._problem = problem
        if not problem:
            self._kept = found
