"""The worker process from the fork on: say who one is, be told what to be, serve, leave.

The process that the template forked calls `introduce`, then `run`. Nothing imported here may start
a thread, open a ZeroMQ context or make an event loop: the template imports this module before it
forks.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from types import ModuleType
from typing import NoReturn

from was.errors import IllFormedMessageError
from was.ipc import codec
from was.ipc.descriptors import ControlSocket
from was.ipc.stacks import write_stacks_to
from was.ipc.worker_control import Fork, WorkerWelcome
from was.log import log, log_exception, set_process
from was.worker.host import WorkerHost
from was.worker.manager_link import say_hello
from was.worker.process.application_output import keep_output_from_failing
from was.worker.process.last_work import do_last_work, expect_last_work
from was.worker.process.signals import handle, ignore
from was.worker.process.virtual_environment import use_virtual_environment

__all__ = ["introduce", "run"]

WELCOME_WAIT_S = 30.0
_PR_SET_PDEATHSIG = 1


def introduce(fork: Fork) -> ControlSocket:
    """Say who one is, before anything of the pool's is run: whatever hangs can be ended then.

    The connection on which the manager says what to be.
    """
    control = ControlSocket.connect(fork.control, timeout_s=WELCOME_WAIT_S)
    say_hello(control, fork.worker_id)
    return control


def run(fork: Fork, control: ControlSocket) -> NoReturn:
    """Be the worker that `fork` asks for; ends the process."""
    status = 70
    _leave_our_program()
    set_process("worker")
    keep_output_from_failing()
    expect_last_work()
    try:
        if fork.virtual_environment:
            use_virtual_environment(fork.virtual_environment)
        status = _run(fork, control)
        if status == 0:
            do_last_work()
    except BaseException as error:  # noqa: BLE001 the last place where anything can be said
        log_exception("worker_start_failed", error, pool=fork.pool)
    finally:
        _flush()
        # Not sys.exit: what the application never ends must not hold the process.
        os._exit(status)


def _leave_our_program() -> None:
    """From here on the process is the application's, which reads its arguments, or what is main.

    Ours would stop an ArgumentParser; and multiprocessing imports the main module in each process
    that it spawns, where ours is missing unless the pool's environment has it.
    """
    sys.argv[:] = ["was"]
    sys.modules["__main__"] = ModuleType("__main__")


def _run(fork: Fork, control: ControlSocket) -> int:
    handle(signal.SIGINT, ignore)
    handle(signal.SIGHUP, ignore)
    control.sock.settimeout(WELCOME_WAIT_S)
    received = control.recv()
    control.sock.settimeout(None)
    if received is None:
        log("worker_start_failed", pool=fork.pool, error="the manager hung up")
        return 72
    content, descriptors = received
    welcome = codec.decode_manager_to_worker(content)
    if not isinstance(welcome, WorkerWelcome) or len(descriptors) != 2:
        raise IllFormedMessageError("the manager did not begin with a welcome")
    if welcome.umask >= 0:
        os.umask(welcome.umask)
    scoreboard, stacks = descriptors
    write_stacks_to(stacks)
    if welcome.may_be_held:
        _go_on_without_manager()
    host = WorkerHost(control, fork.control, welcome, scoreboard)
    return host.run()


def _go_on_without_manager() -> None:
    """Should the manager end while it holds us stopped, the kernel continues us."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGCONT), 0, 0, 0):
        log("limit_lowered", limit="PR_SET_PDEATHSIG", error=os.strerror(ctypes.get_errno()))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
