"""One connection of a program to the listener: calls and their replies, batches both ways.

A thread of its own reads; whoever wants to say something sends on the spot, one at a time. The
kernel keeps the order, and holds a sender back while the listener does not read.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from was.errors import IllFormedMessageError
from was.httpapi.errors import (
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_READY,
    ERROR_OPERATION_ABORTED,
    HttpApiError,
)
from was.ipc import codec
from was.ipc.descriptors import ControlSocket
from was.ipc.endpoints import Home, SocketFolder, home_key
from was.ipc.messages import ToListener, ToListenerItem, ToWorker
from was.ipc.program_messages import BATCH, CALL, Call, Moved, Notice, QueueOpened, Replied

__all__ = ["Link", "find_door"]

REPLY_LIMIT_S = 30.0

_numbers = itertools.count(1)


def find_door(home: str | os.PathLike[str] | None) -> Path:
    """Where the listener of a home lets programs in. Raises HttpApiError if it does not run.

    Without `home`: WAS_HOME, then root's home or that of this user, as for the command line.
    """
    path = Path(home or os.environ.get("WAS_HOME") or _default_home())
    noted = Home(path).find_sockets()
    bases = [Path("/run/was"), Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent")) / "was"]
    folders = [noted] if noted is not None else []
    folders += [SocketFolder(base / home_key(path)) for base in bases]
    for folder in folders:
        if folder.programs_door.exists():
            return folder.programs_door
    raise HttpApiError(ERROR_NOT_READY, f"no server runs at {path}")


def _default_home() -> str:
    if os.geteuid() == 0 or Path("/run/was").is_dir():
        return "/etc/was"
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "was")


def _encode(message: Call) -> bytes:
    """A program may have given anything as a parameter."""
    try:
        content = codec.encode(message)
        codec.decode_call(content)
    except (IllFormedMessageError, *codec.UNSENDABLE) as error:
        raise HttpApiError(ERROR_INVALID_PARAMETER, str(error)) from None
    return content


class Link:
    """One connection. `on_batch`, `on_moved` and `on_end` are called on its own thread."""

    def __init__(
        self,
        door: Path,
        *,
        on_batch: Callable[[ToWorker], None],
        on_moved: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        """Raises HttpApiError(ERROR_NOT_READY) when nobody opens."""
        self.epoch = 0
        self.is_closed = False
        self._on_batch = on_batch
        self._on_moved = on_moved
        self._on_end = on_end
        self._sending = threading.Lock()
        self._replies: dict[int, Future[tuple[Notice, list[int]]]] = {}
        try:
            self._end = ControlSocket.connect(str(door))
        except OSError as error:
            raise HttpApiError(ERROR_NOT_READY, f"the listener does not answer: {error}") from error
        self._thread = threading.Thread(target=self._read, name="httpapi", daemon=True)
        self._thread.start()

    def call(self, make: Callable[[int], Call]) -> tuple[Notice, list[int]]:
        """Say something and wait for the answer to it. Raises HttpApiError where that is no.

        What is no such message is refused here: the listener would end the link for it.
        """
        number = next(_numbers)
        reply: Future[tuple[Notice, list[int]]] = Future()
        self._replies[number] = reply
        try:
            content = CALL + _encode(make(number))
            self._send(content, ())
            try:
                notice, descriptors = reply.result(REPLY_LIMIT_S)
            except TimeoutError:
                raise HttpApiError(ERROR_NOT_READY, "the listener does not answer") from None
        finally:
            self._replies.pop(number, None)
        if isinstance(notice, Replied) and notice.error:
            raise HttpApiError(notice.error, notice.detail)
        return notice, descriptors

    def tell(self, message: Call) -> None:
        """Say something that has no answer."""
        self._send(CALL + codec.encode(message), ())

    def answer(self, items: list[ToListenerItem], descriptors: Sequence[int] = ()) -> None:
        """Send messages of the request road; `descriptors` as their file tokens name them."""
        try:
            content = codec.encode(ToListener(self.epoch, items))
        except codec.UNSENDABLE:  # a program's own class of bytes, say
            sendable = [codec.cleaned(item) for item in items]
            content = codec.encode(ToListener(self.epoch, sendable))
        self._send(BATCH + content, descriptors)

    def _send(self, content: bytes, descriptors: Sequence[int]) -> None:
        try:
            with self._sending:
                self._end.send(content, descriptors)
        except OSError as error:
            raise HttpApiError(ERROR_OPERATION_ABORTED, "the listener has gone") from error

    def _read(self) -> None:
        while True:
            try:
                received = self._end.recv()
            except OSError:
                received = None
            if received is None:
                break
            content, descriptors = received
            try:
                self._take(content, descriptors)
            except IllFormedMessageError:
                break  # another version of us: nothing it says can be understood
        self.close()
        for reply in list(self._replies.values()):
            if not reply.done():
                reply.set_exception(HttpApiError(ERROR_OPERATION_ABORTED, "the listener has gone"))
        self._on_end()

    def _take(self, content: bytes, descriptors: list[int]) -> None:
        if content[:1] == BATCH:
            self._on_batch(codec.decode_to_worker(content[1:]))
            return
        match codec.decode_notice(content[1:]):
            case Moved():
                self._on_moved()
            case (Replied(call=number) | QueueOpened(call=number)) as notice:
                reply = self._replies.get(number)
                if reply is None:
                    for fd in descriptors:
                        os.close(fd)
                    return
                reply.set_result((notice, descriptors))

    def close(self) -> None:
        """End the connection; the reading thread sees it and ends."""
        self.is_closed = True
        with suppress(OSError):
            self._end.sock.shutdown(2)
        if self._thread is not threading.current_thread():
            self._thread.join()
        with self._sending:
            self._end.close()
