"""A WebSocket client that costs little: connections that send a frame and wait for it to come back.

Its frames are made once and only the lengths of the answers are looked at, so that it is the server
that is measured. As a program of its own: PORT CONNECTIONS SECONDS; prints messages a second.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time

__all__ = ["messages_per_second"]

PAYLOAD = b"0123456789abcdef" * 4
FRAME = bytes([0x82, 0x80 | len(PAYLOAD)]) + bytes(4) + PAYLOAD
ANSWER_BYTES = 2 + len(PAYLOAD)
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def messages_per_second(port: int, connections: int, seconds: float) -> float:
    """Round trips of all connections together. Raises OSError when one is closed."""
    sockets = [_connect(port) for _ in range(connections)]
    selector = selectors.DefaultSelector()
    missing: dict[int, int] = {}
    for each in sockets:
        selector.register(each, selectors.EVENT_READ)
        missing[each.fileno()] = ANSWER_BYTES
        each.send(FRAME)
    done = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for key, _ in selector.select(1.0):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            data = sock.recv(4096)
            if not data:
                raise OSError("the server has closed")
            left = missing[key.fd] - len(data)
            if left > 0:
                missing[key.fd] = left
                continue
            missing[key.fd] = ANSWER_BYTES
            done += 1
            sock.send(FRAME)
    rate = done / (time.perf_counter() - begin)
    selector.close()
    for each in sockets:
        each.close()
    return rate


def _connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(REQUEST)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    if b" 101 " not in head:
        raise OSError(f"no WebSocket: {head!r}")
    return sock


if __name__ == "__main__":
    print(messages_per_second(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
