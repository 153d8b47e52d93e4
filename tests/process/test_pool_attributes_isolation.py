"""`isolation` and the identity's attributes: one row per attribute, on real processes.

Where the server may not give its workers an identity or a sandbox, it says so, and the row sees
that nothing is refused.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from harness.home import Pool
from support.running import Running, place, simple_config
from support.wire import get

Start = Callable[..., Running]


def start(
    start_server: Start,
    isolation: dict[str, str] | None = None,
    process_model: dict[str, str] | None = None,
) -> Running:
    """A server with one pool of these settings, and a folder `elsewhere` that anybody may use."""
    pool = Pool("Pool", {}, {"isolation": isolation or {}, "processModel": process_model or {}})

    def prepare(home: Path) -> None:
        place("prober.py")(home)
        home.joinpath("elsewhere").mkdir()
        home.joinpath("elsewhere").chmod(0o777)
        home.joinpath("elsewhere", "file").write_text("x")
        home.joinpath("elsewhere", "file").chmod(0o666)

    return start_server(simple_config("prober:application", pool=pool), prepare)


def ask(running: Running, **query: str) -> Any:
    """What the worker says."""
    answer = get(running.port(), "/?" + urlencode(query))
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def attempt(running: Running, what: str) -> str:
    """How it goes when the worker tries to read or write the file elsewhere."""
    return ask(running, do="attempt", what=what, target=str(running.home / "elsewhere" / "file"))


def in_force(running: Running) -> dict[str, Any]:
    """The isolation of the pool."""
    return running.server.rows("apppools")[0]["isolation"]


@pytest.mark.parametrize("sandbox", [True, False])
def test_sandbox(start_server, sandbox):
    """What the files' modes allow is refused in the sandbox only."""
    running = start(start_server, {"sandbox": str(sandbox).lower()})
    is_closed = sandbox and in_force(running)["landlock"] > 0
    assert (attempt(running, "read") != "ok") is is_closed


def test_readable(start_server):
    """A folder that is named may be read, and not be written to."""
    running = start(start_server, {"readable": "{home}/elsewhere"})
    assert attempt(running, "read") == "ok"
    assert (attempt(running, "write") == "ok") is (in_force(running)["landlock"] == 0)


def test_writable(start_server):
    """A folder that is named may be written to."""
    running = start(start_server, {"writable": "{home}/elsewhere"})
    assert attempt(running, "write") == "ok"


def test_paths_that_are_given_in_vain_are_named(start_server):
    """What is not there, and what the pool's user may not write to: a line each, once."""
    paths = "{home}/nowhere;{home}/elsewhere;{home}/config"
    running = start(start_server, {"writable": paths, "readable": "{home}/gone"})
    assert ask(running, do="about")
    named = ["gone", "nowhere", *(["config"] if in_force(running)["own_identity"] else [])]
    log = running.server.log_text().splitlines()
    lines = [line for line in log if " path_unusable " in line]
    found = [re.search(r"attribute=(\w+) file=\S*/(\w+) ", line).groups() for line in lines]
    assert found == [("readable" if name == "gone" else "writable", name) for name in named]


@pytest.mark.parametrize(("ports", "is_open"), [("*", True), ("1", False)])
def test_bind_ports(start_server, ports, is_open):
    """Ports that are not named cannot be listened on."""
    running = start(start_server, {"bindPorts": ports})
    outcome = ask(running, do="attempt", what="bind", target="0")
    assert outcome == ("ok" if is_open or in_force(running)["landlock"] < 4 else "EACCES")


def test_limits_of_the_kernel(start_server):
    """maxTasks and maxCoreSize are limits of the process; maxTasks counts by user."""
    running = start(start_server, {"maxTasks": "777", "maxCoreSize": "4096"})
    about = ask(running, do="about")
    assert about["core"] == 4096
    assert (about["tasks"] == 777) is in_force(running)["own_identity"]


@pytest.mark.parametrize("is_set", [True, False])
def test_set_profile_environment(start_server, is_set):
    """Whether the account's name is in the environment; its folder for files is in any case."""
    running = start(start_server, process_model={"setProfileEnvironment": str(is_set).lower()})
    environment = ask(running, do="about")["environment"]
    assert ("USER" in environment) is (is_set and in_force(running)["own_identity"])
    assert "TMPDIR" in environment
