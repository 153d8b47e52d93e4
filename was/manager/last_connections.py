"""A listening socket that is about to be closed takes no more connections, and loses none.

The kernel resets what waits to be accepted when a socket is closed, and as long as it is open more
may come. So the packet that begins a connection is dropped first, by a filter on the socket: who
sends it sends it again after a second and finds the port closed. What has come is accepted
meanwhile. A handshake that takes longer than the listener waits is reset all the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct

__all__ = ["refuse_connections", "take_connections"]

SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27

# Of a packet's TCP flags SYN is set and ACK is not: drop it.
_FLAGS_AT, _SYN, _SYN_ACK = 13, 0x02, 0x12
_FILTER = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, _FLAGS_AT),  # load the byte
        (0x54, 0, 0, _SYN_ACK),  # and
        (0x15, 0, 1, _SYN),  # equal?
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFFFFFF),  # take
    )
)


def refuse_connections(sock: socket.socket) -> None:
    """No connection begins from now on. For all who share the socket, until it is closed."""
    program = ctypes.create_string_buffer(_FILTER, len(_FILTER))
    described = struct.pack("HP", len(_FILTER) // 8, ctypes.addressof(program))
    # Where it cannot be had, some may be reset.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)


def take_connections(sock: socket.socket) -> None:
    """It is wanted again."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
