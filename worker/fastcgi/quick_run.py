"""A request that waits for its process, and for its answer, without a thread.

    wait for a process ──▶ send ──▶ wait for the answer ──▶ all has come
           │                │              │
           └────────────────┴──────────────┴──▶ a thread has to go on

The usual request needs no more than this: its body is here, a process that runs is given it as one
piece, and the answer comes as a whole within GATHER_S of its first byte. What takes more is for a
thread (run.py): a process to be started, an answer that is long or slow, complaints, ends of
processes and of clients, limits that have passed.

But for `start` all is called by the watch, one call at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.worker.fastcgi.process_pool import Turn
from was.worker.fastcgi.records import RecordError, whole_answer, whole_request
from was.worker.fastcgi.run import mark_begun
from was.worker.gateway.bell import GATHER_S

if TYPE_CHECKING:
    from was.worker.fastcgi.connection import Connection
    from was.worker.fastcgi.held import Held
    from was.worker.fastcgi.process_pool import Instance
    from was.worker.fastcgi.processes import Processes
    from was.worker.interfaces.context import HttpContext
    from was.worker.threads.descriptor_watch import DescriptorWatch

__all__ = ["QuickRun"]

# An answer that is longer is sent in pieces, which may block.
MOST_BYTES = 49152


class QuickRun(Turn):
    """One request, until `then` is called, on a request thread."""

    __slots__ = (
        "_connection",
        "_is_over",
        "_is_partial",
        "_then",
        "body",
        "context",
        "first_byte_limit_s",
        "held",
        "output",
        "processes",
        "protocol_status",
        "sent_at",
        "variables",
        "watch",
    )

    def __init__(
        self,
        context: HttpContext,
        processes: Processes,
        variables: bytes,
        body: bytes,
        first_byte_limit_s: float,
        watch: DescriptorWatch,
        then: Callable[[QuickRun], None],
    ) -> None:
        """`then` may block and must not raise.

        If there is `output` the process is another's by then. Otherwise it is to go on with `held`,
        if the request has been sent; or to begin it, with `instance` if there is one.
        """
        self.until = time.monotonic() + processes.settings.request_timeout
        self.first_byte_limit_s = first_byte_limit_s
        self.instance = self.verdict = None
        self.context = context
        self.processes = processes
        self.variables = variables
        self.body = body
        self.watch = watch
        self.held: Held | None = None
        self.sent_at = 0.0
        self.output: bytes | None = None
        self.protocol_status = 0
        self._then = then
        self._connection: Connection | None = None
        self._is_over = self._is_partial = False

    def start(self) -> None:
        """On the request's thread. Raises NoProcessError; nothing follows then."""
        self.context.exchange.ring_on_arrival(self._tell_client)
        self.processes.look_after(self, self.watch)
        try:
            instance = self.processes.take(self)
        except BaseException:
            self.context.exchange.ring_on_arrival(None)
            self.processes.forget(self)
            raise
        if instance is not None:
            self.instance = instance
            self._send(instance)

    def ring(self) -> None:
        """Its turn has come. Any thread."""
        self.watch.call_soon(self._take_turn)

    # ── from the watch ──────────────────────────────────────────────────────────────────────────

    def _take_turn(self) -> None:
        if self.instance is None or self.context.exchange.gone:
            self._end()
        else:
            self._send(self.instance)

    def _send(self, instance: Instance) -> None:
        """Also on the request's own thread."""
        processes = self.processes
        held = processes.held_at_once(instance)
        connection = held.connection if held is not None else None
        if connection is None:
            self.watch.call_soon(self._end)
            return
        self.held = held
        self._connection = connection
        keep = processes.keeps_connections
        data = whole_request(connection.next_id(), self.variables, self.body, keep=keep)
        mark_begun(self.context)
        is_sent = connection.ask(data, self.watch, self._has_news)
        self.sent_at = time.monotonic()
        # The watch has let alone what came before that line.
        if connection.is_closed or not is_sent or self.context.exchange.gone:
            self.watch.call_soon(self._end)
        elif connection.raw:
            self.watch.call_soon(self._has_news)

    def _has_news(self) -> None:
        """Something has come on the connection, its end maybe."""
        connection = self._connection
        if self._is_over or connection is None or not self.sent_at:
            return
        raw = connection.raw
        try:
            found = whole_answer(connection.last_id, raw)
        except RecordError:
            self._end()
            return
        if found is not None:
            self.output, self.protocol_status = found
            self._answered(connection)
        elif connection.is_closed or len(raw) > MOST_BYTES:
            self._end()
        elif raw and not self._is_partial:
            self._is_partial = True
            self.watch.call_at(time.monotonic() + GATHER_S, self._end)

    def _answered(self, connection: Connection) -> None:
        """All has come. The process goes to the next request first of all."""
        held = self.held
        assert held is not None
        self._is_over = True
        self.processes.forget(self)
        connection.listener = None
        connection.raw = b""
        self.context.exchange.ring_on_arrival(None)
        is_good = not connection.is_closed or held.program is not None
        self.processes.release(held, is_good=is_good)
        self.watch.go_on(self._go_on)

    def look(self, now: float) -> None:
        """Now and then: whether its process has been given all its time."""
        if self.sent_at:
            settings = self.processes.settings
            limit_s = min(settings.request_timeout, settings.activity_timeout)
            if now - self.sent_at >= min(limit_s, self.first_byte_limit_s):
                self._end()

    def _tell_client(self) -> None:
        if self.context.exchange.gone:
            self.watch.call_soon(self._client_gone)

    def _client_gone(self) -> None:
        if self.sent_at or self.processes.leave(self):
            self._end()

    def _end(self) -> None:
        """A thread has to go on."""
        if self._is_over:
            return
        self._is_over = True
        self.processes.forget(self)
        self.context.exchange.ring_on_arrival(None)
        if self._connection is not None:
            self._connection.unwatch()
        self.watch.go_on(self._go_on)

    def _go_on(self) -> None:
        self._then(self)
