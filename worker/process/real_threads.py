"""Whether an application has put something else in the place of Python's threads.

gevent's and eventlet's monkey patching does, for the whole process: a worker, which runs requests
in threads and waits in poll(), would stand still from then on without a word.
"""

from __future__ import annotations

import _thread
import select

__all__ = ["ReplacedThreadsError", "insist_on_real_threads"]

_START, _POLL = _thread.start_new_thread, select.poll


class ReplacedThreadsError(Exception):
    """The process can be no worker any more; the text is for whoever wrote the application."""


def insist_on_real_threads() -> None:
    """Raise ReplacedThreadsError unless threads and poll() are those that were there at first."""
    if _thread.start_new_thread is not _START or getattr(select, "poll", None) is not _POLL:
        raise ReplacedThreadsError(
            "the application replaces Python's threads (monkey patching, as by gevent or "
            "eventlet): requests run in threads here, and it must do without"
        )
