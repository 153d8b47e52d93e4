"""What runs in a home, from the files it left: for when no manager answers.

Two proofs, never a bare pid. The manager holds a POSIX lock on run/manager.lock, and the kernel
names the holder. Other processes have a record in run/state with pid, start ticks and boot id:
all three must match. A signal goes through a pidfd that was opened *before* the match, so a pid
that is reused in between is never hit.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from was.recorded import lock_holder, open_lock_holder, open_recorded

if TYPE_CHECKING:
    from was.ipc.endpoints import Home

__all__ = [
    "LiveProcess",
    "live_processes",
    "manager_pid",
    "open_manager",
    "record_names",
    "remove_stale_pid_file",
]


KINDS = ("listener", "retiring", "template", "supervisor", "worker", "orphan")


class LiveProcess(NamedTuple):
    """A process of the home that is certain to be the one its record means."""

    name: str  # "manager", "listener", "worker-3"
    pid: int
    pidfd: int

    def send(self, number: signal.Signals) -> None:
        """Signal it; one that has just ended is none the worse."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def wait(self, timeout_s: float | None) -> bool:
        """Whether it ended within `timeout_s` seconds (None: however long it takes)."""
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(None if timeout_s is None else int(timeout_s * 1000)))

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.pidfd)


def manager_pid(home: Home) -> int | None:
    """The pid that holds the home's lock, None when nobody does."""
    return lock_holder(home.lock_file)


def open_manager(home: Home) -> LiveProcess | None:
    """The running manager; None when there is none."""
    found = open_lock_holder(home.lock_file)
    return None if found is None else LiveProcess("manager", *found)


def remove_stale_pid_file(home: Home) -> str | None:
    """Remove a manager.pid that nobody stands behind; a note for a person when there was one."""
    if manager_pid(home) is not None:
        return None
    try:
        text = home.pid_file.read_text().strip()
        home.pid_file.unlink()
    except OSError:
        return None
    return f"removed a stale pid file ({home.pid_file}, pid {text})"


def live_processes(home: Home) -> list[LiveProcess]:
    """Everybody with a record who is alive, but for the manager. The caller closes them."""
    found: list[LiveProcess] = []
    with contextlib.suppress(OSError):
        for path in sorted(home.state.glob("*.json")):
            if path.stem.partition("-")[0] in KINDS:
                record = _read(path)
                pidfd = open_recorded(record)
                if pidfd is not None:
                    found.append(LiveProcess(path.stem, cast("int", record["pid"]), pidfd))
    return found


def record_names(home: Home) -> list[str]:
    """Everybody who has a record, alive or not."""
    names = (path.stem for path in home.state.glob("*.json"))
    return [name for name in names if name.partition("-")[0] in KINDS]


def _read(path: Path) -> dict[str, object]:
    try:
        parsed: object = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, object]", parsed) if isinstance(parsed, dict) else {}
