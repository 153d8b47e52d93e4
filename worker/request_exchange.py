"""What the pipeline needs of an exchange; worker/exchange.py keeps the promise for clients."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from was.ipc.messages import Request, Response
    from was.worker.chunks import FileRegion

__all__ = ["RequestExchange", "WholeRequest"]


class RequestExchange(Protocol):
    """One request: its body in, its response out, exactly one END."""

    trailers: bytes  # encoded fields that follow a body in chunks, sent with its end

    @property
    def gone(self) -> bool:
        """Nobody reads the answer."""
        ...

    @property
    def started(self) -> bool:
        """Status and fields have gone."""
        ...

    @property
    def request(self) -> Request:
        """The request message."""
        ...

    @property
    def words(self) -> memoryview[int]:
        """The scoreboard."""
        ...

    @property
    def module_cell(self) -> memoryview[bytes]:
        """Its byte for the running module, of the request's row."""
        ...

    @property
    def row(self) -> int:
        """Index of the request's first word."""
        ...

    def read(self, size: int) -> bytes:
        """Next body bytes; b"" at the end."""
        ...

    def poll_body(self) -> bool:
        """Whether `read` would return at once; if not, more is asked for and rings on arrival."""
        ...

    def ring_on_arrival(self, ring: Callable[[], None] | None) -> None:
        """Have `ring` called when body bytes or the client's end arrive; None: no more.

        It is called in another thread, late maybe, and must neither block nor raise.
        """
        ...

    @property
    def is_readable(self) -> bool:
        """Whether `read` would answer at once."""
        ...

    @property
    def writable_bytes(self) -> int:
        """So many bytes can be written without waiting."""
        ...

    def cancel(self) -> None:
        """Nobody waits for the answer any more: reads and writes fail."""
        ...

    def wait_for(self, event: Event) -> None:
        """Block until the event is set."""
        ...

    def start(self, response: Response) -> None:
        """Begin the response: its head and first bytes, more of which follow."""
        ...

    def write(self, data: bytes) -> None:
        """Send more of the body."""
        ...

    def send_file(self, region: FileRegion) -> None:
        """Send a region of a file as more of the body; the caller may close it on return."""
        ...

    def finish(self, response: Response, file: FileRegion | None = None) -> None:
        """The whole response; `file`, which the caller may close, follows its body. END."""
        ...

    def end(self, data: bytes, log: str, substatus: int, win32: int) -> None:
        """The last bytes of a started response. END."""
        ...

    def abort(self, log: str, win32: int, reset: bool = False) -> None:
        """Give the response up. END."""
        ...


class WholeRequest(RequestExchange, Protocol):
    """One that has come to the worker, and may have to go to another."""

    def give_back(self) -> None:
        """Nobody has begun it, and no END is owed: it is another's."""
        ...
