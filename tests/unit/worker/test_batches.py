"""What a worker has posted leaves in messages that ZeroMQ takes; longer ones cut it off."""

import pytest

from was.ipc import codec
from was.ipc.channel import MAX_MESSAGE_BYTES
from was.ipc.messages import (
    CHUNK_BYTES,
    HELD_STATE_BYTES,
    AbortResponse,
    EarlyHints,
    GivenBack,
    HoldSocket,
    Parked,
    Response,
    ResponseChunk,
)
from was.worker.batches import encode_batches

LONG = 60_000
MANY = [(1 << 62, 1)] * 20_000
KINDS = {
    "response": lambda: Response(1, 1, 200, "OK", b"b" * LONG, -1, b"x" * CHUNK_BYTES, True),
    "its log": lambda: Response(1, 1, 200, "OK", b"", 0, b"", False, "l" * LONG),
    "chunk": lambda: ResponseChunk(1, 1, b"x" * CHUNK_BYTES, True),
    "trailers": lambda: ResponseChunk(1, 1, b"", False, trailers=b"t" * LONG),
    "abort": lambda: AbortResponse(1, 1, "l" * LONG),
    "hints": lambda: EarlyHints(1, 1, b"h" * LONG),
    "state": lambda: HoldSocket(1, 1, b"s" * HELD_STATE_BYTES, "permessage-deflate", 1 << 20),
    "given back": lambda: GivenBack(MANY),
    "parked": lambda: Parked(MANY),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_no_batch_is_longer_than_the_listener_takes(make):
    """However much was posted between two flushes, of whatever kind; nothing is lost or moved."""
    items = [make() for _ in range(200)]
    batches = encode_batches(7, items)
    assert max(map(len, batches)) <= MAX_MESSAGE_BYTES
    received = [codec.decode_to_listener(batch) for batch in batches]
    assert {batch.epoch for batch in received} == {7}
    assert [item for batch in received for item in batch.items] == items
