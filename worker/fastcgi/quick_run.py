"""A request that waits for its process, and for its answer, without a thread.

    wait for a process ──▶ send ──▶ wait for the answer ──▶ all has come: `is_answered`
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

from was.worker.fastcgi.connection import NO_BELL
from was.worker.fastcgi.process_pool import Turn
from was.worker.fastcgi.records import RecordType
from was.worker.fastcgi.run import GATHER_S

if TYPE_CHECKING:
    from was.worker.context import HttpContext
    from was.worker.descriptor_watch import DescriptorWatch
    from was.worker.fastcgi.connection import Connection
    from was.worker.fastcgi.held import Held
    from was.worker.fastcgi.process_pool import Instance
    from was.worker.fastcgi.processes import Processes
    from was.worker.fastcgi.run import FastCgiRun

__all__ = ["QuickRun"]

# An answer that is longer is sent in pieces, which may block.
MOST_BYTES = 49152


class QuickRun(Turn):
    """One request, until `then` is called, on a request thread."""

    __slots__ = (
        "_connection",
        "_is_over",
        "_is_partial",
        "_is_sent",
        "_received",
        "_then",
        "context",
        "held",
        "is_answered",
        "processes",
        "run",
        "variables",
        "watch",
    )

    def __init__(
        self,
        context: HttpContext,
        run: FastCgiRun,
        processes: Processes,
        variables: bytes,
        watch: DescriptorWatch,
        then: Callable[[QuickRun], None],
    ) -> None:
        """`then` may block and must not raise.

        If `is_answered` the process is another's by then, and `run.take_answer` says what it has
        said. Otherwise it is to go on with `held`, if the request has been sent; or to begin it,
        with `instance` if there is one.
        """
        super().__init__(time.monotonic() + processes.settings.request_timeout)
        self.context = context
        self.run = run
        self.processes = processes
        self.variables = variables
        self.held: Held | None = None
        self.is_answered = False
        self.watch = watch
        self._then = then
        self._connection: Connection | None = None
        self._received = 0
        self._is_sent = self._is_partial = False
        self._is_over = False

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
        held = processes.held_at_once(instance) if processes.capacity == 1 else None
        connection = held.connection if held is not None else None
        if connection is None:
            self.watch.call_soon(self._end)
            return
        self.held = held
        self._connection = connection
        self._received = connection.received
        # Before the answer can come.
        connection.watch(self.watch, self._has_news)
        self.run.begin(connection, NO_BELL, self.variables, keep=processes.keeps_connections)
        self._is_sent = True
        # The watch has let alone what came before that line.
        if connection.has_unsent or connection.is_closed or self.context.exchange.gone:
            self.watch.call_soon(self._end)
        elif self.run.conversation.inbox:
            self.watch.call_soon(self._has_news)

    def _has_news(self) -> None:
        """Something has come on the connection, its end maybe."""
        connection = self._connection
        if self._is_over or connection is None or not self._is_sent:
            return
        inbox = self.run.conversation.inbox
        if inbox and inbox[-1].type == RecordType.END_REQUEST:
            if all(record.type != RecordType.STDERR for record in inbox):
                self._answered(connection)
                return
        elif not connection.is_closed and inbox and inbox[-1].type == RecordType.STDOUT:
            if not self._is_partial:
                self._is_partial = True
                self.watch.call_at(time.monotonic() + GATHER_S, self._end)
            if connection.received - self._received <= MOST_BYTES:
                return
        self._end()

    def _answered(self, connection: Connection) -> None:
        """All has come. The process goes to the next request first of all."""
        held = self.held
        assert held is not None
        self._is_over = self.is_answered = True
        self.processes.forget(self)
        connection.listener = None
        self.run.leave(connection)
        is_good = not connection.is_closed or held.program is not None
        self.processes.release(held, is_good=is_good)
        self.watch.go_on(self._go_on)

    def look(self) -> None:
        """Now and then: whether its process has been given all its time."""
        if self._is_sent and self.run.is_overdue():
            self._end()

    def _tell_client(self) -> None:
        if self.context.exchange.gone:
            self.watch.call_soon(self._client_gone)

    def _client_gone(self) -> None:
        if self._is_sent or self.processes.leave(self):
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
            if self.run.conversation.inbox:
                self.run.hold_back_no_more()
        self.watch.go_on(self._go_on)

    def _go_on(self) -> None:
        self._then(self)
