"""A connection to a FastCGI process, shared by the requests that are on it.

Nobody owns the socket: every request's thread waits for it and for its own bell, and who wakes
`pump`s. That reads what is there and puts each record into the inbox of its request, ringing the
bell of those that are other threads'. What is sent goes through one buffer, record by record.

A connection with one request, or none, can be watched instead: then it is read when something has
come, and `listener` is told.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.worker.fastcgi import records
from was.worker.fastcgi.records import Record, RecordError, RecordReader, RecordType

if TYPE_CHECKING:
    from was.worker.descriptor_watch import DescriptorWatch

__all__ = ["NO_BELL", "Connection", "Conversation"]

READ_BYTES = 65536
# A request asks for no more body while so much waits to be sent.
OUT_BYTES = 131072
NO_BELL = -1  # of a request without a thread


class Conversation:
    """One request on a connection."""

    __slots__ = ("bell", "id", "inbox")

    def __init__(self, request_id: int, bell: int) -> None:
        self.id = request_id
        self.bell = bell
        self.inbox: deque[Record] = deque()


class Connection:
    """A stream socket, connected; closed by who holds the process."""

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self._socket = stream
        self._lock = threading.Lock()
        self._reader = RecordReader()
        self._out = bytearray()
        self._conversations: dict[int, Conversation] = {}
        self.is_closed = False  # the peer has ended it, or broken the protocol
        self.received = 0
        self._watch: DescriptorWatch | None = None
        # Told of what has come while it is watched, and of the end.
        self.listener: Callable[[], None] | None = None

    def fileno(self) -> int:
        """To wait for: readable, and writable while `has_unsent`."""
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether it should be waited for until it can be written to."""
        return bool(self._out)

    @property
    def is_full(self) -> bool:
        """Whether more body should wait."""
        return len(self._out) >= OUT_BYTES

    def open(self, bell: int) -> Conversation:
        """A request's place on it, with an id of its own."""
        with self._lock:
            number = 1
            while number in self._conversations:
                number += 1
            conversation = self._conversations[number] = Conversation(number, bell)
            return conversation

    def leave(self, conversation: Conversation) -> None:
        """The request has ended there, and its id is free."""
        with self._lock:
            self._conversations.pop(conversation.id, None)

    def queue(self, data: bytes) -> None:
        """Whole records to be sent by the next `flush`: few large pieces wake the peer once."""
        with self._lock:
            self._out += data

    def send(self, data: bytes) -> None:
        """Both at once."""
        with self._lock:
            self._out += data
            self._flush()

    def flush(self) -> None:
        """Send what waits, as far as the peer takes it."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._out and not self.is_closed:
                count = self._socket.send(self._out)
                del self._out[:count]
        except BlockingIOError:
            pass
        except OSError:
            # What it has answered before is still to be read: the end of that is the end.
            self._out.clear()

    def pump(self) -> None:
        """Take in what has come. Does nothing where another thread does it just now."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._receive()
        finally:
            self._lock.release()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.received += len(data)
        rung: set[int] = set()
        try:
            for record in self._reader.feed(data):
                conversation = self._conversations.get(record.request_id)
                if conversation is not None:
                    conversation.inbox.append(record)
                    rung.add(conversation.bell)
        except RecordError:
            self.is_closed = True
        if not data:
            self.is_closed = True
        if self.is_closed:
            rung |= {c.bell for c in self._conversations.values()}
        if len(self._conversations) > 1 or self.is_closed:
            for bell in rung - {NO_BELL}:
                os.eventfd_write(bell, 1)

    def is_stale(self) -> bool:
        """Whether the peer has closed it while nobody was on it. It is not watched from here on."""
        self.unwatch()
        self.pump()
        return self.is_closed

    # ── watched ─────────────────────────────────────────────────────────────────────────────────

    def watch(self, watch: DescriptorWatch, listener: Callable[[], None]) -> None:
        """Have it read when something comes, and `listener` told; until `unwatch`."""
        self.listener = listener
        if self._watch is None:
            self._watch = watch
            watch.add(self._socket.fileno(), self._has_news)

    def unwatch(self) -> None:
        """Threads read it again."""
        self.listener = None
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.forget(self._socket.fileno())

    def _has_news(self) -> None:
        with self._lock:
            self._receive()
        listener = self.listener
        if listener is not None:
            listener()
        elif self.is_closed:
            self.unwatch()

    def ask_values(self, limit_s: float) -> dict[bytes, bytes]:
        """What the process says it can do; empty where it says nothing within the limit.

        On a connection of its own: some processes close it after their answer.
        """
        names = (b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS")
        self._socket.settimeout(limit_s)
        try:
            self._socket.sendall(records.get_values(names))
            while data := self._socket.recv(READ_BYTES):
                for record in self._reader.feed(data):
                    if record.type == RecordType.GET_VALUES_RESULT:
                        return records.decode_pairs(record.content)
        except (OSError, RecordError):
            pass
        return {}

    def close(self) -> None:
        """End it."""
        self.unwatch()
        self._socket.close()
