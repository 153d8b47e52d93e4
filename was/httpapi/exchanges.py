"""One received request until its response has ended: its body, the window, and what is sent.

The messages are those between listener and workers, in the order that `was.ipc.messages` states.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from was.config.http_text import CONTROL, TEXT, TOKEN, length_of
from was.config.listener_fields import OWNED
from was.httpapi.data import Chunk, FileChunk, HttpRequest, HttpResponse
from was.httpapi.errors import (
    ERROR_CONNECTION_INVALID,
    ERROR_INVALID_PARAMETER,
    ERROR_OPERATION_ABORTED,
    HttpApiError,
)
from was.ipc.messages import (
    CHUNK_BYTES,
    FIELDS_BYTES,
    REASON_LENGTH,
    RESPONSE_WINDOW_BYTES,
    AbortResponse,
    BodyPull,
    GivenBack,
    Request,
    Response,
    ResponseChunk,
    ToListenerItem,
    WatchConnection,
)
from was.ipc.scoreboard import WITHDRAWN_WORD, RequestState

if TYPE_CHECKING:
    from was.httpapi.attachment import Attachment

__all__ = ["Exchange"]

PULL_BYTES = 4 * CHUNK_BYTES

_USUAL_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Exchange:
    """A request that a program has received, and the response it owes."""

    def __init__(self, attachment: Attachment, message: Request) -> None:
        self.attachment = attachment  # that it came from
        self.message = message
        self.has_ended = False
        self._words = attachment.board.words
        self._row = attachment.board.row(message.slot)
        self._has_begun = False
        self._is_gone = False
        self._changed = threading.Condition()
        self._body: deque[bytes] = deque([message.body] if message.body else [])
        self._is_body_complete = not message.pull
        self._granted = 0
        self._window = RESPONSE_WINDOW_BYTES
        self._token = 0
        self._mark(RequestState.RECEIVED)

    @property
    def id(self) -> int:
        """The request's id."""
        return self.message.id

    def _mark(self, state: RequestState) -> None:
        message = self.message
        self._words[self._row] = message.id << 11 | (message.attempt & 0xFF) << 3 | int(state)

    def claim(self) -> bool:
        """Whether the program has it from here on: it may do harm to run it twice.

        Not, if the listener has taken it back while it lay here unread: see listener/unread.py.
        """
        message = self.message
        with self._changed:
            if self._is_gone:
                return True
            self._mark(RequestState.STARTED)
            word = self._words[self._row + WITHDRAWN_WORD]
            return word != message.id << 8 | (message.attempt & 0xFF)

    def begin(self) -> HttpRequest:
        """What was claimed, for the program."""
        message = self.message
        context, _, prefix = message.application.partition(" ")
        host = next((v for n, v in message.fields if n.lower() == "host"), "")
        host = host or f"{message.local_addr}:{message.local_port}"
        query = f"?{message.query}" if message.query else ""
        return HttpRequest(
            id=message.id,
            connection_id=message.connection_id,
            attempt=message.attempt,
            verb=message.method,
            raw_url=message.target,
            url=f"http://{host}{message.path}{query}",
            path=message.path,
            query=message.query,
            version=(message.version // 10, message.version % 10),
            headers=tuple(message.fields),
            remote_address=(message.remote_addr, message.remote_port),
            local_address=(message.local_addr, message.local_port),
            url_context=int(context, 16),
            prefix=prefix,
            content_length=message.body_length,
        )

    # ── what the listener says ──────────────────────────────────────────────────────────────────

    def body_came(self, data: bytes, *, last: bool) -> None:
        """Bytes of the body."""
        with self._changed:
            if data:
                self._body.append(data)
            self._is_body_complete = self._is_body_complete or last
            self._changed.notify_all()

    def widened(self, count: int) -> None:
        """The listener took so many bytes of the response."""
        with self._changed:
            self._window += count
            self._changed.notify_all()

    def gone(self) -> None:
        """Nobody waits for the response any more."""
        with self._changed:
            self._is_gone = True
            self._changed.notify_all()

    # ── what the program does ───────────────────────────────────────────────────────────────────

    # Several threads may be at it: one reads, one sends, one cancels. What is said is said under
    # the lock, as nothing may follow the END; whoever waits then is woken, and told.

    def give_back(self) -> None:
        """The program does not want it, and has not looked at it: it is for another receive."""
        with self._changed:
            if not self._is_gone:
                self._mark(RequestState.RECEIVED)
            self._end(GivenBack([(self.id, self.message.attempt)]))

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of the body, b"" at its end; waits until some have come."""
        if size < 0:
            raise HttpApiError(ERROR_INVALID_PARAMETER, f"{size} bytes")
        with self._changed:
            while not self._body:
                if self._is_body_complete:
                    return b""
                self._insist()
                if self._granted <= 0:
                    self._granted += PULL_BYTES
                    self._say([BodyPull(self.id, self.message.attempt, PULL_BYTES)])
                self._changed.wait()
            data = self._body.popleft()
            if len(data) > size:
                self._body.appendleft(data[size:])
                data = data[:size]
            self._granted -= len(data)
            return data

    def respond(self, response: HttpResponse, *, more: bool, disconnect: bool) -> int:
        """Send status, headers and chunks; the whole response unless `more`. Bytes sent."""
        reason = _reason_of(response)
        block, length, close = _encode(response.headers)
        close = close or bool(disconnect)
        chunks = list(response.chunks)
        size = sum(_size_of(chunk) for chunk in chunks)
        if length < 0 and not more:
            length = size
        describes = self.message.method == "HEAD" or response.status == 304  # what would be sent
        if not more and 0 <= length != size and not describes:
            raise HttpApiError(
                ERROR_INVALID_PARAMETER, f"{size} bytes of body, Content-Length says {length}"
            )
        first = b""
        if chunks and isinstance(chunks[0], bytes) and len(chunks[0]) <= CHUNK_BYTES:
            first = chunks[0]
            del chunks[0]
        is_whole = not more and not chunks
        item = Response(
            self.id,
            self.message.attempt,
            response.status,
            reason,
            block,
            length,
            first,
            not is_whole,
            close=close,
        )
        with self._changed:
            if self._has_begun:
                raise HttpApiError(ERROR_INVALID_PARAMETER, "this request has its response")
            self._insist()
            self._mark(RequestState.RESPONDING)
            self._has_begun = True
            if is_whole:
                self._end(item)
                return size
            self._window -= len(first)
            self._say([item])
        self.write(chunks, more=more)
        return size

    def write(self, chunks: Sequence[Chunk], *, more: bool) -> int:
        """Send more of the body; waits while the listener holds as much as it may. Bytes sent."""
        if not self._has_begun:
            raise HttpApiError(ERROR_INVALID_PARAMETER, "no response of this request is under way")
        with self._changed:
            self._insist()
        size = sum(_size_of(chunk) for chunk in chunks)
        for chunk in chunks:
            if isinstance(chunk, FileChunk):
                self._send_file(chunk)
            else:
                self._send_bytes(chunk)
        if not more:
            with self._changed:
                self._insist()
                self._end(ResponseChunk(self.id, self.message.attempt, b"", False))
        return size

    def _send_bytes(self, data: bytes) -> None:
        for at in range(0, len(data), CHUNK_BYTES):
            piece = data[at : at + CHUNK_BYTES]
            with self._changed:
                self._insist()
                while self._window <= 0:
                    self._changed.wait()
                    self._insist()
                self._window -= len(piece)
                self._say([ResponseChunk(self.id, self.message.attempt, piece, True)])

    def _send_file(self, chunk: FileChunk) -> None:
        size = _size_of(chunk)
        with self._changed:
            self._insist()
            self._token += 1
            item = ResponseChunk(
                self.id,
                self.message.attempt,
                b"",
                True,
                file_token=self._token,
                file_offset=chunk.offset,
                file_length=size,
            )
            self._say([item], [chunk.fd])

    def abort(self) -> None:
        """Give the response up: a begun one is cut, else the client gets 502."""
        with self._changed:
            if not self.has_ended:
                self._end(AbortResponse(self.id, self.message.attempt))

    def watch(self) -> bool:
        """Have the listener say when the connection ends; False if nobody is there any more."""
        with self._changed:
            if self._is_gone or self.has_ended:
                return False
            number = self.message.connection_id
            with suppress(HttpApiError):
                self._say([WatchConnection(self.id, self.message.attempt, number)])
            return not self._is_gone

    def _insist(self) -> None:
        """Raises HttpApiError when nobody reads what is sent; the END is said then."""
        if self.has_ended and not self._is_gone:
            raise HttpApiError(ERROR_OPERATION_ABORTED, "the request was ended meanwhile")
        if not self._is_gone:
            return
        if not self.has_ended:
            self._end(AbortResponse(self.id, self.message.attempt))
        raise HttpApiError(ERROR_CONNECTION_INVALID, "the client has gone")

    def _end(self, item: ToListenerItem) -> None:
        """The END: nothing more is said of this request."""
        self.has_ended = True
        self._changed.notify_all()
        self._say([item])

    def _say(self, items: list[ToListenerItem], descriptors: Sequence[int] = ()) -> None:
        try:
            self.attachment.link.answer(items, descriptors)
        except HttpApiError:
            self._is_gone = True
            self.has_ended = True
            self._changed.notify_all()
            raise


def _reason_of(response: HttpResponse) -> str:
    """Its reason phrase, the usual one if it names none; refuses a status line that cannot be."""
    is_number = type(response.status) is int or isinstance(response.status, HTTPStatus)
    if not (is_number and 200 <= response.status <= 599):
        raise HttpApiError(ERROR_INVALID_PARAMETER, f"{response.status} cannot be sent")
    reason = response.reason or _USUAL_REASONS.get(response.status, "Unknown")
    if len(reason) > REASON_LENGTH or not TEXT.fullmatch(reason):
        raise HttpApiError(ERROR_INVALID_PARAMETER, f"not a reason: {reason!r:.80}")
    return reason


def _size_of(chunk: object) -> int:
    """A chunk's bytes. What the listener would not take is refused here: there it ends the link."""
    if isinstance(chunk, bytes):
        return len(chunk)
    if not isinstance(chunk, FileChunk):
        raise HttpApiError(
            ERROR_INVALID_PARAMETER, f"a chunk is bytes or a FileChunk, not {type(chunk).__name__}"
        )
    if not all(type(n) is int for n in (chunk.fd, chunk.offset, chunk.length)):
        raise HttpApiError(ERROR_INVALID_PARAMETER, f"{chunk}: three whole numbers")
    try:
        status = os.fstat(chunk.fd)
        size = chunk.size()
    except (OSError, OverflowError) as error:
        raise HttpApiError(ERROR_INVALID_PARAMETER, f"{chunk}: {error}") from None
    is_there = chunk.offset >= 0 and (size == 0 or chunk.offset + size <= status.st_size)
    if not stat.S_ISREG(status.st_mode) or not is_there:
        raise HttpApiError(ERROR_INVALID_PARAMETER, f"{chunk} is no region of a regular file")
    return size


def _encode(headers: Sequence[Any]) -> tuple[bytes, int, bool]:
    """The block of header lines, the Content-Length (-1 if none), whether to close.

    `headers`: pairs of str, if the program has seen to that.
    """
    lines: list[str] = []
    length, close = -1, False
    for header in headers:
        if len(header) != 2 or not all(isinstance(text, str) for text in header):
            raise HttpApiError(ERROR_INVALID_PARAMETER, f"a header is two texts, not {header!r}")
        name, value = header
        lower = name.lower()
        if not TOKEN.fullmatch(name) or CONTROL.search(value):
            raise HttpApiError(ERROR_INVALID_PARAMETER, f"not a header: {name!r}: {value!r}")
        if lower == "content-length":
            before, length = length, length_of(value)
            if length < 0:
                raise HttpApiError(ERROR_INVALID_PARAMETER, f"not a length: {value!r}")
            if before not in (-1, length):
                raise HttpApiError(ERROR_INVALID_PARAMETER, f"two lengths: {before} and {value}")
        elif lower == "connection":
            close = close or "close" in value.lower()
        if lower not in OWNED:
            lines.append(f"{name}: {value}\r\n")
    try:
        block = "".join(lines).encode("latin-1")
    except UnicodeEncodeError as error:
        raise HttpApiError(ERROR_INVALID_PARAMETER, f"a header is not latin-1: {error}") from None
    if len(block) > FIELDS_BYTES:
        detail = f"{len(block)} bytes of headers, {FIELDS_BYTES} is the most"
        raise HttpApiError(ERROR_INVALID_PARAMETER, detail)
    return block, length, close
