"""FileSender: regions of files to one client's socket, by sendfile(2) on a duplicate of it.

uvloop has no sendfile of its own. At most FILE_BYTES go out a turn of the loop, so that nobody's
download holds the others up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.listener.endings import abort

if TYPE_CHECKING:
    from was.listener.connection import ClientConnection
    from was.listener.spool import SpoolMemory

__all__ = ["FileRegion", "FileSender"]

FILE_BYTES = 256 * 1024


class FileRegion:
    """Bytes of a descriptor. `is_owned`: close it after use (a worker's, not a spool's)."""

    __slots__ = ("fd", "is_owned", "length", "offset")

    def __init__(self, fd: int, offset: int, length: int, *, is_owned: bool) -> None:
        self.fd = fd
        self.offset = offset
        self.length = length
        self.is_owned = is_owned

    def close(self) -> None:
        """Give an owned descriptor back."""
        if self.is_owned and self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class FileSender:
    """Sends one region at a time; the transport must hold nothing when it begins."""

    def __init__(
        self,
        connection: ClientConnection,
        memory: SpoolMemory,
        on_sent: Callable[[FileRegion, int], None],
    ) -> None:
        """`on_sent` gets the region, which has become so many bytes shorter: 0 when it is out."""
        self._connection = connection
        self._memory = memory
        self._on_sent = on_sent
        self._region: FileRegion | None = None
        self._dup = -1
        self._has_writer = False

    @property
    def is_sending(self) -> bool:
        """Whether a region is on its way."""
        return self._region is not None

    @property
    def has_descriptor(self) -> bool:
        """Whether it has the duplicate, which it keeps."""
        return self._dup >= 0

    def send(self, region: FileRegion) -> None:
        """Send a region, step by step; when it, or the client, fails the connection is cut."""
        self._region = region
        if self._dup < 0:
            try:
                self._dup = os.dup(self._connection.fileno())
            except OSError as error:
                abort(self._connection, f"dup: {error.strerror}")
                return
            self._memory.held_descriptors += 1
        self._step()

    def _step(self) -> None:
        region = self._region
        if region is None:
            return  # closed meanwhile
        loop = self._connection.loop
        try:
            sent = os.sendfile(self._dup, region.fd, region.offset, min(region.length, FILE_BYTES))
        except BlockingIOError:
            if not self._has_writer:
                self._has_writer = True
                loop.add_writer(self._dup, self._step)
            return
        except (ConnectionError, TimeoutError):
            # The client has gone, which is not the pool's fault: all else follows from the end.
            self._drop_writer()
            self._connection.transport.abort()
            return
        except OSError as error:
            abort(self._connection, f"sendfile: {error.strerror}")
            return
        if sent == 0:
            # Fewer bytes than promised: somebody truncated the file. The client must see it.
            abort(self._connection, "the file became shorter while it was sent")
            return
        region.offset += sent
        region.length -= sent
        if region.length == 0:
            self._drop_writer()
            self._region = None
        elif not self._has_writer:
            loop.call_soon(self._step)
        self._on_sent(region, sent)

    def _drop_writer(self) -> None:
        if self._has_writer:
            self._has_writer = False
            self._connection.loop.remove_writer(self._dup)

    def close(self) -> None:
        """Stop, and give the duplicate back."""
        self._drop_writer()
        self._region = None
        if self._dup >= 0:
            os.close(self._dup)
            self._dup = -1
            self._memory.held_descriptors -= 1
