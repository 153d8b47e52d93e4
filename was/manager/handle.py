"""WorkerHandle: a worker process as the manager holds it; the policy's half is record.Worker."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from was.ipc.scoreboard import ScoreboardReader
from was.manager.control import Peer
from was.manager.process import Exit

__all__ = ["WorkerHandle"]


@dataclass(eq=False, slots=True)
class WorkerHandle:
    """Descriptors and connection of one worker; pid 0 until it has said who it is."""

    id: int
    pool: str
    identity: bytes = field(repr=False)
    generation: int
    slots: int
    reserve: int  # rows for requests that go on without a thread
    threads: int
    scoreboard_fd: int
    started_at: float
    started_wall: float
    life_fd: int = -1  # read end of a pipe that the worker alone holds, until its Hello
    uid: int = 0  # whom it must run as
    pid: int = 0
    pidfd: int = -1
    peer: Peer | None = None
    link_lost_at: float | None = None
    is_condemned: bool = False  # to be killed as soon as it says who it is
    epochs: list[int] = field(default_factory=list[int])  # of the listeners it was told last
    # Of those listeners, those whose channel to it works: it can be given their requests.
    attached: set[int] = field(default_factory=set[int])
    is_announced: bool = False  # the present listener has got AddWorker
    is_active: bool = False
    is_draining: bool = False
    may_be_held: bool = False  # stopped for a while: the kernel continues it should we end
    is_replacement: bool = False  # another worker was there before it
    # Marks of what runs in it, and of what runs in that one and is to run in it too.
    programs: list[int] = field(default_factory=list[int])
    wanted_programs: list[int] = field(default_factory=list[int])
    failed_programs: dict[int, str] = field(default_factory=dict[int, str])  # and why
    suspension: int = 0  # number of the one that is under way; 0: none, it may not be stopped
    is_orphan: bool = False  # stopped for good; nobody manages it any more
    is_adopted: bool = False  # an earlier manager's child: how it exits is not to be learnt
    is_killed: bool = False  # by us
    stacks_begin: int = -1  # where in its file those stacks begin that it was asked for
    log_trouble: str = ""  # why its output goes nowhere
    # What it may read, as it was when it was started; without a sandbox its applications' folders.
    reach: tuple[str, ...] = ()
    log_begin: int = 0  # how long the pool's log was when it began
    is_overdue: bool = False  # a request of its has passed its time limit: it is noted
    has_ended: bool = False
    exit: Exit | None = None  # how it ended, if that was to be learnt

    @property
    def is_alive(self) -> bool:
        """Whether there is a process, as far as has been noticed."""
        return self.pidfd >= 0 and not self.has_ended

    def finished(self) -> int:
        """Requests it says it has finished."""
        try:
            return ScoreboardReader(self.scoreboard_fd).finished()
        except (OSError, ValueError):
            return 0

    def close(self) -> None:
        """Let go of every descriptor."""
        for fd in (self.scoreboard_fd, self.pidfd):
            if fd >= 0:
                os.close(fd)
        self.scoreboard_fd = self.pidfd = -1
        if self.peer is not None:
            self.peer.close()
            self.peer = None
