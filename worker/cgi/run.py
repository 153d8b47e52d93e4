"""One run of a CGI program: request body in, output out, until its end or the end of patience.

The request's thread waits here for whichever comes first: output, the program's end, room in its
standard input, body bytes of a client that is still sending, the client's disconnect.

The end of the output is the end of the response (RFC 3875, 6.1), also where the program goes on.
Nearly all programs close their output by ending, so how that went is waited for, but briefly.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from was.worker.exchange import ClientGoneError
from was.worker.gateway.bell import GATHER_S, own_bell
from was.worker.gateway.patience import Patience
from was.worker.programs.launch import Program, start_program

if TYPE_CHECKING:
    from was.worker.gateway.answer import Answer
    from was.worker.interfaces.context import HttpContext

__all__ = ["CgiRun", "CgiTimeoutError"]

READ_BYTES = 65536
# How long after the end of the output the program's own end is waited for: was it killed?
END_S = 1.0

_IN, _OUT, _BROKEN = select.POLLIN, select.POLLOUT, select.POLLERR | select.POLLHUP


class CgiTimeoutError(TimeoutError):
    """The program ran longer than it may."""


class CgiRun:
    """A program and the ends of its pipes that are ours."""

    def __init__(
        self, context: HttpContext, answer: Answer, limit_s: float, first_byte_limit_s: float
    ) -> None:
        """`limit_s` for the whole run, `first_byte_limit_s` while nothing has been sent."""
        self._context = context
        self._answer = answer
        self._patience = Patience(time.monotonic(), limit_s, first_byte_limit_s)
        self._program: Program | None = None
        self._input = self._output = -1
        self._bell = own_bell()
        self._poll = select.poll()
        self._pending = memoryview(b"")
        self._is_open = True  # the program's output
        self._end_deadline = self._patience.whole_until  # of the program itself

    def start(self, argv: list[bytes], folder: bytes, environment: list[bytes]) -> None:
        """Start the program. Raises ProgramError."""
        theirs: list[int] = []
        try:
            if self._has_body():
                read_end, self._input = os.pipe2(os.O_CLOEXEC)
                theirs.append(read_end)
                os.set_blocking(self._input, False)
            else:
                theirs.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            self._output, write_end = os.pipe2(os.O_CLOEXEC)
            theirs.append(write_end)
            os.set_blocking(self._output, False)
            self._program = start_program(argv, folder, environment, (theirs[0], theirs[1], 2))
        finally:
            for fd in theirs:
                os.close(fd)

    def _has_body(self) -> bool:
        message = self._context.message
        return bool(message.body_length) or message.pull or self._context.is_body_touched

    def run(self) -> Program:
        """To the end of the program's output, and its own if that is near; `close` closes it.

        A program without a status goes on by itself, for no longer than the whole run may take.
        Raises CgiTimeoutError, ClientGoneError, HeadError.
        """
        program = self._program
        assert program is not None
        exchange = self._context.exchange
        bell, lease = self._bell, program.fileno()
        exchange.ring_on_arrival(lambda: os.eventfd_write(bell, 1))
        self._poll.register(self._bell, _IN)
        self._poll.register(self._output, _IN)
        self._poll.register(program, _IN)
        if self._input >= 0:
            self._poll.register(self._input, 0)
            self._feed()
        gathered_at = 0.0
        while self._is_open or self._awaits_end(program):
            if exchange.gone:
                raise ClientGoneError("the client has gone")
            now = time.monotonic()
            patience_s = self._patience_s(now, gathered_at)
            is_client_awaited = self._input >= 0 and not self._pending
            for fd, events in self._poll.poll(patience_s * 1000):
                if fd == lease:
                    self._hear(program)
                else:
                    self._go_on(fd, events)
            if is_client_awaited:
                self._patience.excuse(time.monotonic() - now)
            if program.is_lost:
                break  # what it has left may hold the pipe for ever
            if not gathered_at and self._answer.can_flush:
                gathered_at = time.monotonic()
            elif gathered_at and time.monotonic() - gathered_at >= GATHER_S:
                gathered_at = 0.0
                if self._is_open or program.status is None:
                    # A client that knows the length has it all.
                    self._pass_on(self._answer.flush)
        if program.status is None:
            program.leave(self._patience.whole_until - time.monotonic())
        return program

    def _awaits_end(self, program: Program) -> bool:
        """Whether to wait on although all output has come."""
        return program.status is None and time.monotonic() < self._end_deadline

    def _go_on(self, fd: int, events: int) -> None:
        """Something can be read or written."""
        if fd == self._output:
            self._is_open = self._take()
            if not self._is_open:
                self._end_deadline = min(self._patience.whole_until, time.monotonic() + END_S)
        elif fd == self._bell:
            with suppress(BlockingIOError):
                os.eventfd_read(self._bell)
            self._feed()
        elif fd == self._input:
            if events & _BROKEN:
                self._close_input()  # it does not want the rest
            else:
                self._feed()

    def _hear(self, program: Program) -> None:
        if program.hear():
            self._poll.unregister(program)
            self._close_input()

    def _patience_s(self, now: float, gathered_at: float) -> float:
        if self._is_open:
            until = self._patience.ends_at(has_answered=self._context.exchange.started)
            if now >= until:
                raise CgiTimeoutError
        else:
            until = self._end_deadline
        if gathered_at:
            until = min(until, gathered_at + GATHER_S)
        return max(0.0, until - now)

    def _take(self) -> bool:
        """Read output; False at its end."""
        try:
            data = os.read(self._output, READ_BYTES)
        except BlockingIOError:
            return True
        if data:
            self._pass_on(self._answer.feed, data)
            return True
        self._poll.unregister(self._output)
        return False

    def _pass_on(self, send: Callable[..., None], *data: bytes) -> None:
        """Send what there is. How long the client takes is not the program's time."""
        begun = time.monotonic()
        send(*data)
        self._patience.excuse(time.monotonic() - begun)

    def _feed(self) -> None:
        """Write body bytes as far as the program takes them and they have come."""
        exchange = self._context.exchange
        while self._input >= 0:
            if not self._pending:
                if not exchange.poll_body():
                    self._poll.modify(self._input, 0)
                    return
                data = self._context.request.read_entity_body(READ_BYTES)
                if not data:
                    self._close_input()
                    return
                self._pending = memoryview(data)
            try:
                count = os.write(self._input, self._pending)
            except BlockingIOError:
                self._poll.modify(self._input, _OUT)
                return
            except BrokenPipeError:
                self._close_input()
                return
            self._pending = self._pending[count:]

    def _close_input(self) -> None:
        if self._input >= 0:
            with suppress(KeyError):
                self._poll.unregister(self._input)
            os.close(self._input)
            self._input = -1

    def close(self) -> None:
        """End the program and all it has started, and close what is ours."""
        self._context.exchange.ring_on_arrival(None)
        if self._program is not None:
            self._program.close()
        self._close_input()
        if self._output >= 0:
            os.close(self._output)
            self._output = -1
