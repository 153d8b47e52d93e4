"""`was chaos kill|stop|segv|hang`: does it to workers of a running server, and counts.

Only in a home that holds config/chaos.enabled. A worker is signalled through a pidfd of the
process that its record proves, so nobody else is ever hit, and one that is stopped already is not
chosen again.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from was.cli.client import NoManagerError, ask_rows
from was.cli.duration import for_option, parse_rate
from was.cli.home import find_home, home_option
from was.cli.processes import LiveProcess, live_processes
from was.errors import AdminError, HomeError

if TYPE_CHECKING:
    from was.ipc.endpoints import Home

__all__ = ["command"]

STOP_S = 3.0
SIGNALS = {
    "kill": signal.SIGKILL,
    "segv": signal.SIGSEGV,
    "stop": signal.SIGSTOP,
    "hang": signal.SIGSTOP,
}


@click.command("chaos")
@click.argument("action", type=click.Choice(list(SIGNALS)))
@click.option("--pool", metavar="NAME", help="Whose workers (default: every pool's).")
@click.option(
    "--rate",
    type=parse_rate,
    default="1",
    metavar="NUMBER",
    help="Workers a second (1).",
)
@for_option
@click.option("--json", "as_json", is_flag=True, help="One object instead of text.")
@home_option
def command(action: str, pool: str | None, rate: float, duration_s: float, as_json: bool) -> None:
    """Do harm to workers of a running server.

    kill: SIGKILL; segv: SIGSEGV; stop: SIGSTOP, and SIGCONT three seconds later; hang: SIGSTOP,
    until the pool's pings find it out. Refused unless the home has config/chaos.enabled.
    """
    home = find_home()
    _require_permission(home)
    times = round(rate * duration_s)
    if times < 1:
        raise click.UsageError("at this rate nothing is due in this time")
    if pool is not None:
        known = {str(row["name"]).lower(): str(row["name"]) for row in ask_rows(home, "apppools")}
        if pool.lower() not in known:
            raise AdminError(f"there is no application pool '{pool}'")
        pool = known[pool.lower()]
    ask_rows(home, "wps")  # a server that does not run is said now
    harm = _Harm(action)
    is_interrupted = False
    try:
        _repeat(times, rate, lambda: _hit(home, pool, harm), harm.resume_due)
        harm.resume_rest()
    except KeyboardInterrupt:  # what was done until then is still said
        is_interrupted = True
    finally:
        harm.close()
    if as_json:
        asked = {"action": action, "app_pool": pool, "rate": rate, "for_s": duration_s}
        counts = {"done": len(harm.pids), "no_worker": harm.no_worker, "pids": harm.pids}
        click.echo(json.dumps({**asked, **counts}, indent=2))
    else:
        click.echo(_told(harm))
        if harm.no_worker:
            _say_who_is_stopped(home, pool)
    if is_interrupted:
        raise click.Abort


def _told(harm: _Harm) -> str:
    workers = "1 worker" if len(harm.pids) == 1 else f"{len(harm.pids)} workers"
    if not harm.no_worker:
        return f"{harm.action}: {workers}"
    times = "once" if harm.no_worker == 1 else f"{harm.no_worker} times"
    return f"{harm.action}: {workers}; {times} none was there"


def _say_who_is_stopped(home: Home, pool: str | None) -> None:
    """Rapid-fail protection counts these deaths like all others."""
    with contextlib.suppress(AdminError, HomeError):
        for row in ask_rows(home, "apppools"):
            name = str(row["name"])
            if pool in (None, name) and row["state"] == "stopped":
                click.echo(f"{name} is stopped: `was start apppool {name}` starts it again")


def _require_permission(home: Home) -> None:
    switch = home.config_file.with_name("chaos.enabled")
    if not switch.exists():
        raise HomeError(f"chaos is not enabled in this home: make an empty file {switch} first")


def _repeat(
    times: int, rate: float, act: Callable[[], None], meanwhile: Callable[[], float | None]
) -> None:
    """Act so many times at that rate; `meanwhile` says in how many seconds it is due again."""
    start = time.monotonic()
    for number in range(times):
        while (left_s := start + number / rate - time.monotonic()) > 0:
            other_s = meanwhile()
            time.sleep(left_s if other_s is None else max(0.0, min(left_s, other_s)))
        act()
        meanwhile()


@dataclass(slots=True)
class _Harm:
    """What was done, and which workers are stopped now, each with the time it goes on."""

    action: str
    pids: list[int] = field(default_factory=list[int])
    no_worker: int = 0
    stopped: list[tuple[float, LiveProcess]] = field(
        default_factory=list[tuple[float, LiveProcess]]
    )

    def do(self, victim: LiveProcess) -> None:
        """Signal it; it is kept open while it is stopped."""
        is_stopped = self.action in ("stop", "hang")
        if is_stopped:
            # First of all: who is interrupted just after the signal must know whom to resume.
            self.stopped.append((time.monotonic() + STOP_S, victim))
        victim.send(SIGNALS[self.action])
        self.pids.append(victim.pid)
        if not is_stopped:
            victim.close()

    def resume_due(self) -> float | None:
        """Let those go on whose time is up; the seconds until the next one's is."""
        if self.action != "stop":
            return None
        now = time.monotonic()
        while self.stopped and self.stopped[0][0] <= now:
            self._resume(self.stopped.pop(0)[1])
        return self.stopped[0][0] - now if self.stopped else None

    def resume_rest(self) -> None:
        """Wait until everyone that is to go on does."""
        while (left_s := self.resume_due()) is not None:
            time.sleep(max(0.0, left_s))

    def close(self) -> None:
        """Let go of all; also when interrupted, a worker that was only stopped goes on."""
        for _, process in self.stopped:
            if self.action == "stop":
                self._resume(process)
            else:
                process.close()
        self.stopped.clear()

    def _resume(self, process: LiveProcess) -> None:
        process.send(signal.SIGCONT)
        process.close()


def _hit(home: Home, pool: str | None, harm: _Harm) -> None:
    """Choose one running worker and do it to it; count when there is none."""
    rows: list[dict[str, object]] = []
    with contextlib.suppress(NoManagerError):  # it may be the victim of another
        rows = ask_rows(home, "wps")
    taken = {process.pid for _, process in harm.stopped}
    names = {
        f"worker-{row['worker_id']}"
        for row in rows
        if row["state"] == "running" and pool in (None, row["app_pool"])
    }
    live = live_processes(home)
    choices = [process for process in live if process.name in names and process.pid not in taken]
    victim = random.choice(choices) if choices else None
    for process in live:
        if process is not victim:
            process.close()
    if victim is None:
        harm.no_worker += 1
    else:
        harm.do(victim)
