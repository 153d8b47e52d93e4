"""What was worked out once is kept by what was asked: dictionaries that have a bound."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["keep"]

K = TypeVar("K")
V = TypeVar("V")


def keep(known: dict[K, V], key: K, value: V, most: int) -> V:
    """The value, which is known from now on; at most so many are.

    A dictionary that is full begins anew: that costs less than to know which is the oldest. It is
    a plain one, as it is looked up for every request, and many threads may do both.
    """
    if len(known) >= most:
        known.clear()
    known[key] = value
    return value
