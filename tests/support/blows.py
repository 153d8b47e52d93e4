"""A detached server under load that is dealt a blow, and the verdict on what it cost."""

import contextlib
import os
import select
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from harness.home import (
    Application,
    Pool,
    Site,
    application_host_config,
    make_home,
    place_application,
    wsgi_handler,
)
from harness.killing import GARDEN
from harness.server import ServerError, wait_for
from harness.tally import Fate, Tally

from support.running import APPS, Running
from support.wire import CutShortError, get

# What a client sees of a listener that has died: its connection ends.
BROKEN = {Fate.RESET, Fate.TRUNCATED, Fate.CLOSED_BEFORE_RESPONSE}
STOP_S = 3.0
SECOND = Pool("Second", {}, {"failure": {"rapidFailProtection": "false"}})


def make_blow_home(home: Path, *, with_third: bool = False) -> None:
    """Two pools with a site each; `with_third` is what a reload brings."""
    handler = (wsgi_handler("held:application"),)
    sites = []
    # Modules of one name in one pool are one program.
    for name, pool, at in (
        ("Main", GARDEN, "Main"),
        ("Other", SECOND, "Other"),
        ("Third", GARDEN, "Main"),
    ):
        folder = place_application(home / "sites" / at, APPS / "held.py")
        sites.append(Site(name, (Application("/", folder, pool.name, handler),)))
    make_home(home, application_host_config([GARDEN, SECOND], sites if with_third else sites[:2]))
    (home / "run" / "faults").touch()


def loading(running: Running, site: str) -> set[str]:
    """Every worker that has ever begun to load the site's application."""
    return {path.suffix for path in (running.folder(site) / "data").glob("loading.*")}


class Recycling:
    """A pool is being recycled: its new workers are loading, and wait."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._hold = running.folder("Main") / "hold"
        self._before = set(running.workers(GARDEN.name, 2))
        known = loading(running, "Main")
        self._hold.touch()
        assert running.server.command("recycle", "apppool", GARDEN.name).returncode == 0
        wait_for("a new worker that loads", lambda: loading(running, "Main") - known)

    def go_on(self) -> None:
        """Whoever loads may finish."""
        self._hold.unlink()

    def finish(self) -> None:
        """All workers are new."""

        def renewed() -> bool:
            with contextlib.suppress(ServerError):  # the manager may be away
                now = self._running.workers(GARDEN.name)
                return len(now) == 2 and not self._before & set(now)
            return False

        wait_for("two new workers", renewed)


class Reloading:
    """A new configuration, with a further site, is just being read."""

    def __init__(self, running: Running) -> None:
        self._running = running
        begun = running.server.log_text().count("reload_started")
        make_blow_home(running.home, with_third=True)
        self._asker = threading.Thread(target=lambda: running.server.command("reload"))
        self._asker.start()
        wait_for("the reload", lambda: running.server.log_text().count("reload_started") > begun)

    def go_on(self) -> None:
        """Nothing is held."""

    def finish(self) -> None:
        """The further site answers."""
        self._asker.join()

        def has_third() -> bool:
            with contextlib.suppress(ServerError):
                return get(self._running.server.port("Third")).status == 200
            return False

        wait_for("the further site", has_third)


class StartingSecond:
    """A request has come for another pool, whose first worker is loading, and waits."""

    def __init__(self, running: Running) -> None:
        self._hold = running.folder("Other") / "hold"
        self._port = running.port("Other")
        self._answers: list[int] = []
        self._hold.touch()
        self._asker = threading.Thread(target=self._ask)
        self._asker.start()
        wait_for("its first worker", lambda: loading(running, "Other"))

    def _ask(self) -> None:
        with contextlib.suppress(CutShortError):  # the listener's death takes it along
            self._answers.append(get(self._port).status)

    def go_on(self) -> None:
        """The worker may finish loading."""
        self._hold.unlink()

    def finish(self) -> None:
        """The request is answered, or one like it."""
        self._asker.join()
        assert self._answers in ([200], [])
        assert get(self._port).status == 200

    @property
    def was_cut(self) -> bool:
        """Whether the first request was lost."""
        return not self._answers


class Load:
    """Nothing else happens."""

    def __init__(self, running: Running) -> None: ...

    def go_on(self) -> None:
        """Nothing is held."""

    def finish(self) -> None:
        """Nothing is awaited."""


SITUATIONS: dict[str, Callable[[Running], "Load | Recycling | Reloading | StartingSecond"]] = {
    "load": Load,
    "recycle": Recycling,
    "reload": Reloading,
    "second_pool": StartingSecond,
}


def processes(running: Running) -> dict[str, int]:
    """Pid of each of ours, one of the workers among them; waits until all are there and ready."""

    def found() -> dict[str, int] | None:
        with contextlib.suppress(ServerError):
            status = running.server.status()
            names = ("manager", "listener", "template", "supervisor")
            pids = {name: status[f"{name}_pid"] for name in names}
            workers = sorted(running.workers(GARDEN.name))
            is_whole = status.get("is_ready") and all(pids.values()) and len(workers) == 2
            return {**pids, "worker": workers[0]} if is_whole else None
        return None

    return wait_for("all processes", found)


def strike(pid: int, number: int) -> float:
    """SIGSTOP for STOP_S, or a death that is seen; when it was dealt."""
    pidfd = os.pidfd_open(pid)
    try:
        at = time.monotonic()
        signal.pidfd_send_signal(pidfd, number)
        if number == signal.SIGSTOP:
            resume = os.dup(pidfd)

            def go_on() -> None:
                with contextlib.suppress(ProcessLookupError):  # somebody has ended it meanwhile
                    signal.pidfd_send_signal(resume, signal.SIGCONT)
                os.close(resume)

            timer = threading.Timer(STOP_S, go_on)
            timer.name = "resume"
            timer.start()
        else:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            assert poll.poll(10_000), f"pid {pid} does not end"
    finally:
        os.close(pidfd)
    return at


def wait_until_resumed() -> None:
    """Whoever was stopped goes on."""
    for thread in threading.enumerate():
        if thread.name == "resume":
            thread.join()


def is_healthy(running: Running) -> bool:
    """`was status --check` finds nothing."""
    return running.server.command("status", "--check").returncode == 0


def judge(tally: Tally, connections_before: int, *, is_listener: bool) -> list[str]:
    """What is wrong: everything but 200, except what a dead listener's own connections lose."""
    faults = []
    if set(tally.statuses) != {200}:
        faults.append(f"not only 200: {tally.summary()}")
    failed = [o for o in tally.outcomes if o.fate is not Fate.ANSWERED]
    if is_listener:
        twice = [n for n, count in Counter(o.connection for o in failed).items() if count > 1]
        if twice:
            faults.append(f"connections that lost more than one request: {twice}")
        failed = [
            o for o in failed if o.fate not in BROKEN or not 0 < o.connection <= connections_before
        ]
    elif tally.unannounced_closes:
        faults.append(f"{tally.unannounced_closes} idle connections were closed")
    if failed:
        faults.append(f"{len(failed)} requests failed: {failed[:3]}")
    return faults
