"""Which process answers the next request, and which must end: pure, time is an argument.

    take ──▶ Use an instance ──▶ give_back ──▶ it stays, or is to be ended
         ├─▶ Start one, and use it
         ├─▶ Wait: queue a turn, which `serve` gives one when something was given back
         └─▶ Full (queueLength), Offline (rapidFailsPerMinute)

An instance takes one request at a time, or as many as `capacity` says where its process can
multiplex. Of several idle ones the last used is taken, so that the others reach idleTimeout.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from was.worker.fastcgi.settings import FastCgiApplication

__all__ = ["Instance", "ProcessPool", "Turn", "Verdict"]

MINUTE_S = 60.0


class Verdict(Enum):
    """Why `take` gave no instance."""

    WAIT = "wait"
    FULL = "full"
    OFFLINE = "offline"


@dataclass(slots=True, eq=False)
class Instance:
    """One process, or one connection to somebody else's."""

    number: int
    generation: int
    busy: int = 1
    served: int = 0  # requests begun
    idle_since: float = 0.0
    is_new: bool = True
    is_ending: bool = False


class Turn:
    """The place of a request in the queue for an instance, until the monotonic time `until`."""

    __slots__ = ("instance", "until", "verdict")

    def __init__(self, until: float) -> None:
        self.until = until
        self.instance: Instance | None = None
        self.verdict: Verdict | None = None  # why it gets none

    def ring(self) -> None:
        """It has come, with either of the two. Called without a lock, in any thread."""
        raise NotImplementedError


@dataclass(slots=True)
class ProcessPool:
    """The instances of one `fastCgi/application`."""

    settings: FastCgiApplication
    most: int
    capacity: int = 1  # requests that one instance takes at once
    generation: int = 0
    instances: dict[int, Instance] = field(default_factory=dict[int, Instance])
    _idle: list[Instance] = field(default_factory=list[Instance])  # the last used at the end
    _queue: deque[Turn] = field(default_factory=deque[Turn])
    _failures: deque[float] = field(default_factory=deque[float])
    _numbers: int = 0

    def take(self, now: float) -> Instance | Verdict:
        """An instance for a request (`is_new`: to be started first), or why there is none."""
        found = self._take(now)
        if found is Verdict.WAIT and len(self._queue) >= self.settings.queue_length:
            return Verdict.FULL
        return found

    def queue(self, turn: Turn) -> None:
        """After Verdict.WAIT: be served when there is an instance, in order."""
        self._queue.append(turn)

    def leave(self, turn: Turn) -> bool:
        """Wait no more; False: its turn has come already."""
        if turn not in self._queue:
            return False
        self._queue.remove(turn)
        return True

    def serve(self, now: float) -> list[Turn]:
        """Those whose turn has come now that something has changed; they are to be rung."""
        served: list[Turn] = []
        while self._queue:
            found = self._take(now)
            if found is Verdict.WAIT:
                break
            turn = self._queue.popleft()
            if isinstance(found, Instance):
                turn.instance = found
            else:
                turn.verdict = found
            served.append(turn)
        return served

    def overdue(self, now: float) -> list[Turn]:
        """Those who have waited long enough; they are to be rung."""
        found: list[Turn] = []
        while self._queue and self._queue[0].until <= now:
            turn = self._queue.popleft()
            turn.verdict = Verdict.WAIT
            found.append(turn)
        return found

    def _take(self, now: float) -> Instance | Verdict:
        if self._failures and self._is_offline(now):
            return Verdict.OFFLINE
        idle = self._idle
        while idle:
            chosen = idle.pop()
            if chosen.busy == 0 and self._is_free(chosen):
                chosen.busy = 1
                chosen.served += 1
                return chosen
        if self.capacity > 1:
            free = [i for i in self.instances.values() if self._is_free(i)]
            if free:
                chosen = min(free, key=lambda i: i.busy)
                chosen.busy += 1
                chosen.served += 1
                return chosen
        return self._add() if len(self.instances) < self.most else Verdict.WAIT

    def _add(self) -> Instance:
        self._numbers += 1
        added = Instance(self._numbers, self.generation, served=1)
        self.instances[added.number] = added
        return added

    def _is_free(self, instance: Instance) -> bool:
        return (
            not (instance.is_new or instance.is_ending)
            and instance.busy < self.capacity
            and instance.generation == self.generation
            and instance.served < self.settings.instance_max_requests
        )

    def started(self, instance: Instance) -> None:
        """A new instance runs: others may use it as well."""
        instance.is_new = False

    def give_back(self, instance: Instance, now: float) -> bool:
        """A request has left it; True: it has done its part, and is to be ended."""
        instance.busy -= 1
        instance.idle_since = now
        if instance.busy:
            return False
        if not self._may_go_on(instance):
            instance.is_ending = True
        elif not instance.is_ending:
            self._idle.append(instance)
        return instance.is_ending

    def _may_go_on(self, instance: Instance) -> bool:
        return (
            instance.generation == self.generation
            and instance.served < self.settings.instance_max_requests
        )

    def remove(self, instance: Instance, now: float, *, is_failure: bool) -> None:
        """Its process is no more, or will not be when this is done."""
        instance.is_ending = True
        if instance in self._idle:
            self._idle.remove(instance)
        if self.instances.pop(instance.number, None) is not None and is_failure:
            self._failures.append(now)

    def replace(self, instance: Instance, now: float, *, is_failure: bool) -> Instance | None:
        """Its process was gone when a request came: another for that one, whose turn it was.

        None: others were on it too, or too many have failed.
        """
        self.give_back(instance, now)
        self.remove(instance, now, is_failure=is_failure)
        is_full = len(self.instances) >= self.most
        return None if instance.busy or is_full or self._is_offline(now) else self._add()

    def renew(self) -> list[Instance]:
        """All are to be replaced: those that may be ended now. The others end when given back."""
        self.generation += 1
        return _end([i for i in self.instances.values() if i.busy == 0])

    def idle(self, now: float) -> list[Instance]:
        """Those that have been idle for idleTimeout."""
        limit = now - self.settings.idle_timeout
        instances = self.instances.values()
        return _end([i for i in instances if i.busy == 0 and i.idle_since <= limit])

    def next_idle(self) -> float | None:
        """When `idle` may have something; None: not as things are."""
        times = [i.idle_since for i in self.instances.values() if i.busy == 0]
        return min(times) + self.settings.idle_timeout if times else None

    def _is_offline(self, now: float) -> bool:
        failures = self._failures
        while failures and failures[0] <= now - MINUTE_S:
            failures.popleft()
        most = self.settings.rapid_fails_per_minute
        return bool(most) and len(failures) > most


def _end(instances: list[Instance]) -> list[Instance]:
    for instance in instances:
        instance.is_ending = True
    return instances
