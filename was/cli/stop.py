"""`was stop`: ask, else signal what is proven to be ours, and wait until it has gone."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

import click

from was.cli.client import NoManagerError, ask
from was.cli.home import find_home, home_option
from was.cli.objects import kind_argument, name_argument
from was.cli.other_servers import ServerCommand
from was.cli.processes import (
    LiveProcess,
    live_processes,
    open_manager,
    record_names,
    remove_stale_pid_file,
)
from was.errors import HomeError

if TYPE_CHECKING:
    from was.ipc.endpoints import Home

__all__ = ["command", "stop_home"]

ASK_TIMEOUT_S = 5.0
ASK_AGAIN_S = 0.1
SILENCE_S = 2.0  # who waits for longer is told why
SUPERVISOR_LIMIT_S = 2.0
UNASKED_LIMIT_S = 30.0  # for processes that no manager looks after
UNASKED_AGAIN_S = 1.0


@click.command("stop", cls=ServerCommand)
@kind_argument("apppool", "site", required=False, others="; write `was stop apppool {}`")
@name_argument(required=False)
@click.option("--now", is_flag=True, help="Do not let the requests finish.")
@home_option
def command(kind: str | None, name: str | None, now: bool) -> None:
    """Stop the server, or only an application pool or a site. Requests finish first."""
    home = find_home()
    if kind is None:
        click.echo("stopped" if stop_home(home, drain=not now) else "was not running")
        return
    if name is None:
        raise click.UsageError(f"which {kind}? give its name")
    if now:
        raise click.UsageError(f"--now is of the server, and not of one {kind}")
    ask(home, "stop", object=kind, name=name)
    click.echo(f"stopped {kind} {name}")


def stop_home(home: Home, *, drain: bool) -> bool:
    """Stop everything of the home and wait for it; False when nothing ran.

    Raises HomeError when something is left that does not go.
    """
    has_run = False
    while True:
        # A supervisor may start another manager for one that died meanwhile: until neither is left.
        while (manager := open_manager(home)) is not None or _end_supervisor(home):
            has_run = True
            if manager is not None:
                _stop_manager(home, manager, drain=drain)
        note = remove_stale_pid_file(home)
        if note:
            click.echo(f"was: {note}", err=True)
        with contextlib.suppress(_ManagerCameError), _no_manager(home):
            return _stop_orphans(home) or has_run


class _ManagerCameError(Exception):
    """Somebody has started a manager meanwhile."""


@contextlib.contextmanager
def _no_manager(home: Home) -> Generator[None]:
    """None can start: it would take over what is just being ended, and those would stay for it.

    Meanwhile this process may not look who has the home's lock: it would lose it.
    """
    if not home.lock_file.exists():  # none has ever run here
        yield
        return
    from was.manager.process import ManagerLock

    try:
        lock = ManagerLock(home.lock_file)
    except HomeError:
        raise _ManagerCameError from None
    try:
        yield
    finally:
        lock.release()


def _stop_manager(home: Home, manager: LiveProcess, *, drain: bool) -> None:
    try:
        try:
            _ask_to_stop(home, manager, drain=drain)
        except NoManagerError:
            _terminate(manager)
            if not manager.wait(UNASKED_LIMIT_S):
                raise HomeError(
                    f"the manager (pid {manager.pid}) neither answers nor ends;"
                    f" `kill -9 {manager.pid}`, then `was stop` again"
                ) from None
        if drain and not manager.wait(SILENCE_S):
            click.echo("waiting for requests that run (`was stop --now` ends them)", err=True)
        manager.wait(None)
    finally:
        manager.close()


def _ask_to_stop(home: Home, manager: LiveProcess, *, drain: bool) -> None:
    """Raises NoManagerError; not for one that has just started, or becomes new code, or ends."""
    deadline = time.monotonic() + ASK_TIMEOUT_S
    while True:
        try:
            ask(home, "shutdown", timeout_s=ASK_TIMEOUT_S, drain=drain)
        except NoManagerError:
            if manager.wait(ASK_AGAIN_S):
                return
            if time.monotonic() > deadline:
                raise
        else:
            return


def _end_supervisor(home: Home) -> bool:
    """End the supervisor, so that no manager comes any more; False when there is none."""
    found = False
    for process in live_processes(home):
        if process.name == "supervisor":
            found = True
            _terminate(process)
            if not process.wait(SUPERVISOR_LIMIT_S):
                process.send(signal.SIGKILL)
                _wait_killed([process])
        process.close()
    return found


def _stop_orphans(home: Home) -> bool:
    """End what a dead manager left: ask by SIGTERM, wait, kill; its sockets and records go too.

    The caller holds the home's lock, so no other manager can have come.
    """
    left = live_processes(home)
    try:
        # Listeners first: what they have is answered by the workers, which then find nobody there.
        for process in left:
            if process.name in {"listener", "retiring"}:
                _ends([process])
        still = _ends(left)
        for process in still:
            process.send(signal.SIGKILL)
        _wait_killed(still)
    finally:
        for process in left:
            process.close()
    if left or home.find_sockets() is not None or record_names(home):
        with contextlib.suppress(OSError):
            _forget(home)
    return bool(left)


def _forget(home: Home) -> None:
    """Remove what tells of processes that have ended."""
    from was.manager.state_files import StateFiles

    files = StateFiles(home)
    files.remove_processes()
    for name in record_names(home):  # those that a manager leaves to the next one
        files.remove(name)
    home.admin_socket.unlink(missing_ok=True)
    folder = home.find_sockets()
    if folder is not None:
        shutil.rmtree(folder.path, ignore_errors=True)
        (home.run / "sockets").unlink(missing_ok=True)


def _ends(asked: list[LiveProcess]) -> list[LiveProcess]:
    """Ask processes to end, and wait; those that do not.

    They are asked again and again: one that has not noticed yet that its manager is dead leaves it
    to that one what is to be done.
    """
    deadline = time.monotonic() + UNASKED_LIMIT_S
    left = asked
    while left and time.monotonic() < deadline:
        for process in left:
            _terminate(process)
        ask_again_at = time.monotonic() + UNASKED_AGAIN_S
        left = [p for p in left if not p.wait(max(0.0, ask_again_at - time.monotonic()))]
    return left


def _terminate(process: LiveProcess) -> None:
    """SIGTERM, which one that somebody has stopped hears when it goes on."""
    process.send(signal.SIGTERM)
    process.send(signal.SIGCONT)


def _wait_killed(killed: list[LiveProcess]) -> None:
    for process in killed:
        if not process.wait(5.0):
            raise HomeError(f"{process.name} (pid {process.pid}) cannot be killed")
