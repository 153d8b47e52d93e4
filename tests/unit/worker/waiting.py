"""Asking for what a server may answer later, on another thread."""

from __future__ import annotations

import threading

from fake_exchange import FakeExchange, make_request
from support import credentials

from was.worker.server import WorkerServer

LIMIT_S = 20.0


class WaitingExchange(FakeExchange):
    """Tells when the request has ended."""

    def __init__(self, request) -> None:
        super().__init__(request)
        self.ended = threading.Event()

    def _end(self, log, substatus, win32) -> None:
        super()._end(log, substatus, win32)
        self.ended.set()


def ask_and_wait(server: WorkerServer, **changes) -> WaitingExchange:
    exchange = WaitingExchange(make_request(**changes))
    server.handle(exchange)
    assert exchange.ended.wait(LIMIT_S), "the request did not end"
    return exchange


def outcome(exchange: FakeExchange) -> str:
    return f"{exchange.status}.{exchange.sub_status}"


def basic(name: str, password: str) -> tuple[str, str]:
    return "Authorization", credentials.basic(name, password)


def challenges(exchange: FakeExchange) -> list[str]:
    lines = exchange.block.decode("latin-1").split("\r\n")
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("www-auth")]
