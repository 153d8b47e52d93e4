"""Ports that nobody listens at."""

import random
import socket
from contextlib import suppress

# Below those that the kernel gives to whoever asks for any: no other test is given one meanwhile.
FIRST, LAST = 20000, 31999


def unused_port() -> int:
    """A port of 127.0.0.1 that can be bound."""
    for _ in range(100):
        number = random.randint(FIRST, LAST)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return number
    raise AssertionError(f"no port from {FIRST} to {LAST} can be bound")
