"""The HTTP Server API for asyncio: the same queue, with coroutines where something may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import ParamSpec, TypeVar

from was.httpapi.data import Chunk, HttpRequest, HttpResponse
from was.httpapi.queue import READ_BYTES, RequestQueue
from was.ipc.program_messages import MOST_RECEIVES

__all__ = ["AsyncRequestQueue"]

P = ParamSpec("P")
T = TypeVar("T")

# A request may be read, answered and cancelled at one time. They are started on demand.
MOST_THREADS = 3 * MOST_RECEIVES


class AsyncRequestQueue:
    """A RequestQueue on an event loop. `queue` stays the caller's, who binds URL groups to it."""

    def __init__(self, queue: RequestQueue) -> None:
        self.queue = queue
        # Not the loop's own threads, which are few: each of these may wait for a slow client.
        self._threads = ThreadPoolExecutor(MOST_THREADS, "httpapi-async")

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def receive_request(self) -> HttpRequest:
        """HttpReceiveHttpRequest. Cancelling it takes no request away."""
        receive = self.queue.begin_receive()
        try:
            return await asyncio.wrap_future(receive)
        except asyncio.CancelledError:
            if not receive.cancel() and receive.exception() is None:
                self.queue.give_back(receive.result().id)  # it came in this very moment
            raise

    async def receive_request_entity_body(self, request_id: int, size: int = READ_BYTES) -> bytes:
        """HttpReceiveRequestEntityBody: up to `size` bytes, b"" at the end."""
        return await self._run(self.queue.receive_request_entity_body, request_id, size)

    async def send_response(
        self,
        request_id: int,
        response: HttpResponse,
        *,
        more_data: bool = False,
        disconnect: bool = False,
    ) -> int:
        """HttpSendHttpResponse."""
        return await self._run(
            self.queue.send_response,
            request_id,
            response,
            more_data=more_data,
            disconnect=disconnect,
        )

    async def send_response_entity_body(
        self, request_id: int, chunks: Sequence[Chunk], *, more_data: bool = False
    ) -> int:
        """HttpSendResponseEntityBody."""
        return await self._run(
            self.queue.send_response_entity_body, request_id, chunks, more_data=more_data
        )

    async def wait_for_disconnect(self, request_id: int) -> None:
        """HttpWaitForDisconnect."""
        await asyncio.wrap_future(self.queue.begin_wait_for_disconnect(request_id))

    async def cancel_request(self, request_id: int) -> None:
        """HttpCancelHttpRequest."""
        await self._run(self.queue.cancel_request, request_id)

    async def close(self) -> None:
        """HttpCloseRequestQueue."""
        await self._run(self.queue.close)

    async def __aenter__(self) -> AsyncRequestQueue:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
