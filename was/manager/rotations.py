"""Recyclings that somebody waits for: which old workers each of them is still to see go."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Rotations"]


class Rotations:
    """Tokens and the workers they wait for. A token is given out once, by one of the methods."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[int]] = {}

    def begin(self, token: int, workers: Iterable[int]) -> None:
        """Wait for the end of all these workers."""
        self._waiting[token] = set(workers)

    def gone(self, worker_id: int) -> list[int]:
        """A worker has ended; the tokens that waited for nobody else."""
        for workers in self._waiting.values():
            workers.discard(worker_id)
        return self._take([token for token, workers in self._waiting.items() if not workers])

    def given_up(self, worker_id: int) -> list[int]:
        """A worker stays after all; the tokens that waited for it."""
        return self._take([token for token, ids in self._waiting.items() if worker_id in ids])

    def all_given_up(self) -> list[int]:
        """No worker is replaced any more."""
        return self._take(list(self._waiting))

    def _take(self, tokens: list[int]) -> list[int]:
        for token in tokens:
            del self._waiting[token]
        return tokens
