"""The HTTP Server API: any process of the machine serves URLs through a running listener.

    from was import httpapi

    with httpapi.ServerSession() as session, httpapi.RequestQueue("demo") as queue:
        group = session.create_url_group()
        group.bind(queue)
        group.add_url("http://+:8080/demo/")
        while True:
            request = queue.receive_request()
            queue.send_response(request.id, httpapi.HttpResponse.text("hello"))

`version1` is the 1.0 form, `aio` the one for event loops.
"""

from was.httpapi import version1
from was.httpapi.aio import AsyncRequestQueue
from was.httpapi.data import Chunk, FileChunk, HttpRequest, HttpResponse
from was.httpapi.errors import (
    ERROR_ACCESS_DENIED,
    ERROR_ALREADY_EXISTS,
    ERROR_CONNECTION_INVALID,
    ERROR_FILE_NOT_FOUND,
    ERROR_HANDLE_EOF,
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_ENOUGH_QUOTA,
    ERROR_NOT_READY,
    ERROR_NOT_SUPPORTED,
    ERROR_OPERATION_ABORTED,
    ERROR_SHARING_VIOLATION,
    HttpApiError,
)
from was.httpapi.queue import RequestQueue
from was.httpapi.session import ServerSession, UrlGroup

__all__ = [
    "ERROR_ACCESS_DENIED",
    "ERROR_ALREADY_EXISTS",
    "ERROR_CONNECTION_INVALID",
    "ERROR_FILE_NOT_FOUND",
    "ERROR_HANDLE_EOF",
    "ERROR_INVALID_PARAMETER",
    "ERROR_NOT_ENOUGH_QUOTA",
    "ERROR_NOT_READY",
    "ERROR_NOT_SUPPORTED",
    "ERROR_OPERATION_ABORTED",
    "ERROR_SHARING_VIOLATION",
    "AsyncRequestQueue",
    "Chunk",
    "FileChunk",
    "HttpApiError",
    "HttpRequest",
    "HttpResponse",
    "RequestQueue",
    "ServerSession",
    "UrlGroup",
    "version1",
]
