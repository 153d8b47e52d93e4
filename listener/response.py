"""ResponseStream: a response on its way to a client that may be slower than the worker.

The worker is taken at its own speed: what the client does not read waits here, in memory up to the
pool's responseSpool, then in an unlinked file; only when the pool's spools are full does the window
close (no ResponseWindow is sent) and the worker wait. A small whole response to a client that reads
never comes here: the connection writes it itself.

Segments are sent in order: bytes through the transport while it does not push back, regions of
files by a FileSender, once the transport's own buffer is empty.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

from was.errors import LocalProtocolError
from was.ipc.messages import CHUNK_BYTES, RESPONSE_WINDOW_BYTES, Response, ResponseChunk
from was.listener.endings import abort
from was.listener.file_sender import FileRegion, FileSender
from was.listener.headers import check_block
from was.listener.spool import Spool

if TYPE_CHECKING:
    from was.listener.connection import ClientConnection
    from was.listener.request import ClientRequest

__all__ = ["ResponseStream"]

# Windows are given back in steps of at least this many bytes.
WINDOW_STEP = 64 * 1024
# What a worker may send beyond its window: a chunk that begins within it, and one with the END.
BEYOND_WINDOW_BYTES = 2 * CHUNK_BYTES
# What a piece costs that waits in memory, however short it is.
SEGMENT_BYTES = 64
# Files are not counted against the window, and each holds a descriptor of the listener's.
MAX_SEGMENTS_WITH_FILES = 1024


class ResponseStream:
    """What is still to be sent of one response.

    `length` is the body's promised length, -1 when it is chunked or ends with the connection.
    `log` is the worker's line for the site's log, once it has ended the response.
    """

    def __init__(
        self,
        connection: ClientConnection,
        request: ClientRequest,
        status: int,
        *,
        length: int,
        is_chunked: bool,
        has_body: bool,
    ) -> None:
        self._connection = connection
        self._request = request
        self.status = status
        self.substatus = 0
        self.win32 = 0
        self.log = ""
        self._left = length
        self._has_length = length >= 0
        self._is_chunked = is_chunked
        self._has_body = has_body
        self._segments: deque[bytes | FileRegion] = deque()
        self._memory_bytes = 0
        self._spool: Spool | None = None
        self._unacknowledged = 0
        self._sender: FileSender | None = None
        self._files = 0  # that are ours to close
        self.is_finished = False
        self.sent_bytes = 0
        # As the last look at the client's pace found them; the first look finds no fault. Bytes
        # of former responses may be with the transport, so "taken" may begin below 0.
        self._taken_bytes = 0
        self._offered_bytes = -(1 << 62)
        self.is_closed = False

    # ── from the worker ─────────────────────────────────────────────────────────────────────────

    def begin(self, head: bytes) -> None:
        """Write the head; a client that does not read is found out from now on."""
        self.sent_bytes = len(head)
        if self._connection.deadline == 0.0:  # else a body still arrives, and has its own timer
            self.watch_pace()
        self._connection.transport.write(head)

    def take(self, item: Response | ResponseChunk, data: bytes, fd: int) -> None:
        """`data`, and the region of the file `fd`, that came with `item`; the ill is cut off."""
        try:
            self.add(data)
            if fd >= 0:
                file, fd = fd, -1
                self.add_file(file, item.file_offset, item.file_length)
            if not item.more:
                self.log = item.log
                self.substatus = item.substatus
                self.win32 = item.win32
                self.finish(_trailers(item))
        except (ValueError, OSError) as error:
            if fd >= 0:
                os.close(fd)
            abort(self._connection, str(error))
            return
        self.advance()

    def add(self, data: bytes) -> None:
        """More of the body. Raises ValueError when it exceeds the promised length."""
        self._unacknowledged += len(data)
        if self._has_body and data:
            self._count(len(data))
            if self._is_chunked:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            self._put(data)
        self._acknowledge()

    def add_own(self, data: bytes) -> None:
        """What the listener itself says in between; of no worker's window."""
        self._put(data)

    def ask_for_life(self) -> None:
        """An octet that means nothing where a chunk's size comes next, if that is so here."""
        if self._is_chunked and not (self.is_finished or self._segments):
            self._connection.transport.write(b"0")

    @property
    def has_backlog(self) -> bool:
        """Whether anything waits here for the client to read."""
        return bool(self._segments)

    def begin_again(self) -> None:
        """Another worker goes on, whose window is open."""
        self._unacknowledged = 0

    def add_file(self, fd: int, offset: int, length: int) -> None:
        """A region of a regular file; the descriptor is ours from here on."""
        region = FileRegion(fd, offset, length, is_owned=True)
        self._hold(1)
        if len(self._segments) >= MAX_SEGMENTS_WITH_FILES:
            self._close_region(region)
            raise ValueError("too many files at once for a client that does not read")
        if not self._has_body or length <= 0:
            self._close_region(region)
            return
        try:
            self._count(length)
        except ValueError:
            self._close_region(region)
            raise
        self._connection.service.room.look()
        if self._is_chunked:
            self._put(b"%x\r\n" % length)
        self._segments.append(region)
        if self._is_chunked:
            self._put(b"\r\n")

    def _hold(self, count: int) -> None:
        self._files += count
        self._request.pool.account.memory.held_descriptors += count

    def _close_region(self, region: FileRegion) -> None:
        if region.is_owned and region.fd >= 0:
            self._hold(-1)
        region.close()

    @property
    def descriptors(self) -> int:
        """How many it has open."""
        spooled = self._spool is not None and self._spool.file >= 0
        duplicated = self._sender is not None and self._sender.has_descriptor
        return self._files + duplicated + spooled

    def finish(self, trailers: bytes = b"") -> None:
        """The worker's END. Raises ValueError when promised bytes are missing.

        `trailers` are for a body in chunks, and dropped with any other.
        """
        if self._has_body and self._has_length and self._left > 0:
            raise ValueError(f"{self._left} bytes of the promised body are missing")
        if self._is_chunked:
            self._put(b"0\r\n%b\r\n" % trailers)
        self.is_finished = True
        self._request.pool.account.leave(self)

    def _count(self, size: int) -> None:
        if self._has_length:
            if size > self._left:
                raise ValueError("more body than Content-Length promised")
            self._left -= size

    def _put(self, data: bytes) -> None:
        pool = self._request.pool
        memory = pool.account.memory
        size = len(data) + SEGMENT_BYTES
        if self._memory_bytes + size <= pool.settings.response_spool and not memory.is_full():
            self._segments.append(data)
            self._memory_bytes += size
            memory.held_bytes += size
            return
        spool = self._spool
        if spool is None:
            spool = self._spool = Spool(pool.account, 0)
        offset = spool.size
        spool.append(data)
        last = self._segments[-1] if self._segments else None
        if (
            isinstance(last, FileRegion)
            and not last.is_owned
            and last.offset + last.length == offset
        ):
            last.length += len(data)
        else:
            self._segments.append(FileRegion(spool.file, offset, len(data), is_owned=False))

    def _acknowledge(self) -> None:
        # Without a spool the client keeps up, or nearly. With one the worker may go on only while
        # it is this response's turn to run ahead, or when the client has taken everything.
        if self._unacknowledged < WINDOW_STEP or self.is_finished:
            return
        pool, worker = self._request.pool, self._request.worker
        if worker is not None and worker.is_blocked:
            return  # who goes on without reading is owed it: see pulled_bodies
        if self._spool is not None and self._segments and not pool.account.may_run_ahead(self):
            return
        pool.widen_window(self._request, self._unacknowledged)
        self._unacknowledged = 0

    @property
    def is_whole(self) -> bool:
        """Whether all that was promised has come, though perhaps not the worker's END."""
        return not self._has_body or (self._has_length and self._left == 0)

    @property
    def is_whole_at_the_end(self) -> bool:
        """Whether the client takes the connection's end for the body's (RFC 9112 6.3, rule 8)."""
        is_framed = self._has_length or self._is_chunked
        return self._has_body and not is_framed and self.status != 101

    def exceeds_window(self, size: int) -> bool:
        """Whether so many bytes are more than the worker may send before it is told to go on."""
        return self._unacknowledged + size > RESPONSE_WINDOW_BYTES + BEYOND_WINDOW_BYTES

    @property
    def holds_worker_back(self) -> bool:
        """Whether the worker may not send more before the client has read."""
        return self._unacknowledged >= RESPONSE_WINDOW_BYTES

    @property
    def order(self) -> int:
        """Older requests run ahead first."""
        return self._request.id

    def may_run(self) -> None:
        """Somebody left the line, or the worker reads again: perhaps it is our turn."""
        self._acknowledge()

    def watch_pace(self) -> None:
        """MinBytesPerSecond bounds a client that does not read: see `keeps_up`."""
        self._connection.deadline_reason = "Timer_MinBytesPerSecond"
        self._connection.deadline = self._connection.service.send_deadline()

    def keeps_up(self, buffered_bytes: int, least_bytes: int) -> bool:
        """Whether since the last look the client took all it was offered then, or the least.

        `buffered_bytes` are with the transport still.
        """
        taken = self.sent_bytes - buffered_bytes
        is_fast_enough = taken >= min(self._offered_bytes, self._taken_bytes + least_bytes)
        self._taken_bytes = taken
        self._offered_bytes = self.sent_bytes + sum(
            segment.length if isinstance(segment, FileRegion) else len(segment)
            for segment in self._segments
        )
        return is_fast_enough

    # ── towards the client ──────────────────────────────────────────────────────────────────────

    def advance(self) -> None:
        """Send what can be sent now. Calls `response_sent` of the connection when all is out."""
        if self.is_closed or (self._sender is not None and self._sender.is_sending):
            return
        connection = self._connection
        memory = self._request.pool.account.memory
        segments = self._segments
        while segments:
            segment = segments[0]
            if isinstance(segment, FileRegion):
                self._send_file(segment)
                return
            if connection.is_paused:
                return
            segments.popleft()
            self._memory_bytes -= len(segment) + SEGMENT_BYTES
            memory.held_bytes -= len(segment) + SEGMENT_BYTES
            self.sent_bytes += len(segment)
            connection.transport.write(segment)
        self._all_sent()

    def _all_sent(self) -> None:
        if self._spool is not None:
            # The file held what is with the client now.
            self._spool.close()
            self._spool = None
            self._request.pool.account.leave(self)
        self._acknowledge()
        if self.is_finished:
            self._connection.response_sent(self._request)

    def _send_file(self, region: FileRegion) -> None:
        # Bytes written before must be out of the transport's own buffer first.
        if not self._connection.wait_until_empty():
            return
        if self._sender is None:
            memory = self._request.pool.account.memory
            self._sender = FileSender(self._connection, memory, self._file_sent)
        self._sender.send(region)

    def _file_sent(self, region: FileRegion, count: int) -> None:
        """So many bytes of the region in front have gone; it goes on by itself."""
        self.sent_bytes += count
        if region.length > 0:
            return
        self._segments.popleft()
        self._close_region(region)
        if self._segments:
            # Not from here: many small files must not become a deep recursion, nor hold the loop.
            self._connection.loop.call_soon(self.advance)
        else:
            self.advance()

    def close(self) -> None:
        """Give back everything: descriptors and spool."""
        if self.is_closed:
            return
        self.is_closed = True
        self._request.pool.account.leave(self)
        for segment in self._segments:
            if isinstance(segment, FileRegion):
                self._close_region(segment)
        self._segments.clear()
        self._request.pool.account.memory.held_bytes -= self._memory_bytes
        self._memory_bytes = 0
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        if self._sender is not None:
            self._sender.close()
            self._sender = None


def _trailers(item: Response | ResponseChunk) -> bytes:
    if not isinstance(item, ResponseChunk) or not item.trailers:
        return b""
    try:
        check_block(item.trailers)
    except LocalProtocolError as error:
        raise ValueError(str(error)) from None
    return item.trailers
