"""`python/@virtualEnvironment` and `@interpreter`: which Python runs a pool, on real processes."""

import json
import os
import signal
import site
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.event_log import wait_event
from support.files import replace_text
from support.running import STEADY, Running, place, simple_config
from support.wire import get

PACKAGES = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")


def make_environment(folder: Path, mark: str = "", *, has_was: bool = False) -> Path:
    """A virtual environment of this Python, with a package `mark`, or with `was` itself."""
    venv.create(folder, symlinks=True)
    packages = folder / PACKAGES
    if mark:
        packages.joinpath("more").mkdir()
        packages.joinpath("more", "mark.py").write_text(f"NAME = {mark!r}\n")
        packages.joinpath("more.pth").write_text("more\n")
    if has_was:
        packages.joinpath("was-0.1.0.dist-info").mkdir()
        here = site.getsitepackages()[0]
        packages.joinpath("was.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def config_with(**python: str) -> str:
    pool = Pool("Pool", STEADY["attributes"], {**STEADY["elements"], "python": python})
    return simple_config("which_python:application", pool=pool)


def ask(running: Running) -> dict[str, Any]:
    answer = get(running.port())
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


@pytest.mark.parametrize("below", ["sites/app/.venv", "environments/one"])
def test_virtual_environment(start_server, below):
    """Its packages come before the server's, `.pth` files are honoured, programs are found.

    Processes of `multiprocessing` begin there, though it has no `was` that they could import.
    """

    def prepare(home: Path) -> None:
        place("which_python.py")(home)
        make_environment(home / below, "of the environment")

    running = start_server(config_with(virtualEnvironment=f"{{home}}/{below}"), prepare)
    environment = str(running.home / below)
    facts = ask(running)
    assert facts["mark"] == facts["child"] == "of the environment"
    assert facts["file"].startswith(environment)
    assert facts["prefix"] == facts["variable"] == environment
    assert facts["executable"] == f"{environment}/bin/python"
    assert facts["first_program"] == f"{environment}/bin"
    assert (facts["spawned"], facts["arguments"]) == (0, ["was"])
    assert not facts["was_executed"]


def test_an_environment_with_a_was_of_its_own(start_server):
    """Its own interpreter is the worker, as isolated as any; killed and recycled as any."""

    def prepare(home: Path) -> None:
        place("which_python.py")(home)
        make_environment(home / "own", "of the environment", has_was=True)

    running = start_server(config_with(virtualEnvironment="{home}/own"), prepare)
    facts = ask(running)
    assert facts["was_executed"]
    assert (facts["spawned"], facts["arguments"]) == (0, ["was"])
    assert facts["mark"] == facts["child"] == "of the environment"
    assert facts["prefix"] == facts["variable"] == str(running.home / "own")
    assert facts["no_new_privs"] == "1"
    assert facts["uid"] != 0 or "isolation_reduced" in running.server.log_text()
    assert facts["life_is_closed_on_exec"]
    assert not [target for target in facts["descriptors"] if "memfd:fork" in target]

    os.kill(facts["pid"], signal.SIGKILL)
    after = ask(running)
    assert after["was_executed"]
    assert after["pid"] != facts["pid"]
    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
    assert ask(running)["pid"] != after["pid"]


def test_interpreter(start_server):
    """Another interpreter with `was` runs the pool, and takes the packages of an environment."""

    def prepare(home: Path) -> None:
        place("which_python.py")(home)
        make_environment(home / "own", has_was=True)
        make_environment(home / "packages", "of the packages")

    python = {
        "interpreter": "{home}/own/bin/python",
        "virtualEnvironment": "{home}/packages",
    }
    running = start_server(config_with(**python), prepare)
    facts = ask(running)
    assert facts["was_executed"]
    assert facts["mark"] == "of the packages"
    assert facts["variable"] == str(running.home / "packages")


def test_a_changed_environment_is_taken_by_new_workers(start_server):
    """As an application that moves: the old worker serves until the new one is ready."""

    def prepare(home: Path) -> None:
        place("which_python.py")(home)
        make_environment(home / "old", "old")
        make_environment(home / "new", "new")

    running = start_server(config_with(virtualEnvironment="{home}/old"), prepare)
    assert ask(running)["mark"] == "old"
    file = running.home / "config" / "applicationHost.config"
    replace_text(file, file.read_text().replace(f"{running.home}/old", f"{running.home}/new"))
    assert running.server.command("reload").returncode == 0
    wait_for("the new environment", lambda: ask(running)["mark"] == "new")


@pytest.mark.parametrize(
    ("python", "reason"),
    [
        ({"virtualEnvironment": "{home}/none"}, "there is no virtual environment"),
        ({"virtualEnvironment": "{home}/foreign"}, "is of Python 3.5, the server of Python"),
        ({"interpreter": "{home}/none/bin/python"}, "there is no interpreter"),
        ({"interpreter": "{home}/bare/bin/python"}, "bare/bin/python' has no `was`"),
    ],
)
def test_an_interpreter_that_cannot_be_used_is_named(start_server, python, reason):
    """In the event log and by config validate; requests are 503, by rapid-fail protection."""

    def prepare(home: Path) -> None:
        place("which_python.py")(home)
        (home / "foreign" / "lib" / "python3.5" / "site-packages").mkdir(parents=True)
        make_environment(home / "bare")

    config = simple_config("which_python:application", pool=Pool("Pool", {}, {"python": python}))
    running = start_server(config, prepare)
    running.allow("worker_spawn_failed", "pool_disabled")
    assert get(running.port()).status == 503
    assert reason in wait_event(running, 5022)["detail"]
    validated = running.server.command("config", "validate")
    assert (validated.returncode, reason in validated.stderr) == (0, True)


@pytest.mark.parametrize("has_was", [True, False])
def test_a_python_that_hangs_as_it_begins_is_ended(start_server, has_was):
    """By the limit of a start, be it before a line of ours was run: no process of it is left."""

    def prepare(home: Path) -> None:
        place("which_python.py")(home)
        packages = make_environment(home / "own", has_was=has_was) / PACKAGES
        os.mkfifo(packages / "nobody")
        packages.joinpath("nobody").chmod(0o644)
        hangs = packages / "hangs.pth"
        hangs.write_text(f"import io; io.open('{packages}/nobody')\n")
        hangs.chmod(0o644)

    def workers() -> list[str]:
        found = running.server.processes().values()
        return [text for text in found if "was: worker" in text or "was.worker.executed" in text]

    pool = Pool(
        "Pool",
        {},
        {
            "processModel": {"startupTimeLimit": "00:00:02"},
            "failure": {"rapidFailProtectionMaxCrashes": "1"},
            "python": {"virtualEnvironment": "{home}/own"},
        },
    )
    running = start_server(simple_config("which_python:application", pool=pool), prepare)
    running.allow("worker_start_failed", "worker_died", "pool_disabled")
    assert get(running.port()).status == 503
    assert wait_event(running, 5012)["pid"]
    wait_for("the end of the worker", lambda: not workers())
