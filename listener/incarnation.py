"""Incarnation: one life of one worker as the listener sees it. State, and no decisions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from was.ipc.scoreboard import ScoreboardReader

if TYPE_CHECKING:
    from was.ipc.messages import ToWorkerItem
    from was.listener.request import ClientRequest

__all__ = ["Incarnation"]


class Incarnation:
    """One life of one worker, as the listener sees it."""

    __slots__ = (
        "active_requests",
        "ended_slots",
        "finished",
        "free_slots",
        "has_left",
        "identity",
        "is_activated",
        "is_attached",
        "is_blocked",
        "is_dead",
        "is_draining",
        "is_faulty",
        "is_retrying",
        "is_stop_sent",
        "is_suspended",
        "left_alone_at",
        "lost_at",
        "out",
        "out_bytes",
        "outstanding",
        "pid",
        "pidfd",
        "remind_at",
        "reserve",
        "scoreboard",
        "slots",
        "source",
        "suspect",
        "unsent",
        "worker_id",
    )

    def __init__(
        self,
        worker_id: int,
        pid: int,
        identity: bytes,
        slots: int,
        pidfd: int,
        scoreboard_fd: int,
        first_row: int = 0,
        reserve: int = 0,
    ) -> None:
        self.worker_id = worker_id
        self.pid = pid
        self.identity = identity
        self.slots = slots
        self.pidfd = pidfd
        self.scoreboard = ScoreboardReader(scoreboard_fd)
        # A stack: the row used last is in the worker's caches.
        rows = self.scoreboard.rows
        last_row = min(first_row + slots, rows) - 1
        self.free_slots = list(range(last_row, first_row - 1, -1))
        # Where the row of a request goes that has ended: to the free ones, unless credit is given
        # otherwise (to programs, by their receives).
        self.ended_slots = self.free_slots
        # Rows that are credit only while as many requests go on without a thread.
        first_row += slots
        self.reserve = list(range(first_row, min(first_row + reserve, rows)))
        self.outstanding: dict[int, ClientRequest] = {}
        self.out: list[ToWorkerItem] = []
        self.out_bytes = 0
        self.unsent: list[bytes] = []
        self.suspect: ClientRequest | None = None
        self.source = -1
        self.finished = 0
        self.is_attached = False
        self.is_activated = False
        self.is_draining = False
        self.is_suspended = False  # it has nothing to do, and is asleep
        self.is_stop_sent = False
        self.is_blocked = False
        self.is_retrying = False
        self.is_dead = False
        self.is_faulty = False
        self.has_left = False
        self.lost_at = 0.0
        self.left_alone_at = 0.0  # since when it is to go and has nothing that anybody waits for
        self.remind_at = 0.0  # when to tell the manager again of a request past its limit

    @property
    def is_left_alone(self) -> bool:
        """Whether it has requests, all past their limits: nobody waits for what they answer."""
        requests = self.outstanding.values()
        return bool(requests) and all(r.is_overdue and r.connection is None for r in requests)

    def release(self, request: ClientRequest) -> None:
        """It has the request no more, and the row may be another's."""
        del self.outstanding[request.id]
        if request.is_parked:
            request.is_parked = False
            self.reserve.append(request.slot)
        else:
            self.ended_slots.append(request.slot)
        if self.suspect is request:
            self.suspect = None

    def close(self) -> None:
        """Give the descriptors back."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
            self.scoreboard.close()
