"""Recycling: which workers of a pool are to be replaced, and who waits for that. Pure.

A worker is replaced because somebody orders it, because it asks for it itself, or because a look at
it shows that it is due (see wear.py). The same look shows who is idle: that one goes, or sleeps.
"""

from __future__ import annotations

from collections.abc import Callable

from was.config.model import IdleTimeoutAction, RecycleReason
from was.manager.actions import Action, Note, RecycleSettled, Report, Suspend
from was.manager.health import PingWatch
from was.manager.places import Places
from was.manager.record import Worker
from was.manager.rotations import Rotations
from was.manager.schedule import ScheduleWatch
from was.manager.states import DISPATCHING, PLACED, WorkerEvent, WorkerState, after
from was.manager.wear import EVENT_OF_REASON, WorkerSample

__all__ = ["PoolRecycling"]

STOPPING_ERROR = "the server is stopping"


class PoolRecycling:
    """The recyclings of one pool. As in ApplicationPool, methods return the actions that follow."""

    def __init__(self, places: Places, scaled: Callable[[float], float]) -> None:
        self._places = places
        self._workers = places.workers
        self._scaled = scaled
        self._is_winding_down = False
        self._rotations = Rotations()
        self._schedule = ScheduleWatch()

    # ── what is ordered ─────────────────────────────────────────────────────────────────────────

    def recycle(
        self,
        reason: RecycleReason,
        now: float,
        token: int = 0,
        only: int | None = None,
        detail: str = "",
    ) -> list[Action]:
        """Replace all workers, or one. RecycleSettled(token) follows, at once if there is none."""
        if self._is_winding_down:
            return [RecycleSettled(token, STOPPING_ERROR)] if token else []
        targets = [w for w in self._workers.values() if w.state in PLACED and only in (None, w.id)]
        if not targets:
            return [RecycleSettled(token, "")] if token else []
        self._places.generation += 1
        if token:
            self._rotations.begin(token, (w.id for w in targets))
        actions: list[Action] = []
        if reason in self._places.settings.recycling.log_event_on_recycle:
            about: dict[str, object] = {"detail": detail} if detail else {}
            actions.append(Report(EVENT_OF_REASON[reason], only or 0, about))
        actions.append(Note("recycle_started", fields={"reason": reason.value}))
        for worker in targets:
            worker.stale = reason.value
            actions += self._places.wake(worker, now)
        return [*actions, *self._places.fill(now)]

    def worker_asks(
        self, worker_id: int, reason: RecycleReason, now: float, detail: str
    ) -> list[Action]:
        """A worker asks to be replaced; to ask again changes nothing."""
        worker = self._workers.get(worker_id)
        if worker is None or worker.stale or now < worker.wear.not_before:
            return []
        if (
            reason is RecycleReason.CONFIG_CHANGE
            and self._places.settings.recycling.disallow_rotation_on_config_change
        ):
            return []
        return self.recycle(reason, now, only=worker_id, detail=detail)

    def wind_down(self) -> list[Action]:
        """The server is about to end: workers that die are replaced while requests wait, worn ones
        are not."""
        self._is_winding_down = True
        for worker in self._workers.values():
            worker.stale = ""
        return self.give_up_all(STOPPING_ERROR)

    # ── what a look at them shows ───────────────────────────────────────────────────────────────

    def sample(self, worker_id: int, sample: WorkerSample, now: float) -> list[Action]:
        """A look at a worker: is it idle, is it due for replacement?"""
        worker = self._workers.get(worker_id)
        if worker is None or worker.state not in DISPATCHING:
            return []
        if sample.finished > 0:
            self._places.proved(worker)
        if sample.active or sample.finished != worker.finished:
            worker.idle_since = now
        worker.finished = sample.finished
        idle_s = self._scaled(self._places.settings.process_model.idle_timeout_s)
        is_idle = 0 < idle_s / self._places.machine.idle_divisor <= now - worker.idle_since
        if is_idle and not worker.stale:
            return self._idled(worker, now, is_early=now - worker.idle_since < idle_s)
        reason = worker.wear.due(
            sample, self._places.settings.recycling.periodic_restart, self._scaled
        )
        if reason is None or now < worker.wear.not_before or self._places.is_replacing():
            return []
        return self.recycle(reason, now, only=worker_id)

    def _idled(self, worker: Worker, now: float, *, is_early: bool) -> list[Action]:
        model = self._places.settings.process_model
        if model.idle_timeout_action is IdleTimeoutAction.SUSPEND:
            worker.state = after(worker.state, WorkerEvent.SUSPEND)
            # Nobody waits for the answer of one that is stopped.
            interval_s = self._scaled(model.ping_interval_s)
            worker.ping = PingWatch(now + interval_s, worker.ping.nonce)
            return [Suspend(worker.id)]
        self._places.give_up()
        is_logged = "IdleTimeout" in model.log_event_on_process_model
        reports = [Report(5195 if is_early else 5186, worker.id)] if is_logged else []
        return [*reports, *self._places.drain(worker, now), *self._places.fill(now)]

    def look_at_clock(self, wall: float) -> None:
        """Has a scheduled time come? The workers that run are then due at their next sample."""
        if self._schedule.has_come(self._places.settings.recycling.periodic_restart.schedule, wall):
            for worker in self._workers.values():
                if worker.state in DISPATCHING or worker.state is WorkerState.SUSPENDED:
                    worker.wear.is_scheduled = True

    # ── what becomes of it ──────────────────────────────────────────────────────────────────────

    def gone(self, worker_id: int) -> list[Action]:
        """A worker has ended, maybe one that was to be replaced."""
        actions: list[Action] = []
        for token in self._rotations.gone(worker_id):
            actions += [RecycleSettled(token, ""), Note("recycle_completed")]
        return actions

    def give_up(self, old: Worker, now: float) -> list[Action]:
        """The successor did not become ready: the old worker stays."""
        old.stale = ""
        # So that a worker that works is not lost to rapid-fail protection over its replacement.
        interval_s = self._scaled(self._places.settings.failure.rapid_fail_protection_interval_s)
        old.wear.not_before = now + interval_s
        error = "the new worker did not become ready"
        actions: list[Action] = [Report(5093, old.id), Note("recycle_failed", old.id)]
        actions += [RecycleSettled(token, error) for token in self._rotations.given_up(old.id)]
        return actions

    def give_up_all(self, error: str) -> list[Action]:
        """No worker is replaced any more."""
        return [RecycleSettled(token, error) for token in self._rotations.all_given_up()]
