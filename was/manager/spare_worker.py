"""The process that the template keeps ready: the next worker, whichever pool's it will be.

It is forked before anybody asks for it, so that neither the fork nor the copies of the pages that a
worker writes to are waited for: it has loaded a configuration once, as a worker does, and waits for
the manager's message on the template's connection. It takes one message and becomes that worker.
Of pools it knows nothing until then, and nobody else ever sees what it is told.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import select
import signal
from typing import NoReturn

import was.worker.main as worker_main
from was.errors import IllFormedMessageError
from was.ipc.channel import rehearse_dealer
from was.ipc.codec import decode_manager_to_template
from was.ipc.descriptors import ControlSocket
from was.ipc.worker_control import Fork
from was.isolation.enter import enter
from was.log import log_exception, set_process
from was.process_title import set_title
from was.worker import executed
from was.worker.rehearsal import rehearse

__all__ = ["be_spare", "become_worker", "has_come", "is_there", "receive_order"]


def be_spare(end: ControlSocket, is_used: int, home: str) -> NoReturn:
    """Wait for the message that says which worker to be; `is_used` is closed when it has come.

    Ends with the manager.
    """
    try:
        set_title("spare worker", home)
        if not has_come(end):
            # Its pages become our own now rather than when a worker is waited for.
            rehearse()
            rehearse_dealer()
            gc.collect()
            gc.freeze()
        order = receive_order(end)
        os.close(is_used)
        if order is not None:
            become_worker(*order)
    except BaseException as error:  # noqa: BLE001 nothing may return into the template's loop
        log_exception("unexpected_error", error)
    finally:
        os._exit(0)


def has_come(end: ControlSocket, timeout_s: float = 0.0) -> bool:
    """Whether a message waits, or the manager has gone."""
    poll = select.poll()
    poll.register(end.sock.fileno(), select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def is_there(end: ControlSocket) -> bool:
    """Whether the manager has not gone."""
    poll = select.poll()
    poll.register(end.sock.fileno(), 0)
    return not any(events & select.POLLHUP for _, events in poll.poll(0))


def receive_order(end: ControlSocket) -> tuple[Fork, list[int]] | None:
    """The next message and what came with it; None when the manager went."""
    while True:
        try:
            received = end.recv()
        except OSError:
            return None
        if received is None:
            return None
        content, descriptors = received
        try:
            return decode_manager_to_template(content), descriptors
        except IllFormedMessageError as error:
            log_exception("unexpected_error", error)
            for fd in descriptors:
                os.close(fd)


def become_worker(message: Fork, descriptors: list[int]) -> NoReturn:
    """Become the worker that the message asks for, isolated as it says; ends the process."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        _take_descriptors(descriptors)
        os.environ.clear()
        os.environ.update(message.environment)
        set_title("worker", f"[{message.pool}] {message.home}")
        set_process("worker", fd=2)
        enter(message.isolation)
        control = worker_main.introduce(message)
        os.chdir(message.folder)
        if message.program:
            executed.become(message, control)
        random.seed()
        worker_main.run(message, control)
    except SystemExit as error:
        os._exit(error.code if isinstance(error.code, int) else 1)
    except BaseException as error:  # noqa: BLE001 the worker's last words, then it ends
        log_exception("worker_start_failed", error, app_pool=message.pool)
    finally:
        os._exit(1)


def _take_descriptors(descriptors: list[int]) -> None:
    """Output to 1 and 2, nothing on 0, the pipe of our life as 3, all others closed."""
    output, life = descriptors[0], descriptors[1]
    null = os.open(os.devnull, os.O_RDONLY)
    # First above everything that is about to be overwritten.
    most = max(output, life, null, 3) + 1
    output, life, null = (os.dup2(fd, most + i) for i, fd in enumerate((output, life, null)))
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(life, 3, inheritable=False)
    os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
