"""Which programs' connections have added a URL to their queue. Pure.

Several processes may add the same URL to a queue that they share, so that a script can be started
twice. It stays until the last of them has given it back. One that has died has not: the URL is the
queue's, and any process that has the queue open may give it back when none is left.
"""

from __future__ import annotations

from collections.abc import Container

from was.config.urls import UrlPrefix

__all__ = ["UrlAdders"]


class UrlAdders:
    """By their numbers, which are never used again."""

    def __init__(self) -> None:
        self._of: dict[UrlPrefix, set[int]] = {}

    def add(self, prefix: UrlPrefix, number: int) -> None:
        """The connection has added the URL."""
        self._of.setdefault(prefix, set()).add(number)

    def may_give_back(self, prefix: UrlPrefix, number: int, alive: Container[int]) -> bool:
        """Whether the connection has added it, or none of those that have is there any more."""
        adders = {known for known in self._of.get(prefix, ()) if known in alive}
        return not adders or number in adders

    def give_back(self, prefix: UrlPrefix, number: int, alive: Container[int]) -> bool:
        """The connection wants it no more; True when nobody does."""
        left = {n for n in self._of.get(prefix, ()) if n in alive and n != number}
        if left:
            self._of[prefix] = left
        else:
            self.forget(prefix)
        return not left

    def forget(self, prefix: UrlPrefix) -> None:
        """The URL has gone with its queue."""
        self._of.pop(prefix, None)
