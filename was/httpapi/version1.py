"""The HTTP Server API in its 1.0 form: URLs are added to the queue itself, no sessions and groups.

initialize(HTTPAPI_VERSION_1, HTTP_INITIALIZE_SERVER)
queue = create_http_handle()
add_url(queue, "http://+:8080/demo/")
bind_completion_callback(queue, on_request)    # on a pool of threads; or receive_http_request
…
close_handle(queue)
terminate(HTTP_INITIALIZE_SERVER)
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from was.httpapi.data import HttpRequest, HttpResponse
from was.httpapi.errors import (
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_SUPPORTED,
    ERROR_OPERATION_ABORTED,
    HttpApiError,
)
from was.httpapi.queue import RequestQueue

__all__ = [
    "HTTPAPI_VERSION_1",
    "HTTPAPI_VERSION_2",
    "HTTP_INITIALIZE_CONFIG",
    "HTTP_INITIALIZE_SERVER",
    "add_url",
    "bind_completion_callback",
    "close_handle",
    "create_http_handle",
    "initialize",
    "receive_http_request",
    "remove_url",
    "send_http_response",
    "terminate",
]

HTTPAPI_VERSION_1 = (1, 0)
HTTPAPI_VERSION_2 = (2, 0)
HTTP_INITIALIZE_SERVER = 1
HTTP_INITIALIZE_CONFIG = 2

_lock = threading.Lock()
_initialized = 0
_home: str | os.PathLike[str] | None = None
_open: set[RequestQueue] = set()


def initialize(
    version: tuple[int, int],
    flags: int = HTTP_INITIALIZE_SERVER,
    home: str | os.PathLike[str] | None = None,
) -> None:
    """HttpInitialize: each call needs a `terminate`. `home` is that of the server to be used.

    Raises HttpApiError: ERROR_INVALID_PARAMETER for another version, ERROR_NOT_SUPPORTED for
    HTTP_INITIALIZE_CONFIG: reservations are the command line's (`was add urlacl`).
    """
    global _initialized, _home
    if version not in (HTTPAPI_VERSION_1, HTTPAPI_VERSION_2):
        raise HttpApiError(ERROR_INVALID_PARAMETER, f"there is no version {version}")
    if flags != HTTP_INITIALIZE_SERVER:
        raise HttpApiError(ERROR_NOT_SUPPORTED, "configuration is done with `was add urlacl`")
    with _lock:
        _initialized += 1
        _home = home if home is not None else _home


def terminate(flags: int = HTTP_INITIALIZE_SERVER) -> None:
    """HttpTerminate: with the last one, every queue that is still open is closed."""
    global _initialized
    with _lock:
        _initialized = max(0, _initialized - 1)
        left = set(_open) if not _initialized else set[RequestQueue]()
    for queue in left:
        close_handle(queue)


def create_http_handle() -> RequestQueue:
    """HttpCreateHttpHandle: a queue of this process. Raises HttpApiError before `initialize`."""
    if not _initialized:
        raise HttpApiError(ERROR_INVALID_PARAMETER, "initialize was not called")
    queue = RequestQueue(home=_home)
    _open.add(queue)
    return queue


def close_handle(queue: RequestQueue) -> None:
    """CloseHandle: URLs are given back, receives fail with ERROR_OPERATION_ABORTED."""
    _open.discard(queue)
    queue.close()


def add_url(queue: RequestQueue, url: str) -> None:
    """HttpAddUrl."""
    queue.add_url(url)


def remove_url(queue: RequestQueue, url: str) -> None:
    """HttpRemoveUrl."""
    queue.remove_url(url)


def receive_http_request(queue: RequestQueue, timeout_s: float | None = None) -> HttpRequest:
    """HttpReceiveHttpRequest."""
    return queue.receive_request(timeout_s)


def send_http_response(queue: RequestQueue, request_id: int, response: HttpResponse) -> int:
    """HttpSendHttpResponse."""
    return queue.send_response(request_id, response)


def bind_completion_callback(
    queue: RequestQueue,
    callback: Callable[[HttpRequest], None],
    *,
    threads: int = 8,
    receives: int = 16,
) -> ThreadPoolExecutor:
    """BindIoCompletionCallback: have `callback` called with each request, on a pool of threads.

    `receives` are outstanding at a time. It goes on until the queue is closed; what a callback
    raises costs its request (502 or a cut) and is reported by `threading.excepthook`.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="httpapi")

    def serve(request: HttpRequest) -> None:
        try:
            callback(request)
        except Exception as error:  # noqa: BLE001 whatever a callback raises ends here
            arguments = (type(error), error, error.__traceback__, threading.current_thread())
            threading.excepthook(threading.ExceptHookArgs(arguments))
            try:
                queue.cancel_request(request.id)
            except HttpApiError:
                return  # it was answered, or its client has gone

    def completed(receive: Future[HttpRequest]) -> None:
        if receive.cancelled() or receive.exception() is not None:
            pool.shutdown(wait=False)
            return
        pool.submit(serve, receive.result())
        again()

    def again() -> None:
        try:
            queue.begin_receive().add_done_callback(completed)
        except HttpApiError as error:
            if error.error != ERROR_OPERATION_ABORTED:
                raise

    for _ in range(receives):
        again()
    return pool
