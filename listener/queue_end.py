"""What a broker needs of the roads to those who take its requests: workers, or programs."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from was.ipc.channel import Sent

__all__ = ["FileDoor", "QueueEnd"]


class QueueEnd(Protocol):
    """The listener's end of the roads to those who take a queue's requests."""

    def send(self, identity: bytes, batch: bytes) -> Sent:
        """Send one batch; never blocks."""
        ...

    def pump(self) -> None:
        """Receive what is there."""
        ...

    def has_message(self) -> bool:
        """Whether a message waits now."""
        ...

    def read_disconnects(self) -> None:
        """Take notice of the connections that ended."""
        ...

    def has_disconnected(self, source: int) -> bool:
        """Whether the connection was seen to end."""
        ...

    def forget_disconnect(self, source: int) -> None:
        """The source is a new connection's."""
        ...

    def cut_strangers(self, known: Collection[int], most: int) -> int:
        """End all connections beside the known, if they are more than so many; how many it were."""
        ...

    def close(self) -> None:
        """Nothing more, either way."""
        ...


class FileDoor(Protocol):
    """Where the descriptors come from that messages name."""

    def take(self, pid: int, request_id: int, token: int) -> int:
        """The descriptor of a regular file, -1 when none came; the caller owns it."""
        ...

    def forget(self, pid: int) -> None:
        """The process has gone."""
        ...

    def close(self) -> None:
        """Close what was not taken."""
        ...
