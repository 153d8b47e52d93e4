"""Each error that a person can make is answered with a clear line, not with a traceback."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, make_home
from harness.server import LIMIT_S, WasServer, wait_for
from support.running import place, run_server, simple_config
from support.wire import get


@pytest.fixture
def home(tmp_path) -> Path:
    place("hello.py")(tmp_path)
    return tmp_path


def _start(home: Path, config: str) -> subprocess.CompletedProcess[str]:
    make_home(home, config.replace("{home}", str(home)))
    return WasServer(home).command("start")


def _is_plain(result: subprocess.CompletedProcess[str]) -> bool:
    return "Traceback" not in result.stderr + result.stdout


def test_a_port_in_use_is_named(home):
    """A port that another program holds is named, and the start fails with 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        application = Application("/", home / "sites" / "app", "Pool")
        site = Site("Site", (application,), (f"127.0.0.1:{port}:",))
        result = _start(home, application_host_config([Pool("Pool")], [site]))
    assert result.returncode == 1
    assert str(port) in result.stderr
    assert _is_plain(result)


def test_a_second_start_says_that_one_is_running():
    """A home that runs already is not started again."""
    with run_server(simple_config("hello:application"), place("hello.py")) as running:
        result = running.server.command("start")
        assert result.returncode == 1
        assert "already" in result.stderr
        assert str(running.server.pid) in result.stderr
        assert _is_plain(result)


def test_a_start_error_is_said_once(home):
    """Not a second time as a line of the log."""
    result = _start(home, "<configuration>")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("was: ")


def test_a_root_whose_umask_is_077_serves(home):
    """Sockets and their folders are the users' of listener and workers, whatever the umask."""
    place("hello.py")(home / "sites" / "app")
    application = Application("/", home / "sites" / "app", "Pool")
    make_home(home, application_host_config([Pool("Pool")], [Site("Site", (application,))]))
    server = WasServer(home)
    before = os.umask(0o077)
    try:
        assert server.command("start", "--detach").returncode == 0
    finally:
        os.umask(before)
    try:
        assert get(server.port("Site")).status in (200, 404, 403)
    finally:
        assert server.command("stop").returncode == 0


def test_start_after_a_killed_manager_takes_over_what_it_left(home):
    """Its listener still holds the port; the next manager goes on with it, whoever starts it."""
    place("hello.py")(home / "sites" / "app")
    application = Application("/", home / "sites" / "app", "Pool")
    site = Site("Site", (application,))
    make_home(home, application_host_config([Pool("Pool")], [site]))
    server = WasServer(home)
    try:
        assert server.command("start", "--detach").returncode == 0
        port = server.port("Site")
        os.kill(int((home / "run" / "manager.pid").read_text()), signal.SIGKILL)
        again = server.command("start", "--detach")
        assert again.returncode == 0 or "running already" in again.stderr, again.stderr
        wait_for("a manager", lambda: "manager_took_over" in server.log_text())
        assert get(port).status in (200, 404, 403)
        assert server.command("stop").returncode == 0
    finally:
        server.kill_all()


def test_broken_xml_is_reported_with_its_place(home):
    """A file that is not well-formed is reported with file and line; nothing starts."""
    result = _start(home, "<configuration>\n  <system.applicationHost>\n</configuration>\n")
    assert result.returncode == 1
    assert "applicationHost.config:3" in result.stderr
    assert _is_plain(result)


def test_an_unknown_pool_is_named(home):
    """An application in a pool that does not exist is an error that names the pool."""
    application = Application("/", home / "sites" / "app", "Nowhere")
    config = application_host_config([Pool("Pool")], [Site("Site", (application,))])
    result = _start(home, config)
    assert result.returncode == 1
    assert "Nowhere" in result.stderr
    assert _is_plain(result)


@pytest.mark.parametrize(
    ("arguments", "code"), [(["no-such-verb"], 2), (["list", "nothing"], 2), (["recycle"], 2)]
)
def test_wrong_usage_is_code_2(home, arguments, code):
    """A command that is not understood exits with 2 and says how it is used."""
    result = WasServer(home).command(*arguments)
    assert result.returncode == code
    assert "Usage" in result.stderr


def test_commands_on_a_stopped_home(home):
    """status says stopped with code 3, stop is content, other commands fail with one line."""
    make_home(home, simple_config("hello:application").replace("{home}", str(home)))
    server = WasServer(home)
    assert server.command("status").returncode == 3
    assert server.status()["state"] == "stopped"
    assert server.command("stop").returncode == 0
    result = server.command("list", "wp")
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)


def test_a_home_that_is_no_home(tmp_path):
    """A folder without a configuration is named in the error."""
    result = subprocess.run(
        [sys.executable, "-P", "-m", "was", "--home", str(tmp_path / "none"), "start"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 1
    assert "none" in result.stderr
    assert _is_plain(result)
