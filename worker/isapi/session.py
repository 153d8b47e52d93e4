"""Session: one request in an extension, from HttpExtensionProc to its end.

The end comes once, whichever road is taken:

    returns SUCCESS, ERROR …                          at once, or when what is outstanding has ended
    DONE_WITH_SESSION, then returns anything          at the return
    returns PENDING, then DONE_WITH_SESSION           at DONE_WITH_SESSION, on its thread
    DONE_WITH_SESSION within a completion callback    after the callback has returned

So: over = (told to end) and returned and no operation outstanding and no callback running, and no
other thread in the middle of a synchronous one: what that sends must not follow the end.
Everything here may be called from any thread; errors are ServerFunctionErrors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from was.log import log_exception
from was.worker.exchange import ClientGoneError
from was.worker.isapi import note
from was.worker.isapi.constants import Status, Win32
from was.worker.isapi.errors import ServerFunctionError, invalid
from was.worker.isapi.face import ExtensionError
from was.worker.isapi.reply import Reply
from was.worker.isapi.server_names import ScriptPaths, read_name
from was.worker.isapi.site_paths import map_site_path
from was.worker.notifications import CONTINUE
from was.worker.threads.spare_threads import run_on_spare_thread

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["UNKNOWN_LENGTH", "ChildStatus", "Completion", "Session"]

T = TypeVar("T")

UNKNOWN_LENGTH = 0xFFFFFFFF

# Called when an asynchronous operation has ended: bytes, and a Win32 error or 0.
Completion = Callable[[int, int], None]


class ChildStatus:
    """HSE_EXEC_URL_STATUS of the last child; status 0: there was none."""

    __slots__ = ("status", "sub_status", "win32")

    def __init__(self) -> None:
        self.status = self.sub_status = self.win32 = 0


class Session:
    """What the two faces of an extension control block share."""

    def __init__(self, context: HttpContext) -> None:
        self.context = context
        self.proof = context.proof
        self.paths = ScriptPaths(context)
        self.reply = Reply(context)
        self.child = ChildStatus()
        self.log_status = 0  # dwHttpStatusCode, where the extension has set it
        self.on_end: Callable[[], None] | None = None
        self._mutex = threading.Lock()  # held for nanoseconds
        self._io = threading.RLock()  # an exchange is used by one thread at a time
        self._log_texts: list[str] = []
        self._status: int = Status.SUCCESS
        self._is_done = False  # DONE_WITH_SESSION was called
        self._is_returned = False
        self._ends_when_idle = False
        self._is_over = False
        self._operation = False
        self._callbacks = 0
        self._calls = 0  # synchronous reads and writes that go on now
        self._lost_as = Win32.NETNAME_DELETED  # what a completion says where the client has gone
        self._total, self.preload = self._read_ahead()
        self._has_preload = True

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def returned(self, status: int) -> bool:
        """HttpExtensionProc has returned; whether the request is over."""
        with self._mutex:
            self._is_returned = True
            if status != Status.PENDING and not self._is_done:
                self._status = status
                self._ends_when_idle = True
            over = self._is_over = self._can_end()
        if over:
            self._settle()
        return over

    def done(self, status: int = Status.SUCCESS) -> None:
        """DONE_WITH_SESSION: once; nothing but the return may follow."""
        with self._mutex:
            self._insist_on_session()
            self._is_done = True
            self._status = status
        self._end_if_over()

    def _can_end(self) -> bool:
        return (
            (self._is_done or self._ends_when_idle)
            and self._is_returned
            and not (self._operation or self._callbacks or self._calls or self._is_over)
        )

    def _end_if_over(self) -> None:
        with self._mutex:
            if not self._can_end():
                return
            self._is_over = True
        self._settle()
        self.context.indicate_completion(CONTINUE)

    def _settle(self) -> None:
        """Turn what the extension has left into the pipeline's response."""
        if self.on_end is not None:
            self.on_end()
        context = self.context
        if self._status not in (0, Status.SUCCESS, Status.SUCCESS_AND_KEEP_CONN):
            self.reply.fail()
        elif not self.reply.has_begun and 400 <= self.log_status <= 599:
            context.response.set_status(self.log_status)
        if self._log_texts:
            self._put_log()
        error = context.response.error
        if error is not None and not error.module_name:
            error.module_name, error.notification = "IsapiModule", "EXECUTE_REQUEST_HANDLER"
        context.is_handled = True
        note.take_away(context.exchange)

    def _put_log(self) -> None:
        """APPEND_LOG_PARAMETER and lpszLogData: for the one line of the request, a child's too."""
        root = self.context.root_context
        path, query = root.logged_url or (root.path, root.query)
        root.logged_url = path, query + "".join(self._log_texts)

    def is_clients_doing(self, error: BaseException) -> bool:
        """Whether what an extension let go of is but the news that its client has gone."""
        was_told = isinstance(error, ExtensionError) and error.errno == Win32.WSAECONNRESET
        return was_told and (self.context.exchange.gone or self.context.is_cut)

    @property
    def is_over(self) -> bool:
        """Whether DONE_WITH_SESSION was called or the request has ended."""
        return self._is_done or self._is_over

    # ── reading ─────────────────────────────────────────────────────────────────────────────────

    def _read_ahead(self) -> tuple[int, bytes]:
        """Length of the body, and what is handed over with the call (uploadReadAheadSize)."""
        context = self.context
        length = context.message.body_length
        if length == 0:
            return 0, b""
        limit = context.application.settings.server_runtime.upload_read_ahead_size
        parts: list[bytes] = []
        while limit > 0:
            data = context.request.read_entity_body(limit)
            if not data:
                break
            parts.append(data)
            limit -= len(data)
            if context.message.pull:
                break  # the rest is still on its way
        total = length if 0 <= length < UNKNOWN_LENGTH else UNKNOWN_LENGTH
        return total, b"".join(parts)

    @property
    def total_bytes(self) -> int:
        """cbTotalBytes."""
        return self._total

    def read(self, size: int) -> bytes:
        """Up to `size` bytes that were not handed over with the call; b"" at the end."""
        with self._call():
            return self._read(size)

    def _read(self, size: int) -> bytes:
        if size <= 0:
            return b""
        self._has_preload = False  # who reads on has seen it
        with self._io:
            try:
                return self.context.request.read_entity_body(size)
            except ClientGoneError:
                raise ServerFunctionError(Win32.WSAECONNRESET, "the client has gone") from None

    def read_later(self, size: int, take: Callable[[bytes], None], completion: Completion) -> None:
        """ASYNC_READ_CLIENT: `take` is given the bytes before `completion` is called."""

        def work() -> int:
            data = self._read(size)
            take(data)
            return len(data)

        self._start(work, completion)

    def take_preload(self) -> bool:
        """Whether what was handed over with the call may still be handed to a child. Once."""
        has_it, self._has_preload = self._has_preload, False
        return has_it and bool(self.preload)

    # ── writing ─────────────────────────────────────────────────────────────────────────────────

    def do_now(self, work: Callable[[Reply], T]) -> T:
        """A synchronous operation on the reply."""
        with self._call(), self._io:
            return work(self.reply)

    def do_later(self, work: Callable[[Reply], int], completion: Completion) -> None:
        """An asynchronous one: `work` runs on a spare thread, then `completion` is called there."""

        def locked() -> int:
            with self._io:
                return work(self.reply)

        self._start(locked, completion)

    def _start(self, work: Callable[[], int], completion: Completion) -> None:
        def run() -> None:
            count, error = 0, 0
            try:
                count = work()
            except ServerFunctionError as failure:
                error = failure.number
            except BaseException as failure:  # noqa: BLE001 a module at SEND_RESPONSE, for one
                log_exception("module_failed", failure, request=self.context.request_id)
                error = Win32.OPERATION_ABORTED
            self.complete_operation(completion, count, error)

        self.begin_operation(run)

    def begin_operation(self, work: Callable[[], None]) -> None:
        """Start the one operation: `work` runs on a spare thread, and calls complete_operation."""
        with self._mutex:
            self._insist_on_session()
            if self._operation:
                raise invalid("an operation is outstanding")
            self._operation = True
        try:
            run_on_spare_thread(work)
        except RuntimeError as error:
            with self._mutex:
                self._operation = False
            raise ServerFunctionError(Win32.NOT_ENOUGH_MEMORY, str(error)) from error

    def complete_operation(self, completion: Completion, count: int, error: int) -> None:
        """On the spare thread, once: the operation has ended, the extension is called back."""
        # The callback may start the next operation, so this one has ended before it is called.
        with self._mutex:
            self._operation = False
            self._callbacks += 1
        if error == Win32.WSAECONNRESET:
            error = self._lost_as
        try:
            completion(count, error)
        except BaseException as failure:  # noqa: BLE001 foreign code
            if not self.is_clients_doing(failure):
                log_exception("module_failed", failure, request=self.context.request_id)
            with self._mutex:
                if not self._is_done:
                    self._is_done, self._status = True, Status.ERROR
        finally:
            with self._mutex:
                self._callbacks -= 1
        self._end_if_over()

    # ── the other server functions ──────────────────────────────────────────────────────────────

    def variable(self, name: str) -> str:
        """GetServerVariable; ServerFunctionError 1413 for an unknown name."""
        self._insist_on_session()
        return read_name(self.context, self.paths, name)

    def append_log(self, text: str) -> None:
        """Text that is added to cs-uri-query in the log."""
        self._insist_on_session()
        self.add_log(text)

    def add_log(self, text: str) -> None:
        """The same, also at the end."""
        self._log_texts.append("".join(c if c.isprintable() and c != " " else "+" for c in text))

    def map_path(self, url: str) -> str:
        """The file that a URL path of the site stands for."""
        self._insist_on_session()
        return map_site_path(self.context, url)

    def is_connected(self) -> bool:
        """Whether the client is still there, as far as the worker was told."""
        self._insist_on_session()
        return not (self.context.exchange.gone or self.context.is_cut)

    def keeps_connection(self) -> bool:
        """Whether the connection may be kept after the response."""
        self._insist_on_session()
        context = self.context
        wish = (context.request.get_header("Connection") or "").lower()
        is_wanted = "close" not in wish if context.message.version >= 11 else "keep-alive" in wish
        return is_wanted and context.application.settings.http_protocol.allow_keep_alive

    def close_connection(self) -> None:
        """CLOSE_CONNECTION: what waits for the client ends, what follows fails.

        The connection is cut, without an answer, when the request ends.
        """
        self._insist_on_session()
        self.context.response.reset_connection()
        self.context.exchange.cancel()

    def cancel_operation(self) -> None:
        """CANCEL_IO: a write cannot be taken back and a read ends with the connection."""
        if not self._operation:
            raise ServerFunctionError(Win32.NOT_FOUND, "no operation is outstanding")
        self._lost_as = Win32.OPERATION_ABORTED
        self.close_connection()

    def report_unhealthy(self, reason: str) -> None:
        """The worker is to be replaced; it goes on until its requests have ended."""
        self._insist_on_session()
        self.context.application.server.report_unhealthy(reason)

    def _insist_on_session(self) -> None:
        if self._is_done or self._is_over:
            raise invalid("the session is over")

    @contextmanager
    def _call(self) -> Generator[None]:
        """A synchronous operation: the request does not end within it."""
        with self._mutex:
            self._insist_on_session()
            if self._operation:
                raise invalid("an operation is outstanding")
            self._calls += 1
        try:
            yield
        finally:
            with self._mutex:
                self._calls -= 1
            self._end_if_over()
