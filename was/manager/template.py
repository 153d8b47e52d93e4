"""The template: it has imported what a worker needs, and forks workers on request.

It holds no ZeroMQ context, no loop and no thread, because none of them survives a fork. It forks
twice: the middle process takes the message, forks the worker and ends at once, so the worker is
then the manager's child (a subreaper).
Beside each Fork travel the worker's output and the write end of a pipe that tells the manager of a
death before the worker's first word.

When the manager goes the template waits for the next one, and ends after the managerless limit.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import setproctitle

import was.worker.main as worker_main
from was import faults
from was.errors import IllFormedMessageError
from was.ipc.codec import decode_manager_to_template, encode
from was.ipc.descriptors import ControlSocket
from was.ipc.messages import Fork, ForkFailed, TemplateHello
from was.isolation.enter import enter
from was.log import log_exception, set_process
from was.worker.rehearsal import rehearse

__all__ = ["main"]

RECONNECT_EVERY_S = 0.2
FORK_AGAIN_S = 0.1
GONE = 3  # exit status of the middle process: nobody is at the other end


def main(arguments: list[str]) -> int:
    """Serve `--control PATH [--home HOME] [--managerless SECONDS]` until nobody needs us."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    control = options["--control"]
    limit_s = float(options.get("--managerless", "300"))
    setproctitle.setproctitle(f"was: template {options.get('--home', '')}".rstrip())
    set_process("template")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if "--home" in options:
        faults.arm(Path(options["--home"]))
    rehearse()
    gc.collect()
    gc.freeze()  # the collector must not write to pages that workers share with us
    while True:
        end = _connect(control, limit_s)
        if end is None:
            return 0
        with end.sock:
            _serve(end)


def _connect(control: str, limit_s: float) -> ControlSocket | None:
    deadline = time.monotonic() + limit_s if limit_s > 0 else float("inf")
    while True:
        try:
            end = ControlSocket.connect(control, 5.0)
            end.send(encode(TemplateHello(os.getpid())))
        except OSError:
            if time.monotonic() >= deadline:
                return None
            time.sleep(RECONNECT_EVERY_S)
            continue
        return end


def _serve(end: ControlSocket) -> None:
    poll = select.poll()
    poll.register(end.sock.fileno(), select.POLLIN)
    while True:
        poll.poll()
        try:
            if _receive_in_child(end):
                return
        except OSError as error:
            log_exception("unexpected_error", error)
            time.sleep(FORK_AGAIN_S)  # no process can be made just now; the message waits


def _receive_in_child(end: ControlSocket) -> bool:
    """Have a middle process receive one message and fork the worker; True when the manager went.

    The template itself never sees a message: what one pool is told (its variables may be secrets)
    must not lie in the memory that the workers of all the others inherit.
    """
    faults.reach("template.forking")
    middle = os.fork()
    if middle == 0:
        # Nothing may return from here into the template's own loop.
        code = GONE
        try:
            code = _receive(end)
        finally:
            os._exit(code)
    faults.reach("template.forked")
    _, status = os.waitpid(middle, 0)
    return os.waitstatus_to_exitcode(status) == GONE


def _receive(end: ControlSocket) -> int:
    try:
        received = end.recv()
    except OSError:
        return GONE
    if received is None:
        return GONE
    content, descriptors = received
    try:
        message = decode_manager_to_template(content)
    except IllFormedMessageError as error:
        log_exception("unexpected_error", error)
        return 0
    try:
        child = os.fork()
    except OSError as error:
        end.send(encode(ForkFailed(message.worker_id, str(error))))
        return 0
    if child == 0:
        _become_worker(message, descriptors)
    return 0


def _become_worker(message: Fork, descriptors: list[int]) -> NoReturn:
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        _take_descriptors(descriptors)
        os.environ.clear()
        os.environ.update(message.environment)
        setproctitle.setproctitle(f"was: worker [{message.pool}] {message.home}")
        set_process("worker", fd=2)
        enter(message.isolation)
        random.seed()
        worker_main.run(message)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
