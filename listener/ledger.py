"""DeathLedger: which URL, asked for by which client, has met deaths of workers. Pure.

A request that comes for the first time has seen no death, yet the one before it may have been
answered 502 because it killed its worker. So deaths are kept under a key: site, method, path
without query, and the client's address. While a key has more deaths than answers in the window

- a request with it is a suspect from the start, so that a further death is laid to it and not to
  those that run beside it: after the second death, or the first if it was one of FEW that ran;
- with `poison_crashes` deaths laid to it the key is quarantined: 502 without dispatch.

A key whose requests are answered is soon neither, whatever deaths it was near.

The window slides in STEPS steps. At most MAX_KEYS keys are kept; those that met a death longest
ago go first. Of keys that have met no death nothing is kept: an empty ledger costs nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import TypeAlias

__all__ = ["DeathLedger", "Key", "Standing", "key_of"]

STEPS = 6
MAX_KEYS = 1024
# Among so few one is likely to be the culprit. A worker full of slow requests that was killed from
# outside must not make all that follow them wait for each other.
FEW = 4

Key: TypeAlias = int


class Standing(Enum):
    """What a key's past says of its next request."""

    CLEAR = "clear"
    SUSPECT = "suspect"
    QUARANTINED = "quarantined"


def key_of(site_id: int, method: str, path: str, client: str) -> Key:
    """A key: as small for a long path as for a short one, and not to be guessed from outside."""
    return hash((site_id, method, path, client))


class _Step:
    """What happened to a key within one step of the window."""

    __slots__ = ("answers", "blamed", "deaths", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.deaths = 0
        self.blamed = 0
        self.answers = 0


class _Past:
    """What happened to a key within the window; a step without anything has no entry."""

    __slots__ = ("is_likely", "is_told", "steps")

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self.is_likely = False
        self.is_told = False

    def step(self, number: int) -> _Step:
        if not self.steps or self.steps[-1].number != number:
            self.slide(number)
            self.steps.append(_Step(number))
        return self.steps[-1]

    def slide(self, number: int) -> None:
        while self.steps and self.steps[0].number <= number - STEPS:
            del self.steps[0]

    @property
    def deaths(self) -> int:
        return sum(step.deaths for step in self.steps)

    @property
    def blamed(self) -> int:
        return sum(step.blamed for step in self.steps)

    @property
    def answers(self) -> int:
        return sum(step.answers for step in self.steps)


class DeathLedger:
    """The keys of one pool that have met deaths within the last `window_s` seconds."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        # By the time of the last death, oldest first.
        self.keys: OrderedDict[Key, _Past] = OrderedDict()

    def death(self, key: Key, now: float, *, is_blamed: bool, running: int) -> None:
        """A worker died while `running` requests ran, this key's among them, to blame or not."""
        past = self.keys.get(key)
        if past is None:
            past = self.keys[key] = _Past()
        step = past.step(self._number(now))
        step.deaths += 1
        step.blamed += is_blamed
        past.is_likely = past.is_likely or running <= FEW
        self.keys.move_to_end(key)
        if len(self.keys) > MAX_KEYS:
            self.keys.popitem(last=False)

    def answer(self, key: Key, now: float) -> None:
        """A request of the key was ended by a worker that lives."""
        past = self.keys.get(key)
        if past is not None:
            past.step(self._number(now)).answers += 1

    def standing(self, key: Key, now: float, poison_crashes: int) -> Standing:
        """What the key's past says of its next request."""
        past = self.keys.get(key)
        if past is None:
            return Standing.CLEAR
        past.slide(self._number(now))
        deaths = past.deaths
        if deaths <= past.answers:
            past.is_likely = past.is_told = False
            return Standing.CLEAR
        if past.blamed >= poison_crashes:
            return Standing.QUARANTINED
        return Standing.SUSPECT if deaths > 1 or past.is_likely else Standing.CLEAR

    def tell_once(self, key: Key) -> bool:
        """Whether nobody has been told yet that the key is quarantined."""
        past = self.keys.get(key)
        if past is None or past.is_told:
            return False
        past.is_told = True
        return True

    def forget_old(self, now: float) -> None:
        """Let go of keys whose last death has left the window."""
        number = self._number(now)
        while self.keys:
            key, past = next(iter(self.keys.items()))
            past.slide(number)
            if past.deaths:
                return
            del self.keys[key]

    def _number(self, now: float) -> int:
        return int(now * STEPS / self.window_s)
