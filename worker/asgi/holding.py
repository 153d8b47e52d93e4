"""Holding: a WebSocket that goes on in another worker when this one ends (decision 0049).

The application opts in by storing a state before it accepts. The listener keeps the client's
socket, that state, and each message until the application has taken it: `took` says so in the
scoreboard, where a death does not wipe it out, before the application has the message.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from was.ipc.messages import HELD_STATE_BYTES, HandOver, HoldSocket, MessagesTaken
from was.ipc.scoreboard import TAKEN_WORD
from was.worker.websocket.deflate import agreed_extensions, choose_extensions

if TYPE_CHECKING:
    from wsproto.extensions import Extension

    from was.ipc.messages import Resumed
    from was.worker.exchange import Exchange

__all__ = ["EXTENSION", "Holding"]

# Its name in scope["extensions"].
EXTENSION: Final = "was.websocket.hold"
# The listener is told of so many taken messages at once, or when the application waits.
TELL_COUNT: Final = 64


class Holding:
    """What one WebSocket needs for that."""

    def __init__(self, exchange: Exchange, limit_bytes: int, resumed: Resumed | None) -> None:
        self._exchange = exchange
        # As it crosses the wire: heads of frames, and what cannot be folded, make it longer.
        self._limit_bytes = limit_bytes + limit_bytes // 64 + 1024
        self._resumed = resumed
        self._state = b"" if resumed is None else resumed.state
        self._extensions = ""
        self._lock = threading.Lock()  # `store` may be called in any thread
        self._has_begun = False
        self._is_over = False
        self._taken = 0
        self._told = 0
        self.is_wanted = resumed is not None  # by the application
        self.is_resumed = resumed is not None
        self.is_leaving = False  # this worker is being replaced
        self.is_interrupted = False  # the application failed as it was to let go

    def scope_extension(self) -> dict[str, Any]:
        """scope["extensions"][EXTENSION]."""
        resumed = self._resumed
        return {
            "state": None if resumed is None else resumed.state,
            "interrupted": resumed is not None and resumed.is_interrupted,
            "store": self.store,
        }

    def store(self, state: bytes) -> None:
        """Keep this for who goes on with the WebSocket, in place of what was kept.

        Raises TypeError for what is not bytes, ValueError for more than 64 KiB, RuntimeError where
        the WebSocket was accepted without a state.
        """
        if not isinstance(state, bytes | bytearray):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a state is bytes, not {type(state).__name__}")
        if len(state) > HELD_STATE_BYTES:
            raise ValueError(f"a state of {len(state)} bytes: {HELD_STATE_BYTES} are the most")
        with self._lock:
            if self._has_begun and not self.is_wanted:
                raise RuntimeError("to be held, a WebSocket needs a state before it is accepted")
            self._state = bytes(state)
            self.is_wanted = True
            if self._has_begun and not self._is_over:
                self._tell_state()

    def _tell_state(self) -> None:
        request = self._exchange.request
        self._exchange.tell_of_socket(
            HoldSocket(
                request.id, request.attempt, self._state, self._extensions, self._limit_bytes
            )
        )

    def begin(self, offers: list[str]) -> tuple[list[Extension], str]:
        """It is about to be accepted: the extensions, and the field that names them."""
        with self._lock:
            self._has_begun = True
            if not self.is_wanted:
                return choose_extensions(offers)
            if self._resumed is not None:
                self._extensions = self._resumed.extensions
                chosen = agreed_extensions(self._extensions)
            else:
                chosen, self._extensions = choose_extensions(offers, keeps_context=False)
            exchange = self._exchange
            exchange.words[exchange.row + TAKEN_WORD] = 0
            self._tell_state()
            return chosen, self._extensions

    def took(self) -> None:
        """The application is about to have a message: nobody else is to be given it."""
        self._taken += 1
        exchange = self._exchange
        exchange.words[exchange.row + TAKEN_WORD] = self._taken
        if self._taken - self._told >= TELL_COUNT:
            self.tell_taken()

    def tell_taken(self) -> None:
        """Let the listener forget what was taken."""
        count = self._taken - self._told
        if count and not self._is_over:
            self._told = self._taken
            request = self._exchange.request
            self._exchange.tell_of_socket(MessagesTaken(request.id, request.attempt, count))

    def hand_over(self) -> None:
        """The END that is posted next is not the WebSocket's."""
        self.tell_taken()
        self.close()
        request = self._exchange.request
        self._exchange.tell_of_socket(HandOver(request.id, request.attempt, self.is_interrupted))

    def close(self) -> None:
        """The request is over here."""
        with self._lock:
            self._is_over = True
