"""ChildExchange: what the pipeline of a child request takes for its exchange.

The response of its parent is its client: status and fields take the place of the parent's (unless
NO_HEADERS), the body comes after what the parent has written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import IntFlag
from typing import TYPE_CHECKING

import msgspec

from was.ipc.scoreboard import ROW_WORDS, module_cell_of
from was.worker.chunks import Chunk
from was.worker.exchange import ClientGoneError
from was.worker.fields import LISTENER_FIELDS
from was.worker.interfaces.response import HttpResponse

if TYPE_CHECKING:
    from was.ipc.messages import Request, Response
    from was.worker.chunks import FileRegion
    from was.worker.interfaces.context import HttpContext

__all__ = ["ChildExchange", "ExecuteFlag"]


class ExecuteFlag(IntFlag):
    """EXECUTE_FLAG_: how a child runs."""

    NO_HEADERS = 0x01
    IGNORE_CURRENT_INTERCEPTOR = 0x02
    IGNORE_APPPOOL = 0x04
    DISABLE_CUSTOM_ERROR = 0x08
    SAME_URL = 0x10
    BUFFER_RESPONSE = 0x20
    HTTP_CACHE_ELIGIBLE = 0x40


# For a child whose parent has ended: the root's row may be another request's by now.
_NOWHERE = memoryview(bytearray(8 * ROW_WORDS)).cast("Q")
_NO_CELL = module_cell_of(_NOWHERE, 0)


class ChildExchange(msgspec.Struct, eq=False, weakref=True):
    """What the child's pipeline takes for its exchange: the parent's response is its client."""

    parent: HttpContext | None  # None: the parent has ended
    request: Request
    response: HttpResponse  # the child's
    has_entity: bool
    flags: int = 0
    skipped: frozenset[str] = frozenset()  # names of handlers that may not be chosen
    started: bool = False
    is_run: bool = False
    is_waited_for: bool = False  # a thread is blocked until it ends
    is_over: bool = False
    when_over: Callable[[], None] | None = None
    trailers: bytes = b""  # the root has them
    _meeting: dict[str, str] = {}

    @property
    def gone(self) -> bool:
        """Whether nobody reads the answer."""
        return self.parent is None or self.parent.exchange.gone

    @property
    def words(self) -> memoryview[int]:
        """The scoreboard."""
        return self.parent.exchange.words if self.parent is not None else _NOWHERE

    @property
    def module_cell(self) -> memoryview[bytes]:
        """Its byte for the running module."""
        return self.parent.exchange.module_cell if self.parent is not None else _NO_CELL

    @property
    def row(self) -> int:
        """Index of the root's first word."""
        return self.parent.exchange.row if self.parent is not None else 0

    def _living(self) -> HttpContext:
        if self.parent is None:
            raise ClientGoneError("the parent request is over")
        return self.parent

    def read(self, size: int) -> bytes:
        """The parent's unread body, if the child was given it."""
        return self._living().request.take_raw(size) if self.has_entity else b""

    def poll_body(self) -> bool:
        """Whether `read` would return at once."""
        return not self.has_entity or self.parent is None or self.parent.exchange.poll_body()

    def ring_on_arrival(self, ring: Callable[[], None] | None) -> None:
        """Have `ring` called at whatever arrives for the root."""
        if self.parent is not None:
            self.parent.exchange.ring_on_arrival(ring)

    @property
    def is_readable(self) -> bool:
        """Whether `read` would answer at once."""
        return not self.has_entity or self._living().exchange.is_readable

    @property
    def writable_bytes(self) -> int:
        """So many bytes can be written without waiting."""
        return self._living().exchange.writable_bytes

    def cancel(self) -> None:
        """Give the root's client up."""
        self._living().exchange.cancel()

    def wait_for(self, event: threading.Event) -> None:
        """Block until the event is set."""
        self._living().exchange.wait_for(event)

    # ── the response becomes the parent's ───────────────────────────────────────────────────────

    def start(self, response: Response) -> None:
        """The head goes to the parent, once; it is sent unless BUFFER_RESPONSE."""
        self._take_head(-1 if self.flags & ExecuteFlag.BUFFER_RESPONSE else response.length)
        self.started = True
        self._take([response.body] if response.body else [], must_send=True)

    def write(self, data: bytes) -> None:
        """More of the body."""
        self._take([data], must_send=True)

    def send_file(self, region: FileRegion) -> None:
        """More of the body; the file is the child's to close."""
        self._living()  # who is not there closes no duplicate
        self._take([region.duplicate()], must_send=True)

    def finish(self, response: Response, file: FileRegion | None = None) -> None:
        """The whole response: becomes the parent's, and is sent when that is."""
        if self.parent is None:
            return
        # The parent may add to it, so its length is what comes together; but for HEAD nothing does.
        self._take_head(response.length if self.parent.message.method == "HEAD" else -1)
        self._take([response.body] if response.body else [])
        if file is not None:
            self._take([file.duplicate()])
        if response.close:
            self.parent.response.set_need_disconnect()

    def end(self, data: bytes, log: str, substatus: int, win32: int) -> None:
        """The last bytes."""
        if data and self.parent is not None:
            self._take([data])

    def abort(self, log: str, win32: int, reset: bool = False) -> None:
        """The child gave up in the middle: what the client has of it cannot be completed."""
        if self.parent is not None:
            self.parent.is_cut = True
            self.parent.is_reset = self.parent.is_reset or reset

    def _take(self, chunks: list[Chunk], must_send: bool = False) -> None:
        target = self._living().response
        target.chunks += chunks
        if must_send and not self.flags & ExecuteFlag.BUFFER_RESPONSE:
            target.flush()

    def _take_head(self, length: int) -> None:
        if self.flags & ExecuteFlag.NO_HEADERS:
            return
        child, parent = self.response, self._living().response
        if parent.headers_sent:
            return
        parent.status, parent.reason = child.status, child.reason
        parent.sub_status, parent.error = child.sub_status, child.error
        parent.override_fields([f for f in child.fields if f[0].lower() not in LISTENER_FIELDS])
        if not parent.chunks:
            parent.content_length = length
        if parent.error is not None and self.flags & ExecuteFlag.DISABLE_CUSTOM_ERROR:
            parent.error.try_skip_custom_errors = True
        if child.needs_disconnect:
            parent.set_need_disconnect()

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def leave(self) -> bool:
        """From the thread that ran the child: whether its end is still to come."""
        return self._meeting.setdefault("first", "left") != "over"

    def over(self) -> None:
        """From the pipeline: the child has ended, all its modules are disposed of."""
        self.is_over = True
        if self._meeting.setdefault("first", "over") == "left":
            then, self.when_over = self.when_over, None
            if then is not None and self.parent is not None:
                then()
