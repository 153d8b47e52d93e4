"""Which thread is inside a call of an application, and how such a call is interrupted.

A request that is past its time limit is interrupted by an exception that another thread injects
(PyThreadState_SetAsyncExc). It must hit that call and nothing else: not the next request of the
thread, not our own code with a lock held or a message half sent. So a thread is marked while, and
only while, it runs code that is not ours.

    inside[proof] = get_ident()            enter
    try: …the application…
    finally:
        if inside.pop(proof, None) is None: settle(proof)          leave

Leaving and interrupting both pop the mark, and only one of the two gets it. A thread that finds its
mark gone waits until the exception has been injected, then clears it if it was not raised yet. So
nothing is pending once `settle` has ended, and a call that is not interrupted pays for two
operations on a dictionary and for no lock.

Threads that an application makes itself may call code of ours in its name. They have no mark, and
must not touch that of the thread they work for: it may leave, and begin another request, meanwhile.

A process that an application forks within such a call has no marks either: should it come back from
the call, or ask for anything of ours, it finds that, and ends. The answer is the worker's to give.

`proof` is the scoreboard's: request id and attempt.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from threading import get_ident
from typing import NoReturn, ParamSpec, TypeVar

from was.log import log_exception

__all__ = [
    "PAST_THE_LIMIT",
    "RequestInterruptedError",
    "become_child",
    "call",
    "forget",
    "inject",
    "inside",
    "interrupt",
    "iterate",
    "outside",
    "settle",
]

# What the application is told.
PAST_THE_LIMIT = "the time limit of the request has passed"

P = ParamSpec("P")
T = TypeVar("T")


class RequestInterruptedError(BaseException):
    """The request has passed its time limit and was answered 504 (requests/@timeLimit).

    A BaseException, so that `except Exception` of an application does not hide it.
    """


inside: dict[int, int] = {}
_interrupted: dict[int, int] = {}  # like `inside`; until the interrupted thread has settled
_lock = threading.Lock()
_is_child = False


def interrupt(proof: int) -> bool:
    """From another thread: interrupt the call; False when the request is not inside one now.

    A call into C is interrupted when it comes back.
    """
    with _lock:
        ident = inside.pop(proof, None)
        if ident is None:
            return False
        _interrupted[proof] = ident
        inject(ident, RequestInterruptedError)
        return True


def inject(ident: int, error: type[BaseException] | None) -> None:
    """Have a thread raise an exception at its next instruction; None takes a pending one back."""
    import ctypes  # rarely needed, and large

    pointer = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), pointer)


def settle(proof: int) -> None:
    """For a thread whose mark is gone: clear what is pending, and raise for what was interrupted.

    The pending exception may be raised within this function as well as by it: it is the same one.
    Ends a process that is no worker, but the child of one.
    """
    if _is_child:
        _end_child()
    with _lock:
        ident = get_ident()
        if _interrupted.get(proof) != ident:
            return
        inject(ident, None)
        del _interrupted[proof]
    raise RequestInterruptedError(PAST_THE_LIMIT)


def forget(proof: int) -> None:
    """The request has ended, whatever became of its calls."""
    _interrupted.pop(proof, None)


def become_child() -> None:
    """In a process that code of an application has just forked: nothing of ours is for it."""
    global _is_child
    _is_child = True
    inside.clear()


def _end_child() -> NoReturn:
    """As a program ends: with the status of sys.exit, or with 1 and a traceback."""
    error = sys.exc_info()[1] or RuntimeError("a forked process has no request to answer")
    status = 1
    if isinstance(error, SystemExit) and isinstance(error.code, int | None):
        status = error.code or 0
    else:
        log_exception("child_failed", error)
    os._exit(status & 0xFF)


def call(proof: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call code of the application, marked."""
    inside[proof] = get_ident()
    try:
        return function(*args, **kwargs)
    finally:
        if inside.pop(proof, None) is None:
            settle(proof)


def iterate(proof: int, blocks: Iterable[T]) -> Iterator[T]:
    """The items of an application's iterable, each asked for in a marked call."""
    iterator = call(proof, iter, blocks)
    while True:
        try:
            item = call(proof, next, iterator)
        except StopIteration:
            return
        yield item


def outside(proof: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call code of ours that an application may have called, unmarked meanwhile."""
    ident = get_ident()
    if inside.get(proof) != ident or inside.pop(proof, None) is None:
        settle(proof)  # raises for a thread that was interrupted
        return function(*args, **kwargs)
    try:
        return function(*args, **kwargs)
    finally:
        inside[proof] = ident
