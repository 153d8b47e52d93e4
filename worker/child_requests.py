"""Child requests: a request that a module runs within another one (CloneContext, ExecuteRequest).

A child has its own context and module objects and goes through the whole pipeline, but for
RQ_SEND_RESPONSE: that is raised for the root, when bytes are really sent. What the child answers
becomes part of its parent's response: status and fields in place of the parent's (unless
NO_HEADERS), the body after what the parent has written. One line is logged, the root's.

    clone ──▶ the module changes method, URL, fields ──▶ execute ──▶ inline: False
                                                            └──▶ PENDING: True, then the parent's
                                                                 on_async_completion
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from enum import IntFlag
from typing import TYPE_CHECKING

import msgspec

from was.ipc.scoreboard import ROW_WORDS, module_cell_of
from was.worker.chunks import Chunk, FileRegion
from was.worker.context import HttpContext
from was.worker.event_calls import Run, Step, only, single
from was.worker.exchange import ClientGoneError
from was.worker.fields import LISTENER_FIELDS
from was.worker.hresult import (
    E_ACCESSDENIED,
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_SUPPORTED,
    ERROR_STACK_OVERFLOW,
    HResultError,
)
from was.worker.notifications import RequestNotification, RequestNotificationStatus
from was.worker.pipeline import run_head
from was.worker.refusing import refuse
from was.worker.response import HttpResponse
from was.worker.url_text import quote_path
from was.worker.user import ANONYMOUS

if TYPE_CHECKING:
    from was.ipc.messages import Request
    from was.worker.user import HttpUser

__all__ = ["MAX_DEPTH", "ChildExchange", "CloneFlag", "ExecuteFlag", "clone", "execute", "release"]

MAX_DEPTH = 10


class CloneFlag(IntFlag):
    """CLONE_FLAG_: what a child takes over from its parent."""

    BASICS = 0x01
    HEADERS = 0x02
    ENTITY = 0x04
    NO_PRECONDITION = 0x08
    NO_DAV = 0x10
    USER_CACHE_VARY_BY = 0x20
    SERVER_VARIABLE = 0x40


class ExecuteFlag(IntFlag):
    """EXECUTE_FLAG_: how a child runs."""

    NO_HEADERS = 0x01
    IGNORE_CURRENT_INTERCEPTOR = 0x02
    IGNORE_APPPOOL = 0x04
    DISABLE_CUSTOM_ERROR = 0x08
    SAME_URL = 0x10
    BUFFER_RESPONSE = 0x20
    HTTP_CACHE_ELIGIBLE = 0x40


_PRECONDITIONS = frozenset(
    {"range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"}
)
_DAV = frozenset({"dav", "depth", "destination", "if", "lock-token", "overwrite", "timeout"})
# For a child whose parent has ended: the root's row may be another request's by now.
_NOWHERE = memoryview(bytearray(8 * ROW_WORDS)).cast("Q")
_NO_CELL = module_cell_of(_NOWHERE, 0)

_BODY = frozenset({"content-length", "transfer-encoding"})


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

    def start(
        self,
        status: int,
        reason: str,
        block: bytes,
        length: int,
        body: bytes,
        close: bool = False,
    ) -> None:
        """The head goes to the parent, once; it is sent unless BUFFER_RESPONSE."""
        self._take_head(-1 if self.flags & ExecuteFlag.BUFFER_RESPONSE else length)
        self.started = True
        self._take([body] if body else [], must_send=True)

    def write(self, data: bytes) -> None:
        """More of the body."""
        self._take([data], must_send=True)

    def send_file(self, fd: int, offset: int, length: int) -> None:
        """More of the body; the file is the child's to close."""
        self._living()  # who is not there closes no duplicate
        self._take([FileRegion(os.dup(fd), offset, length)], must_send=True)

    def finish(
        self,
        status: int,
        reason: str,
        block: bytes,
        length: int,
        body: bytes,
        log: str,
        substatus: int,
        win32: int,
        file: tuple[int, int, int] | None = None,
        close: bool = False,
    ) -> None:
        """The whole response: becomes the parent's, and is sent when that is."""
        if self.parent is None:
            return
        # The parent may add to it, so its length is what comes together; but for HEAD nothing does.
        self._take_head(length if self.parent.message.method == "HEAD" else -1)
        self._take([body] if body else [])
        if file is not None:
            self._take([FileRegion(os.dup(file[0]), file[1], file[2])])
        if close:
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
        for name in {name.lower() for name, _ in child.fields} - LISTENER_FIELDS:
            parent.delete_header(name)
        for name, value in child.fields:
            if name.lower() not in LISTENER_FIELDS:
                parent.set_header(name, value, replace=False)
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


# ── what HttpContext does with them ─────────────────────────────────────────────────────────────


def clone(parent: HttpContext, flags: int) -> HttpContext:
    """A new child of `parent`, not run yet."""
    fields: list[tuple[str, str]] = []
    dropped = set[str]()
    if not flags & CloneFlag.ENTITY:
        dropped |= _BODY
    if flags & CloneFlag.NO_PRECONDITION:
        dropped |= _PRECONDITIONS
    if flags & CloneFlag.NO_DAV:
        dropped |= _DAV
    if flags & CloneFlag.HEADERS:
        fields = [field for field in parent.fields if field[0].lower() not in dropped]
    changes: dict[str, object] = {"fields": fields, "body": b"", "pull": False}
    if flags & CloneFlag.ENTITY:
        changes["pull"] = parent.message.body_length != 0  # it is read from the parent
    else:
        changes["body_length"] = 0
    if flags & CloneFlag.BASICS:
        changes |= {"method": parent.method, "path": parent.path, "query": parent.query}
    else:
        changes |= {"method": "GET", "path": "/", "query": "", "target": "/"}
    request = msgspec.structs.replace(parent.message, head_number=0, **changes)
    exchange = ChildExchange(parent, request, HttpResponse(), bool(flags & CloneFlag.ENTITY))
    child = HttpContext.of(exchange, parent.application, parent.calls, parent.proof)
    exchange.response = child.response
    child.child = exchange
    if flags & CloneFlag.SERVER_VARIABLE and parent.variables is not None:
        child.variables = dict(parent.variables)
    if parent.children is None:
        parent.children = []
    parent.children.append(child)
    return child


def execute(
    parent: HttpContext,
    child: HttpContext,
    flags: int,
    user: HttpUser | None,
    when_over: Callable[[], None] | None = None,
) -> bool:
    """Run a child. True: it will end later, and `when_over` is called (default: completion).

    Raises HResultError: ERROR_NOT_SUPPORTED for a child of another context,
    ERROR_INVALID_PARAMETER for one that was run, ERROR_STACK_OVERFLOW below MAX_DEPTH levels.
    """
    exchange = child.child
    if exchange is None or exchange.parent is not parent:
        raise HResultError(ERROR_NOT_SUPPORTED, "not a context cloned from this one")
    if exchange.is_run:
        raise HResultError(ERROR_INVALID_PARAMETER, "this child has been run")
    if parent.depth >= MAX_DEPTH:
        raise HResultError(ERROR_STACK_OVERFLOW, f"more than {MAX_DEPTH} child requests in a row")
    exchange.is_run = True
    exchange.flags = flags
    outer = parent.child
    exchange.is_waited_for = when_over is not None or (outer is not None and outer.is_waited_for)
    exchange.when_over = when_over or (lambda: parent.post_completion(0))
    if parent.child is not None:
        exchange.skipped = parent.child.skipped
    if flags & (ExecuteFlag.IGNORE_CURRENT_INTERCEPTOR | ExecuteFlag.SAME_URL):
        script_map = parent.script_map
        if script_map is not None:
            exchange.skipped |= {script_map.name}
    head = _prepare(child, user)
    words, at = exchange.words, exchange.row + 1
    hint = words[at]
    try:
        run_head(child, head)
    finally:
        words[at] = hint
    return exchange.leave()


def _prepare(child: HttpContext, user: HttpUser | None) -> tuple[Run, ...]:
    """Find what answers for the child's URL; the runs it begins with."""
    url = quote_path(child.path)
    target = f"{url}?{child.query}" if child.query else url
    application = child.application.locate(child.message.site_id, child.path)
    if application is None:
        begin = RequestNotification.BEGIN_REQUEST
        return (single(Step(_refuse_other_pool, begin, False, None)),)
    child.message = msgspec.structs.replace(
        child.message,
        method=child.method,
        path=child.path,
        query=child.query,
        target=target,
        fields=child.fields,
        application=application.path,
    )
    child.application = application
    child.calls = application.paths.at(child.path)
    head = child.calls.head
    # Whom nobody knows yet may have to say who he is for the child, if not for its parent.
    if user is None or user is ANONYMOUS:
        return head
    child.user = user
    authenticate = RequestNotification.AUTHENTICATE_REQUEST
    return only(head, lambda step: step.notification is not authenticate)


def _refuse_other_pool(context: HttpContext, _: object) -> RequestNotificationStatus:
    return refuse(context, 403, 18, E_ACCESSDENIED)


def release(child: HttpContext) -> None:
    """The parent has no more use for a child. ERROR_INVALID_PARAMETER after the parent's end."""
    exchange = child.child
    parent = exchange.parent if exchange is not None else None
    if exchange is None or parent is None or parent.children is None:
        raise HResultError(ERROR_INVALID_PARAMETER, "not a child, or its parent has ended")
    parent.children.remove(child)
    abandon(child)


def abandon(child: HttpContext) -> None:
    """The child's parent lets go of it; one that still runs goes on to its end unheard."""
    exchange = child.child
    if exchange is None:
        return
    exchange.parent = None
    if not exchange.is_run:
        child.dispose()
