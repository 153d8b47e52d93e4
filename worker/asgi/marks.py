"""A coroutine of an application, each step of which is marked as a call of the application.

The marks are those of was.worker.application_calls: a request past its time limit is interrupted
while, and only while, its own code runs on the loop. Between the steps it is cancelled instead.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from threading import get_ident
from types import coroutine as as_awaitable
from typing import Any

from was.worker.application_calls import RequestInterruptedError, inside, settle

__all__ = ["marked"]


@as_awaitable
def marked(proof: int, coroutine: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Drive a coroutine to its end. Raises what it raises, or RequestInterruptedError."""
    ident = get_ident()
    step: Callable[[Any], Any] = coroutine.send
    argument: Any = None
    while True:
        inside[proof] = ident
        try:
            future = step(argument)
        except StopIteration:
            if inside.pop(proof, None) is None:
                settle(proof)
            return
        except BaseException:
            if inside.pop(proof, None) is None:
                settle(proof)
            raise
        if inside.pop(proof, None) is None:
            try:
                settle(proof)
            except RequestInterruptedError as error:
                step, argument = coroutine.throw, error
                continue
        try:
            argument = yield future
            step = coroutine.send
        except BaseException as error:  # noqa: BLE001 the application's to handle
            step, argument = coroutine.throw, error
