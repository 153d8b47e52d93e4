"""Ports that nobody listens at, and who has those that somebody does."""

import errno
import os
import random
import socket
from contextlib import suppress
from pathlib import Path

from harness.meter import descriptors

# Below those that the kernel gives to whoever asks for any: no other test is given one meanwhile.
FIRST, LAST = 20000, 31999
# Test processes that run side by side, each with ports of its own.
PROCESSES = 16
_given: set[int] = set()


def unused_port() -> int:
    """A port of 127.0.0.1 that can be bound, and that no other caller is given."""
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
    for _ in range(100):
        number = random.randrange(FIRST + own, LAST + 1, PROCESSES)
        if number in _given:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", number))
            _given.add(number)
            return number
    raise AssertionError(f"no port from {FIRST} to {LAST} can be bound")


def is_refused(port: int) -> bool:
    """Whether nobody listens at this port of 127.0.0.1."""
    with socket.socket() as client:
        # From elsewhere: the kernel may give a client the very port that it looks for, and it would
        # be connected with itself.
        client.bind(("127.0.0.2", 0))
        return client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def has_listening(pid: int, port: int) -> bool:
    """Whether the process has a socket at which the port is listened on."""
    held = descriptors(pid).values()
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    listening = [row for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
    return any(f"socket:[{row[9]}]" in held for row in listening)
