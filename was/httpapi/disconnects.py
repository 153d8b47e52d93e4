"""Who waits for the end of a client's connection: HttpWaitForDisconnect."""

from __future__ import annotations

import threading
from concurrent.futures import Future

__all__ = ["Disconnects"]


class Disconnects:
    """The waits of one queue. Any thread.

    Each listener counts its connections from 1, so its epoch belongs to a connection's id.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[tuple[int, int], list[Future[None]]] = {}

    def wait(self, epoch: int, connection_id: int) -> Future[None]:
        """A future that is done when the connection has ended."""
        future: Future[None] = Future()
        with self._lock:
            waits = self._waits.get((epoch, connection_id), ())
            self._waits[epoch, connection_id] = [*(f for f in waits if not f.done()), future]
        return future

    def ended(self, epoch: int, connection_id: int) -> None:
        """The connection has ended."""
        with self._lock:
            waits = self._waits.pop((epoch, connection_id), [])
        _complete(waits)

    def lost(self, epoch: int) -> None:
        """The listener has gone, with all its connections."""
        with self._lock:
            keys = [key for key in self._waits if key[0] == epoch]
            waits = [future for key in keys for future in self._waits.pop(key)]
        _complete(waits)


def _complete(waits: list[Future[None]]) -> None:
    for future in waits:
        if future.set_running_or_notify_cancel():
            future.set_result(None)
