"""Those who wait for a process, and what becomes of them."""

from __future__ import annotations

import threading

from was.worker.fastcgi.process_pool import Turn, Verdict

__all__ = ["NoProcessError", "WaitingThread", "no_process"]

_TEXTS = {
    Verdict.FULL: "The FastCGI request queue is full.",
    Verdict.OFFLINE: "Too many FastCGI processes have failed within a minute.",
    Verdict.WAIT: "No FastCGI process was free within requestTimeout.",
}


class NoProcessError(Exception):
    """There is no process for a request; `verdict` says why, None: it could not be started."""

    def __init__(self, verdict: Verdict | None, text: str, error: int = 0) -> None:
        super().__init__(text)
        self.verdict = verdict
        self.error = error


def no_process(verdict: Verdict) -> NoProcessError:
    """The error for who gets no instance."""
    return NoProcessError(verdict, _TEXTS[verdict])


class WaitingThread(Turn):
    """A thread that waits for its turn."""

    __slots__ = ("come",)

    def __init__(self, until: float) -> None:
        super().__init__(until)
        self.come = threading.Event()

    def ring(self) -> None:
        """Wake it."""
        self.come.set()
