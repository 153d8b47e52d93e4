"""The phases of a client's connection: what its next bytes are, and who is waited for.

    HEAD      a request is awaited
    NEXT      one has come behind another and waits for its turn of the loop, or for the client to
              read what it was answered
    BODY      its body arrives (arriving_body.py)
    BUSY      a worker has it, or it waits for one; what the client sends meanwhile is read ahead
    DRAIN     it was answered before its body's end, and the rest is thrown away
    LINGER    our half is closed; what comes is discarded, so that no reset destroys the last answer
    CLOSED
    UPGRADED  after a 101 the bytes are no HTTP any more (beyond_http.py)

A connection has at most one request; pipelined ones wait in its buffer.
"""

from __future__ import annotations

from typing import Final

__all__ = ["BODY", "BUSY", "CLOSED", "DRAIN", "DRAIN_BYTES", "HEAD", "LINGER", "NEXT", "UPGRADED"]

# No Enum: a phase is asked for with every segment of every client.
HEAD: Final = 0
BODY: Final = 1
BUSY: Final = 2
DRAIN: Final = 3
LINGER: Final = 4
CLOSED: Final = 5
UPGRADED: Final = 6
NEXT: Final = 7

# So much of a body that nobody wants is read, so that the connection can be kept.
DRAIN_BYTES: Final = 64 * 1024
