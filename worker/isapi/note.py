"""The note that a worker leaves of the library it is about to call, in the request's own row.

Words 3 to 7 of a scoreboard row are free: 40 bytes of text, "entry point path", of which the end of
the path is kept. What kills the worker from within a library is named by it afterwards.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from was.ipc.scoreboard import NOTE_BYTES, NOTE_WORD

if TYPE_CHECKING:
    from was.worker.request_exchange import RequestExchange

__all__ = ["CallNote", "take_away"]


class CallNote:
    """What is written before each call of one entry point of one library."""

    __slots__ = ("_words",)

    def __init__(self, entry_point: str, path: str) -> None:
        raw = f"{entry_point} ".encode()
        name = os.fsencode(path)
        room = NOTE_BYTES - len(raw)
        if len(name) > room:
            name = name[-room:]
        self._words = struct.unpack(f"={NOTE_BYTES // 8}Q", (raw + name).ljust(NOTE_BYTES, b"\0"))

    def leave(self, exchange: RequestExchange) -> None:
        """From here on the library is what runs for the request."""
        words, at = exchange.words, exchange.row + NOTE_WORD
        for index, word in enumerate(self._words):
            words[at + index] = word


def take_away(exchange: RequestExchange) -> None:
    """The request has nothing to do with a library any more."""
    exchange.words[exchange.row + NOTE_WORD] = 0
