"""A request on one process after the other, until one has answered it or it may not be repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.exchange import ClientGoneError
from was.worker.fastcgi.run import ConnectionLostError
from was.worker.gateway.head import HeadError

if TYPE_CHECKING:
    from was.worker.fastcgi.held import Held
    from was.worker.fastcgi.process_pool import Instance
    from was.worker.fastcgi.processes import Processes
    from was.worker.fastcgi.records import EndRequest
    from was.worker.fastcgi.run import FastCgiRun

__all__ = ["ExitError", "run_on_processes"]

# The end of a connection comes before the exit code, on a busy machine long before.
EXIT_CODE_S = 2.0


class ExitError(Exception):
    """A process has closed the connection within a request that cannot be repeated."""

    def __init__(self, held: Held) -> None:
        super().__init__()
        self.held = held


def run_on_processes(
    processes: Processes,
    run: FastCgiRun,
    variables: bytes,
    held: Held | None,
    instance: Instance | None,
) -> EndRequest:
    """What the last process says at its end. Raises ExitError, and what `run` raises.

    `held` is one that has begun the request, `instance` one that it may be begun on.
    """
    is_begun = held is not None
    while True:
        if held is None:
            limit_s = processes.settings.request_timeout
            held = processes.acquire(limit_s, run.is_gone, instance)
        end = _converse(processes, held, run, variables, is_begun=is_begun)
        if end is not None:
            return end
        instance = processes.replace(held)
        held, is_begun = None, False


def _converse(
    processes: Processes, held: Held, run: FastCgiRun, variables: bytes, *, is_begun: bool
) -> EndRequest | None:
    """The request on one process; None: that is gone, and to be replaced by another."""
    connection = held.connection
    assert connection is not None
    is_first = held.instance.served <= 1
    is_good, is_replaced = False, False
    # What it leaves unread would be taken for the beginning of somebody else's request.
    keep = processes.keeps_connections and (run.is_length_told or processes.capacity > 1)
    try:
        end = run.go_on(connection) if is_begun else run.run(connection, variables, keep=keep)
        is_good = not connection.is_closed or held.program is not None
    except ConnectionLostError as error:
        if is_first or not run.can_repeat or not _may_repeat(processes, held, run):
            if held.program is not None:
                held.program.wait(EXIT_CODE_S)
            raise ExitError(held) from error
        is_replaced = True
        return None
    except ClientGoneError:
        is_good = not connection.is_closed
        raise
    except HeadError:
        is_good = not connection.is_closed
        raise
    else:
        return end
    finally:
        if not is_replaced:
            processes.release(held, is_good=is_good, is_failure=not is_good, keep=keep)


def _may_repeat(processes: Processes, held: Held, run: FastCgiRun) -> bool:
    """Whether the process that has gone had not begun the request, or it may be run twice.

    One that has ended well and left something unread had made up its mind before.
    """
    connection, program = held.connection, held.program
    assert connection is not None
    if run.was_refused(connection):
        return True
    if connection.is_reset and processes.capacity == 1 and program is not None:
        program.wait(EXIT_CODE_S)
        if program.status == 0:
            return True
    return run.use_repeat()
