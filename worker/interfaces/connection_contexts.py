"""What modules attach to client connections: kept until the listener says that one has ended.

A connection is watched from the first time that somebody asks for its container; others cost
nothing. Its end is told on a thread of its own, since what runs then is not ours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from was.log import log_exception
from was.worker.interfaces.hresult import ERROR_CONNECTION_INVALID, HResultError
from was.worker.interfaces.stored_contexts import ModuleContextContainer, StoredContext

if TYPE_CHECKING:
    from was.ipc.messages import Request

__all__ = ["ConnectionContexts", "ConnectionModuleContextContainer", "ConnectionStoredContext"]


@runtime_checkable
class ConnectionStoredContext(StoredContext, Protocol):
    """IHttpConnectionStoredContext."""

    def notify_disconnect(self) -> None:
        """The client has gone; cleanup_stored_context follows."""
        ...


class ConnectionModuleContextContainer(ModuleContextContainer):
    """IHttpConnectionModuleContextContainer."""

    __slots__ = ()

    def get_connection_module_context(self, module_id: int) -> StoredContext | None:
        """The context of a module, None if it has set none."""
        return self.get_module_context(module_id)

    def set_connection_module_context(
        self, context: ConnectionStoredContext, module_id: int
    ) -> None:
        """Attach a context that wants to hear of the client's going. As set_module_context."""
        self.set_module_context(context, module_id)

    def end(self, *, by_client: bool) -> None:
        """The connection has ended: `notify_disconnect` if the client went, then the clean-up."""
        for context in list(self._contexts.values()) if by_client else ():
            if isinstance(context, ConnectionStoredContext):
                try:
                    context.notify_disconnect()
                except Exception as error:  # noqa: BLE001 each is told, whatever the others do
                    log_exception("module_failed", error, during="notify_disconnect")
        self.cleanup()


class ConnectionContexts:
    """The containers of one worker. Any thread."""

    def __init__(self, run: Callable[[Callable[[], None]], None]) -> None:
        """`run` runs a callable on another thread."""
        # The epoch of the listener that has a request's connection; None where there is no client,
        # or the request is over.
        self.epoch_of: Callable[[Request], int | None] = lambda _request: None
        # Asks that listener to tell of the connection's end.
        self.watch: Callable[[Request], None] = lambda _request: None
        self._run = run
        self._lock = threading.Lock()
        self._known: dict[tuple[int, int], ConnectionModuleContextContainer] = {}

    def of(self, request: Request) -> ConnectionModuleContextContainer:
        """Of a request's connection. HResultError: ERROR_CONNECTION_INVALID."""
        epoch = self.epoch_of(request)
        if epoch is None:
            raise HResultError(ERROR_CONNECTION_INVALID, "the request has no client")
        key = (epoch, request.connection_id)
        with self._lock:
            container = self._known.get(key)
            if container is not None:
                return container
            container = self._known[key] = ConnectionModuleContextContainer()
        self.watch(request)
        return container

    def closed(self, epoch: int, connection_id: int, *, by_client: bool) -> None:
        """The listener says that a connection has ended."""
        with self._lock:
            container = self._known.pop((epoch, connection_id), None)
        if container is not None:
            self._run(lambda: container.end(by_client=by_client))

    def listener_gone(self, epoch: int) -> None:
        """A listener has died, and its connections with it."""
        for of_epoch, connection_id in list(self._known):
            if of_epoch == epoch:
                self.closed(epoch, connection_id, by_client=True)

    def close(self) -> None:
        """The worker ends; the clients stay."""
        with self._lock:
            known, self._known = self._known, {}
        for container in known.values():
            container.cleanup()
