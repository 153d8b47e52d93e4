"""What a worker has posted, as batches that the listener takes. Pure but for a line in the log."""

from __future__ import annotations

from was.ipc import codec
from was.ipc.channel import BATCH_BYTES
from was.ipc.messages import (
    CHUNK_BYTES,
    AbortResponse,
    EarlyHints,
    GivenBack,
    HoldSocket,
    Parked,
    Response,
    ResponseChunk,
    ToListener,
    ToListenerItem,
)
from was.log import log

__all__ = ["encode_batches"]

# So many items fit into a batch whatever they are: each has at most CHUNK_BYTES of body, and a
# block of fields (`fields.bounded`) and a log line that together are less than that.
FEW_ITEMS = BATCH_BYTES // (2 * CHUNK_BYTES)


def encode_batches(epoch: int, items: list[ToListenerItem]) -> list[bytes]:
    """The items in their order, in one batch or as many as they take."""
    if len(items) > FEW_ITEMS and sum(map(_weight, items)) > BATCH_BYTES:
        return [batch for part in _split(items) for batch in encode_batches(epoch, part)]
    try:
        return [codec.encode(ToListener(epoch, items))]
    except codec.UNSENDABLE as error:
        return [codec.encode(ToListener(epoch, _cleaned(items, error)))]


def _cleaned(items: list[ToListenerItem], error: BaseException) -> list[ToListenerItem]:
    """Whatever foreign code has put into one of them, all are sent: its worker is not to die."""
    sendable: list[ToListenerItem] = []
    for item in items:
        try:
            codec.encode(item)
        except codec.UNSENDABLE:
            number = f"{getattr(item, 'id', 0):x}"
            log("module_failed", error=f"no message can hold this: {error}", request=number)
            sendable.append(codec.cleaned(item))
        else:
            sendable.append(item)
    return sendable


def _weight(item: ToListenerItem) -> int:
    match item:
        case Response():
            return len(item.body) + len(item.block) + len(item.log) + 64
        case ResponseChunk():
            return len(item.data) + len(item.trailers) + len(item.log) + 64
        case AbortResponse():
            return len(item.log) + 64
        case EarlyHints():
            return len(item.block) + 64
        case HoldSocket():
            return len(item.state) + len(item.extensions) + 64
        case GivenBack() | Parked():
            return 32 * len(item.requests) + 64
        case _:
            return 64


def _split(items: list[ToListenerItem]) -> list[list[ToListenerItem]]:
    parts: list[list[ToListenerItem]] = [[]]
    size = 0
    for item in items:
        weight = _weight(item)
        if parts[-1] and size + weight > BATCH_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(item)
        size += weight
    return parts
