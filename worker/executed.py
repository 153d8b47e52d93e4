"""A worker of another interpreter: the forked process has become this program.

`python -P -m was.worker.executed FD VERSION CONTROL`: FD holds the manager's message, VERSION is
that of the server, CONTROL the connection to the manager. Who it is and what it may reach was
settled before, by the server's own code, and the manager knows it.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import NoReturn

from was import __version__
from was.ipc import codec
from was.ipc.descriptors import ControlSocket
from was.ipc.worker_control import Fork
from was.log import log, set_process
from was.process_title import set_title
from was.worker import main as worker_main

__all__ = ["LIFE_FD", "MODULE", "become", "main"]

MODULE = "was.worker.executed"
# The pipe that tells the manager of a death before the worker's first word, which it may still be
# about to read.
LIFE_FD = 3


def become(fork: Fork, control: ControlSocket) -> None:
    """Become the interpreter that `fork` names, as this worker; raises OSError."""
    fd = os.memfd_create("fork", 0)  # it outlives the exec
    os.write(fd, codec.encode(fork))
    os.set_inheritable(LIFE_FD, True)
    control.sock.set_inheritable(True)
    told = [str(fd), __version__, str(control.sock.fileno())]
    os.execv(fork.program, [fork.program, "-P", "-m", MODULE, *told])


def main(arguments: list[str]) -> NoReturn:
    """Be the worker; ends the process."""
    fd, version = int(arguments[0]), arguments[1]
    set_process("worker", fd=2)
    if version != __version__:
        error = f"{sys.executable} has was {__version__}, and the server is was {version}"
        log("worker_start_failed", error=error)
        sys.exit(72)
    os.set_inheritable(LIFE_FD, False)
    control = ControlSocket(socket.socket(fileno=int(arguments[2])))
    control.sock.set_inheritable(False)
    content = os.pread(fd, os.fstat(fd).st_size, 0)
    os.close(fd)
    fork = codec.decode_manager_to_template(content)
    set_title("worker", f"[{fork.pool}] {fork.home}")
    worker_main.run(fork, control)


if __name__ == "__main__":
    main(sys.argv[1:])
