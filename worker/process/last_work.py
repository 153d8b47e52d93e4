"""What an application still has to do when its worker ends, as at the end of any Python program.

Threads that are no daemons come to their end, those of executors with all that was given to them,
then the functions of `atexit` are called. Neither may hold the process for ever: what takes longer
is cut short, and named in the log.

A thread is a daemon if the one that began it is. Those of the worker in which applications run are
none, so that what applications begin is as it is elsewhere; they themselves are not waited for.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable

from was.log import log

__all__ = ["do_last_work", "expect_last_work", "make_thread"]

# For the threads, and again for the functions, seconds.
LIMIT_S = 5.0

_is_expected = False
_own: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def expect_last_work() -> None:
    """Before any thread: `do_last_work` will be called. Else all that we make are daemons."""
    global _is_expected
    _is_expected = True


def make_thread(target: Callable[[], object], name: str) -> threading.Thread:
    """A thread, not yet begun, in which applications run."""
    thread = threading.Thread(target=target, name=name, daemon=not _is_expected)
    _own.add(thread)
    return thread


def do_last_work() -> None:
    """Let threads end and call exit functions; called by the main thread, when nothing serves."""
    if not _is_done_in_time(_end_threads):
        names = ", ".join(sorted(thread.name for thread in _threads()))
        log("exit_cut_short", threads=names, limit_s=LIMIT_S)
    if not _is_done_in_time(atexit._run_exitfuncs):  # pyright: ignore[reportPrivateUsage]
        log("exit_cut_short", atexit="a function goes on", limit_s=LIMIT_S)


def _is_done_in_time(work: Callable[[], object]) -> bool:
    thread = threading.Thread(target=work, name="last-work", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the pool has as many as it may have
        return False
    thread.join(LIMIT_S)
    return not thread.is_alive()


def _threads() -> list[threading.Thread]:
    """Those that the application has begun, and Python would wait for."""
    own = {threading.main_thread(), *_own}
    return [thread for thread in threading.enumerate() if not thread.daemon and thread not in own]


def _end_threads() -> None:
    # How executors tell their threads that nothing more comes; there is no public way.
    for tell in reversed(getattr(threading, "_threading_atexits", ())):
        tell()
    for thread in _threads():
        thread.join()
