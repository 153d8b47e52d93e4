"""One request over a FastCGI connection: variables and body out, answer and complaints in.

The request's thread waits here for whichever comes first: records of the process, room for body,
body bytes of a client that is still sending, the client's disconnect, the end of patience.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from was import faults
from was.ipc.scoreboard import RequestState
from was.worker.exchange import ClientGoneError
from was.worker.fastcgi import records
from was.worker.fastcgi.connection import Connection, Conversation
from was.worker.fastcgi.records import EndRequest, RecordType, Role
from was.worker.fastcgi.settings import StdErrMode
from was.worker.gateway.bell import GATHER_S, own_bell
from was.worker.gateway.head import HeadError
from was.worker.gateway.patience import Patience

if TYPE_CHECKING:
    from was.worker.fastcgi.settings import FastCgiApplication
    from was.worker.gateway.answer import Answer
    from was.worker.interfaces.context import HttpContext

__all__ = [
    "MOST_REPEATED",
    "ConnectionLostError",
    "FastCgiRun",
    "FastCgiTimeoutError",
    "StdErrError",
    "mark_begun",
]

BODY_BYTES = 65528  # a record's content without padding
MOST_COMPLAINTS = 65536
# A body up to this size can be sent to another process, should the first be gone already.
MOST_REPEATED = 65536

_STARTED = int(RequestState.STARTED)


class FastCgiTimeoutError(TimeoutError):
    """activityTimeout or requestTimeout has passed."""


class ConnectionLostError(ConnectionError):
    """The process has closed the connection before the end of its answer."""


class StdErrError(Exception):
    """The process has written to FCGI_STDERR, and stderrMode makes that its end."""


def mark_begun(context: HttpContext) -> None:
    """A process is given the request now: only from here on can a second run do harm."""
    exchange = context.exchange
    exchange.words[exchange.row] = context.proof | _STARTED
    faults.reach("worker.begun")


class FastCgiRun:
    """One request; what was sent of its body is kept for a repetition as long as it is short."""

    def __init__(
        self,
        context: HttpContext,
        answer: Answer,
        settings: FastCgiApplication,
        first_byte_limit_s: float,
    ) -> None:
        self._context = context
        self.answer = answer
        self.settings = settings
        self._first_byte_limit_s = first_byte_limit_s
        self._patience: Patience | None = None  # from when it is first begun
        self._gathered_at = 0.0  # since when output is held back
        self._body_sent: bytearray | None = bytearray()
        self._is_body_over = False
        self._is_draining = False
        self.complaints = bytearray()
        self.has_failed = False  # by stderrMode; the rest of the output is dropped
        self._bad_head: HeadError | None = None  # likewise
        self.can_repeat = True
        self.is_length_told = True  # of the body, by CONTENT_LENGTH
        self._sent_before = 0  # bytes that were sent on the connection before it
        requests = context.application.requests
        self._repeats = requests.max_replays if requests.replay.covers(context.method) else 0

    def is_gone(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._context.exchange.gone

    def came_from(self, body: bytes, sent_at: float) -> None:
        """This is the request's body, and it was sent then (0: it was not)."""
        self._body_sent = bytearray(body)
        self._is_body_over = True
        if sent_at:
            self._begin(sent_at)

    def _begin(self, now: float) -> None:
        """The limits are a process's, not the queue's: they count from here."""
        if self._patience is None:
            settings = self.settings
            self._patience = Patience(
                now, settings.request_timeout, self._first_byte_limit_s, settings.activity_timeout
            )
        self._patience.moved(now)

    def was_refused(self, connection: Connection) -> bool:
        """Whether a process that is gone was not sent a byte of it."""
        return connection.sent == self._sent_before

    def use_repeat(self) -> bool:
        """Whether it may be run again by the pool's policy; asked once for each time."""
        self._repeats -= 1
        return self._repeats >= 0

    def run(self, connection: Connection, variables: bytes, *, keep: bool) -> EndRequest:
        """To the END_REQUEST. May be called again on another connection while `can_repeat`.

        Raises FastCgiTimeoutError, ConnectionLostError, RecordError, StdErrError, HeadError;
        ClientGoneError where the client has gone, after the process has ended the request all the
        same.
        """
        self._begin(time.monotonic())
        self._sent_before = connection.sent
        mark_begun(self._context)
        conversation = connection.open(own_bell())
        number = conversation.id
        connection.queue(
            records.begin_request(number, Role.RESPONDER, records.FLAG_KEEP_CONN * keep)
            + records.stream(RecordType.PARAMS, number, variables)
            + records.stream(RecordType.PARAMS, number, b"")
            + self._body_again(number)
        )
        return self._run(connection, conversation)

    def go_on(self, connection: Connection) -> EndRequest:
        """The same for a request that a QuickRun has begun there."""
        conversation = connection.take_over(own_bell())
        if conversation.inbox:
            self._gathered_at = time.monotonic() - GATHER_S  # it was held back before
        return self._run(connection, conversation)

    def _run(self, connection: Connection, conversation: Conversation) -> EndRequest:
        self._conversation = conversation
        bell = conversation.bell
        self._context.exchange.ring_on_arrival(lambda: os.eventfd_write(bell, 1))
        try:
            end = self._converse(connection, conversation.id, bell)
        finally:
            self._context.exchange.ring_on_arrival(None)
            connection.leave(conversation)
        if self._is_draining:
            raise ClientGoneError("the client has gone")
        if self._bad_head is not None and not self.has_failed:
            raise self._bad_head
        return end

    def _body_again(self, number: int) -> bytes:
        """What an earlier process was sent of the body."""
        sent = self._body_sent
        again = records.stream(RecordType.STDIN, number, bytes(sent)) if sent else b""
        return again + (
            records.stream(RecordType.STDIN, number, b"") if self._is_body_over else b""
        )

    def _converse(self, connection: Connection, number: int, bell: int) -> EndRequest:
        poll = select.poll()
        poll.register(bell, select.POLLIN)
        patience = self._patience
        assert patience is not None
        moved = connection.moved
        gathered_at = self._gathered_at
        while True:
            self._feed(connection, number)
            end = self._take_records()
            if end is not None:
                return end
            if connection.is_closed and not self._conversation.inbox:
                if connection.fault is not None:
                    raise connection.fault
                raise ConnectionLostError("the process has closed the connection")
            if self._context.exchange.gone and not self._is_draining:
                self._drain(connection, number)
            if not gathered_at and self.answer.can_flush and not self._is_silent:
                gathered_at = time.monotonic()
            now = time.monotonic()
            if connection.moved != moved:
                moved = connection.moved
                patience.moved(now)
            patience_s = self._patience_s(patience, now, gathered_at)
            is_client_awaited = not (self._is_body_over or connection.has_unsent)
            events = select.POLLIN | (select.POLLOUT if connection.has_unsent else 0)
            poll.register(connection, events)
            for fd, _ in poll.poll(patience_s * 1000):
                if fd == bell:
                    with suppress(BlockingIOError):
                        os.eventfd_read(bell)
            connection.pump()
            if is_client_awaited:
                patience.excuse(time.monotonic() - now)
            if gathered_at and time.monotonic() - gathered_at >= GATHER_S:
                gathered_at = 0.0
                if not (self._conversation.inbox or self._is_silent):
                    self._pass_on(self.answer.flush)

    def _patience_s(self, patience: Patience, now: float, gathered_at: float) -> float:
        until = patience.ends_at(has_answered=self._context.exchange.started)
        if now >= until:
            raise FastCgiTimeoutError
        if gathered_at:
            until = min(until, gathered_at + GATHER_S)
        return max(0.0, until - now)

    def _take_records(self) -> EndRequest | None:
        """What has come for this request; its end, if that is among it."""
        inbox = self._conversation.inbox
        while inbox:
            record = inbox.popleft()
            self.can_repeat = False
            if record.type == RecordType.STDOUT:
                self._add(record.content)
            elif record.type == RecordType.STDERR:
                self._complain(record.content)
            elif record.type == RecordType.END_REQUEST:
                return EndRequest.decode(record.content)
        return None

    @property
    def _is_silent(self) -> bool:
        """Whether nothing more of the output is wanted; the process ends its work all the same."""
        return self._is_draining or self.has_failed or self._bad_head is not None

    def _add(self, content: bytes) -> None:
        if self._is_silent:
            return
        try:
            self._pass_on(self.answer.feed, content)
        except HeadError as error:
            self._bad_head = error

    def _pass_on(self, send: Callable[..., None], *content: bytes) -> None:
        """Send what there is. How long the client takes is not the process's time."""
        patience, begun = self._patience, time.monotonic()
        assert patience is not None
        try:
            send(*content)
        except ClientGoneError:
            self._is_draining = True
        finally:
            patience.excuse(time.monotonic() - begun)

    def _complain(self, content: bytes) -> None:
        if not content:
            return
        with suppress(OSError):  # a log that is full is no fault of the request's
            os.write(2, content if content.endswith(b"\n") else content + b"\n")
        if len(self.complaints) < MOST_COMPLAINTS:
            self.complaints += content
        mode = self.settings.stderr_mode
        if mode is StdErrMode.TERMINATE_PROCESS:
            raise StdErrError
        if mode is not StdErrMode.IGNORE_AND_RETURN_200 and not self._context.exchange.started:
            self.has_failed = True

    def _drain(self, connection: Connection, number: int) -> None:
        """The client has gone: say so, and let the process end what it has begun."""
        self._is_draining = True
        connection.queue(records.abort_request(number))
        if not self._is_body_over:
            self._is_body_over = True
            connection.queue(records.stream(RecordType.STDIN, number, b""))

    def _feed(self, connection: Connection, number: int) -> None:
        """Send body as far as it has come and the process takes it, and what else waits."""
        exchange = self._context.exchange
        while not self._is_body_over:
            if connection.is_full:
                connection.flush()
            if connection.is_full or not exchange.poll_body():
                break
            try:
                data = self._context.request.read_entity_body(BODY_BYTES)
            except ClientGoneError:
                self._drain(connection, number)
                return
            if self._body_sent is not None:
                self._body_sent += data
                if len(self._body_sent) > MOST_REPEATED:
                    self._body_sent = None
                    self.can_repeat = False
            self._is_body_over = not data
            connection.queue(records.stream(RecordType.STDIN, number, data))
        connection.flush()
