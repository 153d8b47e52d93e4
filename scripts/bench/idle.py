"""What an idle keep-alive connection costs the listener, and whether it still serves beside 5,000.

Each connection has made one request before it idles, as a browser's would have.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket

from harness.load import Load, run_load
from harness.meter import pss_bytes
from harness.started import always_running, started_server, wsgi_home
from harness.table import Report

CONNECTIONS = 5000
BYTES_BAR = 8 * 1024
AT_ONCE = 100
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def run(report: Report, *, count: int = CONNECTIONS) -> None:
    """Open them, measure, serve, close."""
    report.title(f"{count} idle keep-alive connections")
    _raise_descriptor_limit(count)
    with started_server(wsgi_home(always_running("Bench", 1), "hello")) as server:
        port = server.port("Bench")
        listener = int(server.status()["listener_pid"])
        run_load(Load("127.0.0.1", port, count=2000, connections=16))
        before = pss_bytes(listener)
        opened = asyncio.run(_open_many(port, count))
        try:
            each = (pss_bytes(listener) - before) / count
            beside = run_load(Load("127.0.0.1", port, rate=100, connections=4, duration_s=3))
        finally:
            for connection in opened:
                connection.close()
    report.table(
        ["", "listener before", "each", "p50 ms", "p99 ms"],
        [
            [
                f"{count} connections",
                f"{before / 1024:,.0f} KiB",
                f"{each:,.0f} bytes",
                f"{beside.latency_ms(0.5):.1f}",
                f"{beside.latency_ms(0.99):.1f}",
            ]
        ],
    )
    report.bar(f"{each:,.0f} bytes each (less than {BYTES_BAR})", each < BYTES_BAR)
    is_served = beside.statuses == {200: beside.total} and not beside.failures
    report.bar(f"requests are served beside them: {beside.summary()}", is_served)


async def _open_many(port: int, count: int) -> list[socket.socket]:
    opened: list[socket.socket] = []
    for at in range(0, count, AT_ONCE):
        group = min(AT_ONCE, count - at)
        opened += await asyncio.gather(*(_open_one(port) for _ in range(group)))
    return opened


async def _open_one(port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    async with asyncio.timeout(30):
        await loop.sock_connect(connection, ("127.0.0.1", port))
        await loop.sock_sendall(connection, REQUEST)
        answer = await loop.sock_recv(connection, 4096)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"not 200 but {answer[:40]!r}")
    return connection


def _raise_descriptor_limit(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"the limit of open files is {hard}; {wanted} are needed (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    options = parser.parse_args()
    report = Report()
    run(report, count=options.connections)
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
