"""A connection to a FastCGI process, shared by the requests that are on it.

Nobody owns the socket: every request's thread waits for it and for its own bell, and who wakes
`pump`s. That reads what is there and puts each record into the inbox of its request, ringing the
bell of those that are other threads'. What is sent goes through one buffer, record by record.

A connection with one request, or none, can be watched instead: then it is read when something has
come, and what has come is left in `raw` for its `listener`, who is told; until a thread begins or
takes over a conversation there.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.worker.fastcgi import records
from was.worker.fastcgi.records import IDS, Record, RecordError, RecordReader, RecordType

if TYPE_CHECKING:
    from was.worker.threads.descriptor_watch import DescriptorWatch

__all__ = ["Connection", "Conversation"]

READ_BYTES = 65536
# A request asks for no more body while so much waits to be sent.
OUT_BYTES = 131072
# More than there are ever requests on a connection.
MOST_IDS = 128


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
        self.fault: RecordError | None = None  # how it has broken it
        self.is_reset = False  # when it did so there was something that it had not read
        self.sent = 0  # bytes, since it was opened, or `ask` began
        self.received = 0
        self._watch: DescriptorWatch | None = None
        self.listener: Callable[[], None] | None = None
        self.raw = b""
        self.last_id = 0  # of the request that was begun last

    def fileno(self) -> int:
        """To wait for: readable, and writable while `has_unsent`."""
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether it should be waited for until it can be written to."""
        return bool(self._out)

    @property
    def moved(self) -> int:
        """Bytes in both directions: it grows as long as the process takes or says something."""
        return self.sent + self.received

    @property
    def is_full(self) -> bool:
        """Whether more body should wait."""
        return len(self._out) >= OUT_BYTES

    def open(self, bell: int) -> Conversation:
        """A request's place on it, with an id of its own."""
        with self._lock:
            return self._open(self._free_id(), bell)

    def _free_id(self) -> int:
        """Not one that was used lately: of its request something may come that is nobody's."""
        number = self.last_id % MOST_IDS + 1
        while number in self._conversations:
            number = number % MOST_IDS + 1
        return number

    def _open(self, number: int, bell: int) -> Conversation:
        self.last_id = number
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

    def flush(self) -> None:
        """Send what waits, as far as the peer takes it."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._out and not self.is_closed:
                count = self._socket.send(self._out)
                self.sent += count
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

    def _read(self) -> bytes | None:
        """What there is; None: nothing yet, b"": the end."""
        try:
            return self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            self.is_reset = isinstance(error, ConnectionResetError)
            return b""

    def _receive(self) -> None:
        data = self._read()
        if data is None:
            return
        if not data:
            self.is_closed = True
        self.received += len(data)
        rung = self._sort(data)
        if self.is_closed:
            rung |= {c.bell for c in self._conversations.values()}
        if len(self._conversations) > 1 or self.is_closed:
            for bell in rung:
                os.eventfd_write(bell, 1)

    def _sort(self, data: bytes) -> set[int]:
        """Put records into the inboxes of their requests; whose bells are to be rung."""
        rung: set[int] = set()
        try:
            for record in self._reader.feed(data):
                conversation = self._conversations.get(record.request_id)
                if conversation is not None:
                    conversation.inbox.append(record)
                    rung.add(conversation.bell)
        except RecordError as error:
            self.is_closed = True
            self.fault = error
        return rung

    def is_stale(self) -> bool:
        """Whether the peer has closed it while nobody was on it. It is not watched from here on."""
        self.unwatch()
        self.pump()
        return self.is_closed

    # ── watched ─────────────────────────────────────────────────────────────────────────────────

    def next_id(self) -> int:
        """For a request that `ask` is to begin."""
        self.last_id = IDS[0] if self.last_id != IDS[0] else IDS[1]
        return self.last_id

    def ask(self, data: bytes, watch: DescriptorWatch, listener: Callable[[], None]) -> bool:
        """Send a request that is alone here, of `next_id`; `listener` is told of what comes for it.

        False: not all could be sent; what is left waits for `flush`.
        """
        self.listener = listener
        self.raw = b""
        self.sent = 0
        if self._watch is None:
            self._watch = watch
            watch.add(self._socket.fileno(), self._has_news)
        with self._lock:
            try:
                sent = 0 if self._out else self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return True  # what it has answered before is still to be read: its end is the end
            self.sent = sent
            if sent == len(data):
                return True
            self._out += data[sent:]
            return False

    def unwatch(self) -> None:
        """Threads read it again."""
        self.listener = None
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.forget(self._socket.fileno())

    def take_over(self, bell: int) -> Conversation:
        """For a thread: the conversation that `ask` has begun, with what has come for it."""
        self.unwatch()
        with self._lock:
            conversation = self._open(self.last_id, bell)
            raw, self.raw = self.raw, b""
            self._sort(raw)
        return conversation

    def _has_news(self) -> None:
        with self._lock:
            data = self._read()
            if data is None:
                return
            listener = self.listener
            if listener is None:
                self._sort(data)
            elif self.raw:
                self.raw += data
            else:
                self.raw = data
            if not data:
                self.is_closed = True
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
