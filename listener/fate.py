"""What becomes of a request whose worker died. Pure: DESIGN, section 5, as code.

A request that has seen a death is a suspect. A worker runs at most one suspect, so when it dies the
suspect is to blame, if there is one; the others that ran become suspects themselves.
`poison_crashes` blamed deaths make a request poison: it is not tried again.
"""

from __future__ import annotations

from enum import Enum

from was.ipc.scoreboard import RequestState, Row
from was.listener.request import ClientRequest, Progress

__all__ = ["Fate", "decide_fate", "has_started", "take_blame"]

MAX_DISPATCHES = 4
# A request that is never begun and yet meets death after death ends somewhere: the scoreboard's
# proof has eight bits for the attempt.
MAX_UNBEGUN_DISPATCHES = 100


class Fate(Enum):
    """What is done with one request."""

    NOBODY_WAITS = "nobody waits"
    AGAIN = "dispatched again"
    BAD_GATEWAY = "502"
    POISONED = "poisoned"
    CUT = "cut"
    RESUMED = "resumed"


def take_blame(suspect: ClientRequest | None, started: list[ClientRequest]) -> None:
    """Lay a death on the worker's suspect if that one ran; who ran beside it is a suspect now."""
    if suspect is not None and suspect in started:
        suspect.blamed += 1
    for request in started:
        request.is_suspect = True


def decide_fate(request: ClientRequest, *, has_started: bool) -> Fate:
    """The table of DESIGN, section 5, for one request of a dead worker."""
    settings = request.pool.settings
    if request.connection is None:
        return Fate.NOBODY_WAITS
    if request.progress is Progress.RESPONDING:
        beyond = request.connection.beyond
        held = beyond.held if beyond is not None else None
        return Fate.CUT if held is None or not held.can_go_on else Fate.RESUMED
    if not has_started:
        # Any method; what a worker pulled of a body it did not begin with is still held.
        if request.is_body_held() and request.attempt < MAX_UNBEGUN_DISPATCHES:
            return Fate.AGAIN
        return Fate.BAD_GATEWAY
    if request.blamed >= settings.poison_crashes:
        return Fate.POISONED
    if (
        request.can_repeat()
        and request.blamed <= settings.max_replays
        and request.attempt < MAX_DISPATCHES
    ):
        return Fate.AGAIN
    return Fate.BAD_GATEWAY


def has_started(request: ClientRequest, rows: list[Row]) -> bool:
    """The proof: the row the request was given says that this attempt of it began."""
    if not 0 <= request.slot < len(rows):
        return True  # no proof against it
    row = rows[request.slot]
    return (
        row.id == request.id
        and row.attempt == request.attempt & 0xFF
        and row.state >= RequestState.STARTED
    )
