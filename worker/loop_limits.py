"""LoopLimits: what an event loop of this worker has to know of its pool and its modules."""

from __future__ import annotations

from collections.abc import Callable

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
