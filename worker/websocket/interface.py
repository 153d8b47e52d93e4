"""IWebSocketContext: a WebSocket for modules, in the named context "websockets".

A module answers 101 and flushes; WebSocketModule makes the handshake while the response is sent,
and leaves this behind. Its methods block, or with a `completion` run on a thread of their own and
call it with what they came to (PFN_WEBSOCKET_COMPLETION). One thread may read while another writes.
"""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from was.log import log_exception
from was.worker.exchange import ClientGoneError, Exchange
from was.worker.interfaces.hresult import E_INVALIDARG, ERROR_OPERATION_ABORTED, HResultError
from was.worker.threads.spare_threads import run_on_spare_thread

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext
    from was.worker.websocket.frames import Frames

__all__ = ["IIS_WEBSOCKET", "Fragment", "WebSocketContext"]

# The name of the context in IHttpContext3::GetNamedContextContainer.
IIS_WEBSOCKET = "websockets"

_BLOCK_BYTES = 65536
_FOLDED_BYTES = 4096  # may be a thousand times as many
_MOST_WAITING = 64  # frames that answer the client's, while another thread writes
_CLOSED = 2  # of Frames, which is imported with the first WebSocket


class Fragment(NamedTuple):
    """A part of a message; or, with `is_close`, the end of what the client says."""

    data: bytes
    is_utf8: bool
    is_final: bool
    is_close: bool


_Utf8Decoder = codecs.getincrementaldecoder("utf-8")
Completion = Callable[[int, "Fragment"], None]
_NOTHING = Fragment(b"", False, True, False)
_CLOSE = Fragment(b"", False, True, True)


class WebSocketContext:
    """One WebSocket, until its request ends."""

    def __init__(self, context: HttpContext, exchange: Exchange, frames: Frames) -> None:
        self._context = context
        self._exchange = exchange
        self._frames = frames
        self._news = threading.Condition()
        self._changing = threading.Lock()  # the frames: held for no wait
        self._writing = threading.Lock()  # what is written leaves in one piece
        self._rest = b""
        self._is_rest_utf8 = False
        self._decoder = _Utf8Decoder()
        self._is_cancelled = False
        exchange.never_waits = True
        exchange.ring_on_arrival(self._ring)
        exchange.expect_upgraded()

    # ── reading ─────────────────────────────────────────────────────────────────────────────────

    def read_fragment(self, size: int, completion: Completion | None = None) -> Fragment | None:
        """ReadFragment: up to `size` bytes of a message. HResultError when the client has gone.

        None with a `completion`, which is called as (HRESULT, fragment).
        """
        if size <= 0:
            raise HResultError(E_INVALIDARG, "a fragment of no bytes")
        if completion is not None:
            self._later(lambda: self._read(size), completion)
            return None
        return self._read(size)

    def _read(self, size: int) -> Fragment:
        if not self._rest:
            found = self._next_message()
            if found is None:
                return _CLOSE
            self._is_rest_utf8 = isinstance(found, str)
            self._rest = found.encode() if isinstance(found, str) else found
        data, self._rest = self._rest[:size], self._rest[size:]
        return Fragment(data, self._is_rest_utf8, not self._rest, False)

    def _next_message(self) -> str | bytes | None:
        frames, exchange = self._frames, self._exchange
        while True:
            with self._changing:
                if frames.messages:
                    return frames.take()
                # Nobody need answer the close of a message that was too long.
                is_closed = frames.state == _CLOSED or frames.has_refused
            if is_closed:
                return None
            if self._is_cancelled:
                raise HResultError(ERROR_OPERATION_ABORTED, "the operation was cancelled")
            try:
                data = exchange.read_nowait(_FOLDED_BYTES if frames.unfolds else _BLOCK_BYTES)
            except ClientGoneError as error:
                with self._changing:
                    frames.lost()
                raise HResultError(ERROR_OPERATION_ABORTED, str(error)) from None
            if data is None:
                self._wait(exchange.has_news)
                continue
            with self._changing:
                if data:
                    frames.receive(data)
                else:
                    frames.lost()
            # The client that takes nothing may still be heard; but its pings must not pile up.
            self._flush(waits=frames.state == _CLOSED or len(frames.out) > _MOST_WAITING)

    # ── writing ─────────────────────────────────────────────────────────────────────────────────

    def write_fragment(
        self,
        data: bytes,
        is_utf8: bool = False,
        is_final: bool = True,
        completion: Completion | None = None,
    ) -> None:
        """WriteFragment. HResultError when the client has gone, UnicodeError for bad text.

        A character may be cut by the end of a fragment that is not the last: its bytes leave with
        the rest of it.
        """
        content: str | bytes = self._decode(data, is_final) if is_utf8 else data

        def write() -> Fragment:
            with self._changing:
                self._frames.send_fragment(content, is_final)
            self._flush()
            return _NOTHING

        if completion is not None:
            self._later(write, completion)
        else:
            write()

    def _decode(self, data: bytes, is_final: bool) -> str:
        try:
            return self._decoder.decode(data, is_final)
        except UnicodeError:
            self._decoder.reset()
            raise

    def send_connection_close(
        self, code: int = 1000, reason: str = "", completion: Completion | None = None
    ) -> None:
        """SendConnectionClose: begin the closing; what is read then ends with is_close."""

        def close() -> Fragment:
            with self._changing:
                self._frames.close(code, reason)
            self._flush()
            return _NOTHING

        if completion is not None:
            self._later(close, completion)
        else:
            close()

    def _flush(self, waits: bool = True) -> None:
        """Write what is in `out`, in order; waits while the listener holds as much as it may.

        With `waits=False` another thread that is writing takes it along.
        """
        while self._writing.acquire(blocking=waits):
            try:
                self._write_out()
            finally:
                self._writing.release()
            if not self._frames.out:  # nobody came in vain before the release
                break

    def _write_out(self) -> None:
        exchange, frames = self._exchange, self._frames
        while frames.out:
            data = frames.out.popleft()
            for at in range(0, len(data), _BLOCK_BYTES):
                self._wait(exchange.is_writable)
                try:
                    exchange.write(data[at : at + _BLOCK_BYTES])
                except ClientGoneError as error:
                    frames.out.clear()
                    raise HResultError(ERROR_OPERATION_ABORTED, str(error)) from None

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def get_close_status(self) -> tuple[int, str]:
        """GetCloseStatus: code and reason of the closing; 1006 where there was none."""
        return self._frames.close_code, self._frames.close_reason

    def close_tcp_connection(self) -> None:
        """CloseTcpConnection: the client is cut when the request ends."""
        self._context.is_cut = True
        self.cancel_outstanding_io()

    def cancel_outstanding_io(self) -> None:
        """CancelOutstandingIO: what waits ends with ERROR_OPERATION_ABORTED."""
        self._is_cancelled = True
        self._ring()

    def cleanup_stored_context(self) -> None:
        """The request is over."""
        self.cancel_outstanding_io()

    # ── waiting ─────────────────────────────────────────────────────────────────────────────────

    def _ring(self) -> None:
        with self._news:
            self._news.notify_all()

    def _wait(self, is_there: Callable[[], bool]) -> None:
        with self._news:
            # The time is for what is cancelled or comes between the look and the wait.
            while not is_there() and not self._is_cancelled and not self._exchange.gone:
                self._news.wait(1.0)

    def _later(self, work: Callable[[], Fragment], completion: Completion) -> None:
        def run() -> None:
            try:
                fragment = work()
            except HResultError as error:
                completion(error.hresult, _NOTHING)
            except Exception as error:  # noqa: BLE001 a thread of ours ends in the log
                log_exception("module_failed", error, during="IWebSocketContext")
                completion(ERROR_OPERATION_ABORTED, _NOTHING)
            else:
                completion(0, fragment)

        run_on_spare_thread(run)
