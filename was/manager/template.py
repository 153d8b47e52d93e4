"""The template: it has imported what a worker needs, and forks workers on request.

It holds no ZeroMQ context, no loop and no thread, because none of them survives a fork. It forks
ahead of time, and twice: the middle process forks the spare worker and ends at once, so that one is
then the manager's child (a subreaper). The spare worker takes the next message itself.
Beside each Fork travel the worker's output and the write end of a pipe that tells the manager of a
death before the worker's first word.

It ends with its manager: what it forked for the next one would not be that one's child.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import time
from pathlib import Path

from was import faults
from was.ipc.codec import encode
from was.ipc.descriptors import ControlSocket, take_output
from was.ipc.endpoints import Home
from was.ipc.worker_control import ForkFailed, TemplateHello
from was.log import log_exception, set_process
from was.manager.spare_worker import be_spare, become_worker, has_come, is_there, receive_order
from was.process_title import set_title
from was.worker.rehearsal import rehearse

__all__ = ["main"]

CONNECT_LIMIT_S = 5.0
FORK_AGAIN_S = 0.1
LATER_S = 1.0
LEAVE_ALONE_S = 0.05


def main(arguments: list[str]) -> int:
    """Serve `--control PATH [--home HOME]` until the manager goes."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    set_title("template", options.get("--home", ""))
    set_process("template")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if "--home" in options:
        log_file = Home(Path(options["--home"])).own_log
        signal.signal(signal.SIGUSR1, lambda _number, _frame: _reopen(log_file))
        faults.arm(Path(options["--home"]))
    rehearse()
    gc.collect()
    gc.freeze()  # the collector must not write to pages that workers share with us
    try:
        end = ControlSocket.connect(options["--control"], CONNECT_LIMIT_S)
        end.send(encode(TemplateHello(os.getpid())))
    except OSError:  # it has gone meanwhile
        return 0
    _serve(end, options.get("--home", ""))
    return 0


def _reopen(log_file: Path) -> None:
    """The manager, which has made it, says that the log is another file now.

    That descriptor cannot come with a message: the template itself reads none.
    """
    with contextlib.suppress(OSError):  # the old one will do
        fd = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        take_output(fd)
        os.close(fd)


def _serve(end: ControlSocket, home: str) -> None:
    """Until the manager goes: have one worker ready, and the next as soon as it is taken."""
    while is_there(end):
        try:
            used = _make_spare(end, home)
        except OSError as error:
            log_exception("unexpected_error", error)
            # No process can be made just now; a message waits.
            time.sleep(FORK_AGAIN_S if has_come(end) else LATER_S)
            continue
        _wait(end, used)
        os.close(used)
        # The worker that has just been asked for needs the processor first, unless others wait.
        has_come(end, LEAVE_ALONE_S)


def _wait(end: ControlSocket, used: int) -> None:
    """Until the spare worker has taken a message or has ended, or the manager has."""
    poll = select.poll()
    poll.register(used, 0)
    poll.register(end.sock.fileno(), 0)
    poll.poll()


def _make_spare(end: ControlSocket, home: str) -> int:
    """Fork a worker that waits for its message; a pipe that ends when it has it.

    The template itself never sees a message: what one pool is told (its variables may be secrets)
    must not lie in the memory that the workers of all the others inherit.
    """
    faults.reach("template.forking")
    used, is_used = os.pipe2(os.O_CLOEXEC)
    try:
        middle = os.fork()
    except OSError:
        os.close(used)
        os.close(is_used)
        raise
    if middle == 0:
        # Nothing may return from here into the template's own loop.
        try:
            os.close(used)
            _fork_spare(end, is_used, home)
        finally:
            os._exit(0)
    os.close(is_used)
    faults.reach("template.forked")
    os.waitpid(middle, 0)
    return used


def _fork_spare(end: ControlSocket, is_used: int, home: str) -> None:
    """The middle process."""
    try:
        spare = os.fork()
    except OSError:
        _answer_instead(end)
        return
    if spare == 0:
        be_spare(end, is_used, home)


def _answer_instead(end: ControlSocket) -> None:
    """No process can be made just now: whoever asks for one is told so."""
    order = receive_order(end)
    if order is None:
        return
    message, descriptors = order
    try:
        worker = os.fork()
    except OSError as error:
        end.send(encode(ForkFailed(message.worker_id, str(error))))
        return
    if worker == 0:
        become_worker(message, descriptors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
