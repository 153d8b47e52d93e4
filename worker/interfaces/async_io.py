"""Reads and writes that would wait for the client: they wait on a spare thread.

One operation of a request may be under way, two of them after enable_full_duplex. Its end is told
to the module that answered PENDING, or to the routine that was given.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from was.log import log_exception
from was.worker.completion import AsyncCompletion, Operation, Routine
from was.worker.exchange import ClientGoneError
from was.worker.interfaces.hresult import (
    E_FAIL,
    ERROR_CONNECTION_INVALID,
    ERROR_INVALID_PARAMETER,
    ERROR_OPERATION_ABORTED,
    HResultError,
    from_win32,
)
from was.worker.threads.spare_threads import run_on_spare_thread

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["begin"]


def begin(
    context: HttpContext, operation: Operation, work: Callable[[], int], routine: Routine | None
) -> None:
    """Have `work` done and its result, a number of bytes, told as a completion.

    Raises HResultError: ERROR_INVALID_PARAMETER where another operation is under way.
    """
    if context.operations >= (2 if context.is_full_duplex else 1):
        raise HResultError(ERROR_INVALID_PARAMETER, "another operation is under way")
    context.operations += 1
    run_on_spare_thread(partial(_run, context, operation, work, routine))


def _run(
    context: HttpContext, operation: Operation, work: Callable[[], int], routine: Routine | None
) -> None:
    count = status = 0
    try:
        count = work()
    except ClientGoneError:
        aborted = ERROR_OPERATION_ABORTED if context.is_cut else ERROR_CONNECTION_INVALID
        status = from_win32(aborted)
    except Exception as error:  # noqa: BLE001 the module that waits is told, whatever it is
        log_exception("module_failed", error, during=operation.name, request=context.request_id)
        status = E_FAIL
    context.operations -= 1
    context.calls.complete(context, AsyncCompletion(count, status, operation, routine))
