"""What may have been meant by a name that nobody knows: pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

__all__ = ["WITH_HINTS", "meant"]

# Only so many faults of a list are given a hint: comparing names takes longer than reading a tag.
WITH_HINTS = 20
_LONGEST = 64
_MOST = 1000


def meant(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'maxProcesses'?`, or nothing where no known name is near."""
    if not 1 < len(name) <= _LONGEST:
        return ""
    from difflib import get_close_matches  # only who has made a mistake pays for it

    by_folded = {each.lower(): each for each in islice(known, _MOST)}
    folded = name.lower()
    if by_folded.get(folded) == name:
        return ""  # it is known, but not here
    near = [each for each in by_folded if each.startswith(folded)]
    if len(near) != 1:
        near = get_close_matches(folded, by_folded, n=1, cutoff=0.7)
    return f"; did you mean '{by_folded[near[0]]}'?" if near else ""
