"""LoopLimits: what an event loop of this worker has to know of its pool and its modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.worker.exchange import Exchange
    from was.worker.threads.guest_leader import Guest

__all__ = ["LoopLimits"]


class LoopLimits:
    """Changed with the configuration. Times in seconds, 0 = no limit; scaled as tests want them."""

    def __init__(self) -> None:
        self.concurrency = 256  # requests on the loop at a time
        self.time_limit_s = 0.0
        self.shutdown_time_limit_s = 90.0
        # Modules that are not ours run on request threads only.
        self.has_foreign_modules = False
        # Called by the worker's main thread once a second or so, with time.monotonic().
        self.look_regularly: list[Callable[[float], None]] = []
        # Whether a loop may lead the request threads: not where they have work of their own.
        self.may_lead = False
        # Runs a request that is for a loop, as far as its URL tells; False for any other.
        self.run_on_loop: Callable[[Exchange], bool] = lambda _exchange: False
        self._guest: Guest | None = None
        self._welcome: Callable[[Guest], None] | None = None

    def offer(self, guest: Guest) -> None:
        """A loop has been made: the threads are told of it, when there are any."""
        self._guest = guest
        if self._welcome is not None:
            self._welcome(guest)

    def invite(self, welcome: Callable[[Guest], None]) -> None:
        """There are threads: they are told of the loop, when there is one."""
        self._welcome = welcome
        if self._guest is not None:
            welcome(self._guest)
