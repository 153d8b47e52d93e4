"""RequestQueue: requests for the URLs of a program, received and answered from any of its threads.

When a listener dies, receives that wait go on waiting, for requests of the next one (see
listeners.py); the requests that were being answered are lost with their connections.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from functools import partial

from was.httpapi.data import Chunk, HttpRequest, HttpResponse
from was.httpapi.disconnects import Disconnects
from was.httpapi.errors import (
    ERROR_CONNECTION_INVALID,
    ERROR_INVALID_PARAMETER,
    ERROR_OPERATION_ABORTED,
    HttpApiError,
)
from was.httpapi.exchanges import Exchange
from was.httpapi.listeners import Listeners
from was.httpapi.urls import prefix_of
from was.ipc.messages import (
    BodyChunk,
    CancelRequest,
    ConnectionClosed,
    Request,
    ResponseWindow,
    ToWorker,
)
from was.ipc.program_messages import MOST_RECEIVES, Receive

__all__ = ["READ_BYTES", "RequestQueue"]

# What one call of receive_request_entity_body gives at most, unless told.
READ_BYTES = 65536

_GONE = (ERROR_CONNECTION_INVALID, ERROR_OPERATION_ABORTED)


class RequestQueue:
    """HttpCreateRequestQueue: a queue with a name, or one of this process alone.

    `open_existing`: it must be there; `share`: it may. A queue lives until the last process that
    has it open closes it or ends. Use it as a context manager, or call `close`. Safe for threads.
    """

    def __init__(
        self,
        name: str = "",
        *,
        open_existing: bool = False,
        share: bool = False,
        home: str | os.PathLike[str] | None = None,
    ) -> None:
        """Raises HttpApiError: ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND, ERROR_ACCESS_DENIED (a
        queue of another user), ERROR_NOT_READY (no server).
        """
        self.name = name
        self._lock = threading.RLock()
        self._is_over = False  # no receive waits, and none begins
        self._exchanges: dict[int, Exchange] = {}
        self._receives: deque[Future[HttpRequest]] = deque()
        self._disconnects = Disconnects()
        self._listeners = Listeners(
            home, name, on_batch=self._heard, on_open=self._ask, on_lost=self._lost
        )
        self._listeners.open(open_existing=open_existing, share=share)

    # ── receiving ───────────────────────────────────────────────────────────────────────────────

    def receive_request(self, timeout_s: float | None = None) -> HttpRequest:
        """HttpReceiveHttpRequest: the next request; waits for one.

        Raises TimeoutError, and HttpApiError(ERROR_OPERATION_ABORTED) when the queue is closed.
        """
        receive = self.begin_receive()
        try:
            return receive.result(timeout_s)
        except TimeoutError:
            if receive.cancel():
                raise
            return receive.result()  # it came in this very moment
        except CancelledError:
            raise HttpApiError(ERROR_OPERATION_ABORTED, "the receive was cancelled") from None

    def begin_receive(self) -> Future[HttpRequest]:
        """The same, as a future: what completion ports and event loops build on.

        A future that was cancelled takes no request.
        """
        receive: Future[HttpRequest] = Future()
        with self._lock:
            if self._is_over:
                raise HttpApiError(ERROR_OPERATION_ABORTED, "the request queue is closed")
            if len(self._receives) >= MOST_RECEIVES:
                raise HttpApiError(ERROR_INVALID_PARAMETER, f"{MOST_RECEIVES} receives are waiting")
            self._receives.append(receive)
            self._ask()
        receive.add_done_callback(self._given_up)
        return receive

    def _given_up(self, receive: Future[HttpRequest]) -> None:
        # The listener is not told: what it sends for this receive is the next one's, or given back.
        if receive.cancelled():
            with self._lock, suppress(ValueError):
                self._receives.remove(receive)

    def _ask(self) -> None:
        """Have every listener send as many requests as calls wait."""
        with self._lock:
            wanted = len(self._receives)
            for attachment in self._listeners.attachments.values():
                room = MOST_RECEIVES - attachment.open - attachment.credit
                missing = min(wanted - attachment.credit, room)
                if missing > 0 and not attachment.link.is_closed:
                    attachment.credit += missing
                    with suppress(HttpApiError):  # it has gone: the next one is asked
                        attachment.link.tell(Receive(missing))

    def _hand_out(self, exchange: Exchange) -> None:
        """To a receive that waits; when all were given up, back to the others on the queue."""
        while self._receives and exchange.claim():
            receive = self._receives.popleft()
            if receive.set_running_or_notify_cancel():
                receive.set_result(exchange.begin())
                return
        with suppress(HttpApiError):
            exchange.give_back()
        self._forget(exchange)

    def give_back(self, request_id: int) -> None:
        """A request that was received, and not looked at, goes to the next receive."""
        with self._lock:
            exchange = self._exchanges.get(request_id)
            if exchange is not None:
                self._hand_out(exchange)

    def receive_request_entity_body(self, request_id: int, size: int = READ_BYTES) -> bytes:
        """HttpReceiveRequestEntityBody: up to `size` bytes, b"" at the end; waits for some.

        Raises HttpApiError(ERROR_CONNECTION_INVALID) when the client has gone.
        """
        return self._exchange(request_id).read(size)

    # ── answering ───────────────────────────────────────────────────────────────────────────────

    def send_response(
        self,
        request_id: int,
        response: HttpResponse,
        *,
        more_data: bool = False,
        disconnect: bool = False,
    ) -> int:
        """HttpSendHttpResponse: status, headers and chunks; bytes of body sent.

        Without `more_data` it is the whole response. `disconnect` closes the connection after it.
        Waits while the listener holds as much of the response as it may. A whole response for a
        client that has gone goes nowhere, and 0 bytes are sent; with `more_data` that raises
        HttpApiError(ERROR_CONNECTION_INVALID). ERROR_INVALID_PARAMETER: it cannot be sent.
        """
        try:
            exchange = self._exchange(request_id)
            with self._ending(exchange):
                return exchange.respond(response, more=more_data, disconnect=disconnect)
        except HttpApiError as error:
            if more_data or error.error not in _GONE:
                raise
            return 0

    def send_response_entity_body(
        self, request_id: int, chunks: Sequence[Chunk], *, more_data: bool = False
    ) -> int:
        """HttpSendResponseEntityBody: more of a response that was begun with `more_data`."""
        exchange = self._exchange(request_id)
        with self._ending(exchange):
            return exchange.write(chunks, more=more_data)

    def cancel_request(self, request_id: int) -> None:
        """HttpCancelHttpRequest: give it up. A response that had begun is cut, else it is 502."""
        exchange = self._exchange(request_id)
        with self._ending(exchange):
            exchange.abort()

    def wait_for_disconnect(self, request_id: int, timeout_s: float | None = None) -> None:
        """HttpWaitForDisconnect: until the request's connection ends. Raises TimeoutError."""
        wait = self.begin_wait_for_disconnect(request_id)
        try:
            wait.result(timeout_s)
        except TimeoutError:
            wait.cancel()
            raise

    def begin_wait_for_disconnect(self, request_id: int) -> Future[None]:
        """The same, as a future. The connection may well outlive the request's response."""
        exchange = self._exchange(request_id)
        connection = exchange.attachment.link.epoch, exchange.message.connection_id
        wait = self._disconnects.wait(*connection)
        if not exchange.watch():
            self._disconnects.ended(*connection)
        return wait

    def _exchange(self, request_id: int) -> Exchange:
        exchange = self._exchanges.get(request_id)
        if exchange is None:
            raise HttpApiError(ERROR_CONNECTION_INVALID, f"no request {request_id:x} is open here")
        return exchange

    @contextmanager
    def _ending(self, exchange: Exchange) -> Generator[None]:
        """Forgets an exchange that has ended within its block."""
        try:
            yield
        finally:
            if exchange.has_ended:
                with self._lock:
                    self._forget(exchange)

    def _forget(self, exchange: Exchange) -> None:
        """Its END was said: there is room for another request."""
        if self._exchanges.pop(exchange.id, None) is None:
            return
        exchange.attachment.open -= 1
        self._ask()

    # ── URLs and properties, for URL groups ─────────────────────────────────────────────────────

    def add_url(self, url: str, context: int = 0) -> None:
        """Have the requests for a UrlPrefix come here; UrlGroup.add_url is the usual way.

        Raises HttpApiError: ERROR_INVALID_PARAMETER, ERROR_ACCESS_DENIED (not reserved for this
        user), ERROR_ALREADY_EXISTS, ERROR_SHARING_VIOLATION (the port is somebody else's).
        """
        if not 0 <= context < 1 << 64:
            raise HttpApiError(ERROR_INVALID_PARAMETER, "a URL context has 64 bits")
        self._listeners.add_url(prefix_of(url), url, context)

    def remove_url(self, url: str) -> None:
        """Give a URL back. Raises HttpApiError(ERROR_FILE_NOT_FOUND) for one that was not added."""
        self._listeners.remove_url(prefix_of(url), url)

    def set_property(
        self,
        *,
        is_enabled: bool | None = None,
        queue_length: int | None = None,
        verbosity: int | None = None,
        request_queue_s: float | None = None,
        response_s: float | None = None,
        connection_s: float | None = None,
        max_connections: int | None = None,
    ) -> None:
        """HttpSetRequestQueueProperty, and of HttpSetUrlGroupProperty what is a queue's here.

        `verbosity` of 503 answers: 0 resets the connection, 1 and 2 answer. `request_queue_s` is
        the longest a request waits (120), `response_s` the longest a response takes to begin (no
        limit), `connection_s` the timer of bodies and idle connections (120); 0 = for ever.
        """
        given = {
            "is_enabled": is_enabled,
            "queue_length": queue_length,
            "verbosity": verbosity,
            "request_queue_s": request_queue_s,
            "response_s": response_s,
            "connection_s": connection_s,
            "max_connections": max_connections,
        }
        changed = {name: value for name, value in given.items() if value is not None}
        self._listeners.set_properties(changed)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def shut_down(self) -> None:
        """HttpShutdownRequestQueue: no more requests for this process; others go on.

        Receives that wait fail with ERROR_OPERATION_ABORTED; what was received can be answered.
        """
        receives = self._receive_no_more()
        self._listeners.shut_down()
        _abort(receives)

    def close(self) -> None:
        """HttpCloseRequestQueue: URLs are given back; what is unanswered goes to others, or 503."""
        _abort(self._receive_no_more())
        self._listeners.close()

    def _receive_no_more(self) -> deque[Future[HttpRequest]]:
        """The receives that wait, and wait in vain."""
        with self._lock:
            self._is_over = True
            receives, self._receives = self._receives, deque()
        return receives

    def __enter__(self) -> RequestQueue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── what listeners say ──────────────────────────────────────────────────────────────────────

    def _heard(self, batch: ToWorker) -> None:
        for item in batch.items:
            match item:
                case Request():
                    self._arrive(item, batch.epoch)
                case BodyChunk(number, _, data, last):
                    self._tell(number, partial(Exchange.body_came, data=data, last=last))
                case ResponseWindow(number, _, count):
                    self._tell(number, partial(Exchange.widened, count=count))
                case CancelRequest(number):
                    self._tell(number, Exchange.gone)
                case ConnectionClosed(number):
                    for exchange in list(self._exchanges.values()):
                        known = exchange.attachment.link.epoch, exchange.message.connection_id
                        if known == (batch.epoch, number):
                            exchange.gone()
                    self._disconnects.ended(batch.epoch, number)
                case _:
                    pass

    def _arrive(self, message: Request, epoch: int) -> None:
        with self._lock:
            attachment = self._listeners.attachments.get(epoch)
            if attachment is not None:
                attachment.credit -= 1
                attachment.open += 1
                exchange = self._exchanges[message.id] = Exchange(attachment, message)
                self._hand_out(exchange)

    def _tell(self, number: int, what: Callable[[Exchange], object]) -> None:
        exchange = self._exchanges.get(number)
        if exchange is not None:
            what(exchange)

    def _lost(self, epochs: Iterable[int]) -> None:
        """Listeners have gone, with all that was under way there."""
        with self._lock:
            lost = [e for e in self._exchanges.values() if e.attachment.link.is_closed]
            for exchange in lost:
                del self._exchanges[exchange.id]
        for exchange in lost:
            exchange.gone()
        for epoch in epochs:
            self._disconnects.lost(epoch)


def _abort(receives: deque[Future[HttpRequest]]) -> None:
    for receive in receives:
        if receive.set_running_or_notify_cancel():
            receive.set_exception(
                HttpApiError(ERROR_OPERATION_ABORTED, "the request queue is closed")
            )
