"""Ports that nobody listens at."""

import os
import random
import socket
from contextlib import suppress

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
