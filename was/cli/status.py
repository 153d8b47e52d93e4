"""`was status`: the manager's own account, else what the state files prove."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import click

from was import __version__
from was.cli.client import NoManagerError, ask
from was.cli.home import find_home, home_option, is_home, no_home_at
from was.cli.processes import live_processes, open_manager, remove_stale_pid_file
from was.cli.table import cell

if TYPE_CHECKING:
    from was.ipc.endpoints import Home

__all__ = ["command"]

UNHEALTHY = 1
STOPPED = 3
STATUS_TIMEOUT_S = 5.0
UNKNOWN_CONFIG: dict[str, object] = {"state": None, "since": None, "errors": []}
# What --check says when no manager could.
PROBLEM_OF = {
    "stopped": "the server is stopped",
    "managerless": "no manager runs; listener and workers go on without one",
    "running": "the manager does not answer",
}


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One object instead of text.")
@click.option("--check", "is_check", is_flag=True, help="Exit code 1 unless all is healthy.")
@home_option
@click.pass_context
def command(ctx: click.Context, as_json: bool, is_check: bool) -> None:
    """Say what runs. Exit code 3: the home is stopped.

    With --check nothing is printed but what is wrong, in one line, and the exit code is 1 when
    anything that should serve cannot, or nobody manages what runs.
    """
    home = find_home()
    try:
        answer = ask(home, "status", timeout_s=STATUS_TIMEOUT_S)
        found = cast("dict[str, object]", answer)
    except NoManagerError as error:
        found = _from_files(home, str(error))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif not is_check:
        _print(found)
    wrong = cast("list[str]", found.get("problems", []))
    if is_check and wrong:
        click.echo(f"was: {'; '.join(wrong)}", err=True)
    if found["state"] == "stopped":
        ctx.exit(STOPPED)
    if is_check and wrong:
        ctx.exit(UNHEALTHY)


def _from_files(home: Home, complaint: str) -> dict[str, object]:
    """The status object when no manager answers: its keys, and null for what nobody can know."""
    manager = open_manager(home)
    if manager is not None:
        click.echo(f"was: {complaint}, though it is there (pid {manager.pid})", err=True)
        manager.close()
    note = remove_stale_pid_file(home)
    if note:
        click.echo(f"was: {note}", err=True)
    others = live_processes(home)
    pids = {process.name: process.pid for process in others}
    for process in others:
        process.close()
    running = manager is not None
    is_nothing = not (running or pids or is_home(home))
    state = "running" if running else "managerless" if pids else "stopped"
    return {
        "state": state,
        "home": str(home.path),
        "manager_pid": manager.pid if manager else None,
        "listener_pid": pids.get("listener"),
        "template_pid": pids.get("template"),
        "supervisor_pid": pids.get("supervisor"),
        "uptime_s": None,
        "version": __version__,
        "is_ready": None,
        "is_stopping": None,
        "is_upgrading": None,
        "upgrade_error": None,
        "config": UNKNOWN_CONFIG,
        "sites": None if running or pids else 0,
        "app_pools": None if running or pids else 0,
        "workers": sum(name.startswith("worker-") for name in pids),
        "problems": [no_home_at(home) if is_nothing else PROBLEM_OF[state]],
        "events_dropped": None,
        "dossiers_dropped": None,
    }


def _print(found: dict[str, object]) -> None:
    width = max(len(name) for name in found)
    for name, value in found.items():
        if value is None or value == UNKNOWN_CONFIG:
            continue
        label = f"{name.replace('_', ' '):<{width}}  "
        if name == "config":
            for line in _config_lines(cast("dict[str, object]", value)):
                click.echo(label + line)
                label = " " * len(label)
        else:
            click.echo(label + cell(value))


def _config_lines(config: dict[str, object]) -> list[str]:
    """Which configuration is in force, and why the newest one is not."""
    in_force = f"in force since {cell(config['since'])}"
    errors = cast("list[str]", config["errors"])
    if not errors:
        return [in_force]
    return [f"{in_force}; what the files say now was rejected:", *errors]
