"""The threads on which asynchronous operations run, and extensions are called back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["run_later"]

# One operation a request at most; each may wait for a slow client.
MOST_THREADS = 64

_executor: ThreadPoolExecutor | None = None
_lock = threading.Lock()


def run_later(work: Callable[[], None]) -> None:
    """Run on one of these threads."""
    global _executor
    with _lock:
        if _executor is None:
            from concurrent.futures import ThreadPoolExecutor  # not every worker needs it

            _executor = ThreadPoolExecutor(MOST_THREADS, "isapi-io")
    _executor.submit(work)
