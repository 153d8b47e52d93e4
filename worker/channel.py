"""Channel: the worker's road to one listener process, and the one beside it for descriptors."""

from __future__ import annotations

import os
import stat
import struct
import threading
from collections import deque
from typing import TYPE_CHECKING

from was.ipc.channel import Context, DealerChannel
from was.ipc.descriptors import ControlSocket

if TYPE_CHECKING:
    from was.ipc.messages import ToListenerItem
    from was.ipc.worker_control import QueueEndpoint

__all__ = ["Channel"]

# A Unix datagram of (request id, token), with the descriptor beside it.
DESCRIPTOR_NOTE = struct.Struct("=QQ")


class Channel:
    """The road to one listener process."""

    def __init__(self, context: Context, endpoint: QueueEndpoint, identity: bytes) -> None:
        self.epoch = endpoint.epoch
        self.dealer = DealerChannel(context, endpoint.queue, identity)
        self.outbox: deque[ToListenerItem] = deque()
        self.unsent: deque[bytes] = deque()
        self.is_acknowledged = False
        self._descriptors_path = endpoint.descriptors
        self._side: ControlSocket | None = None
        self._side_lock = threading.Lock()

    def pass_descriptor(self, request_id: int, token: int, fd: int) -> bool:
        """Send a duplicate of `fd` on the side socket; False when that cannot be done."""
        with self._side_lock:
            try:
                if self._side is None:
                    self._side = ControlSocket.connect(self._descriptors_path, timeout_s=1.0)
                    self._side.sock.settimeout(1.0)
                # The listener takes files only; the number of one that a module has closed may be
                # another descriptor's by now, that of the side socket itself for one.
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return False
                self._side.send(DESCRIPTOR_NOTE.pack(request_id, token), [fd])
            except OSError:
                if self._side is not None:
                    self._side.close()
                    self._side = None
                return False
            return True

    def is_there(self) -> bool:
        """Whether a listener is at the other end: for who has no manager to ask."""
        try:
            ControlSocket.connect(self._descriptors_path, timeout_s=0.2).close()
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            pass  # it does not accept just now
        return True

    def close(self, *, linger: bool) -> None:
        """Close both roads."""
        self.dealer.close(linger=linger)
        with self._side_lock:
            if self._side is not None:
                self._side.close()
                self._side = None
