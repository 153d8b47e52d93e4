"""How long a program may take for its request: pure, time is an argument.

How long the client takes to send its body, or to read the answer, is not the program's time: it is
waited for without an end here, and bounded by the listener, as where an application waits for it.
"""

from __future__ import annotations

from math import inf

__all__ = ["Patience"]


class Patience:
    """The limits of one request from when its program begins, in seconds."""

    def __init__(
        self, now: float, whole_s: float, first_byte_s: float, quiet_s: float = inf
    ) -> None:
        self.whole_until = now + whole_s
        self._first_byte_until = now + min(whole_s, first_byte_s)
        self._quiet_s = quiet_s
        self._quiet_until = now + quiet_s

    def moved(self, now: float) -> None:
        """The program has taken or said something."""
        self._quiet_until = now + self._quiet_s

    def excuse(self, seconds: float) -> None:
        """For so long the client has made it wait."""
        self.whole_until += seconds
        self._first_byte_until += seconds
        self._quiet_until += seconds

    def ends_at(self, *, has_answered: bool) -> float:
        """When it ends unless something happens; `has_answered`: the client has got some of it."""
        return min(self.whole_until if has_answered else self._first_byte_until, self._quiet_until)
