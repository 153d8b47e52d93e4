"""A request's application on the loop, each step of which is marked as the application's.

The marks are those of worker/threads/application_calls.py: a request past its time limit is
interrupted while, and only while, its own code runs on the loop. Between the steps it is cancelled
instead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from threading import get_ident
from types import coroutine as as_awaitable
from typing import TYPE_CHECKING, Any

from was.errors import LocalProtocolError
from was.worker.threads.application_calls import RequestInterruptedError, inside, settle

if TYPE_CHECKING:
    from was.worker.asgi.run import RequestRun

__all__ = ["drive"]


async def drive(run: RequestRun) -> None:
    """Call the application and drive it to its end. Raises nothing.

    One coroutine for all of it: every further one around the application's is paid for at each of
    its steps.
    """
    proof, ident = run.context.proof, get_ident()
    coroutine: Coroutine[Any, Any, None] | None = None
    error: BaseException | None = None
    argument: Any = None
    try:
        scope = run.prepare()
        application = run.hosted.application
        assert application is not None
        while True:
            inside[proof] = ident
            try:
                if coroutine is None:
                    made: Coroutine[Any, Any, None] = application(scope, run.receive, run.send)
                    coroutine = made if hasattr(made, "send") else _awaited(made)
                future = coroutine.send(argument) if error is None else coroutine.throw(error)
            except StopIteration:
                if inside.pop(proof, None) is None:
                    settle(proof)
                break
            except BaseException:
                if inside.pop(proof, None) is None:
                    settle(proof)
                raise
            if inside.pop(proof, None) is None:
                try:
                    settle(proof)
                except RequestInterruptedError as interruption:
                    error = interruption
                    continue
            try:
                argument = await _passed_on(future)
                error = None
            except BaseException as raised:  # noqa: BLE001 the application's to handle
                error = raised
        if not run.is_over:
            run.check_whole()
    except BaseException as raised:  # noqa: BLE001 SystemExit is an application's error here
        run.failed(raised)
    finally:
        run.left()


@as_awaitable
def _passed_on(future: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401 whatever is awaited
    """What the application waits for, its task waits for."""
    return (yield future)


async def _awaited(result: Awaitable[None]) -> None:
    """What an application returned that is no coroutine."""
    if not hasattr(result, "__await__"):
        raise LocalProtocolError(
            f"an ASGI application must be awaitable, this returned {type(result).__name__}:"
            " is it a WSGI one?"
        )
    await result
