"""`was run module:app`: one application, no home, until Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from harness.meter import command_line
from harness.server import LIMIT_S, wait_for
from support.running import APPS
from support.wire import get, post

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"{}"]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hello.py").write_text((APPS / "hello.py").read_text())
    return tmp_path


def _run(folder, *arguments, **environment) -> subprocess.Popen[bytes]:
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "was", "run", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | environment,
        )


def _url_port(folder) -> int:
    text = (folder / "output").read_text()
    found = re.search(r"http://127\.0\.0\.1:(\d+)", text) if "ready" in text else None
    return int(found[1]) if found else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(folder, number):
    """It serves the application and ends with 0, leaving no process, on Ctrl-C."""
    process = _run(folder, "hello:application", "--bind", "127.0.0.1:0")
    try:
        port = wait_for("ready", lambda: _url_port(folder))
        assert get(port).text == "hello\n"
        before = set(_children(process.pid))
        assert before
    finally:
        process.send_signal(number)
        code = process.wait(LIMIT_S)
    assert code == 0
    wait_for("the end of all processes", lambda: not any(command_line(pid) for pid in before))


def test_what_the_application_prints_is_there_at_once(folder):
    """A printed line is in the output while the worker lives: a kill loses none."""
    (folder / "talk.py").write_text(
        "def app(environ, start_response):\n"
        "    print('asked for', environ['PATH_INFO'])\n"
        "    start_response('204 No Content', [])\n"
        "    return []\n"
    )
    process = _run(folder, "talk:app", "--bind", "127.0.0.1:0")
    try:
        port = wait_for("ready", lambda: _url_port(folder))
        assert get(port, "/here").status == 204
        assert "asked for /here\n" in (folder / "output").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT_S)


def test_sighup_is_for_the_code(folder):
    """As with gunicorn's: new workers, which run what the files say now."""
    (folder / "hello.py").write_text(HELLO.format("before"))
    process = _run(folder, "hello:application", "-b", "127.0.0.1:0")
    try:
        port = wait_for("ready", lambda: _url_port(folder))
        assert get(port).text == "before"
        (folder / "hello.py").write_text(HELLO.format("what is new"))
        process.send_signal(signal.SIGHUP)
        wait_for("the new code", lambda: get(port).text == "what is new")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0


DEADLY = """
import os
import signal

def application(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", [])
    return [b"alive"]
"""


def test_its_worker_comes_back_however_often_it_dies(folder):
    """As with gunicorn: there is no administrator who would start a pool that was disabled."""
    (folder / "deadly.py").write_text(DEADLY)
    process = _run(folder, "deadly:application", "-b", "127.0.0.1:0")
    try:
        port = wait_for("ready", lambda: _url_port(folder))
        for number in range(8):
            assert post(port, f"/{number}", b"").status == 502
        assert get(port).text == "alive"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0


def test_it_serves_without_standard_output(folder):
    """Closed, as by a service manager or `>&-`: what would go there is lost, and nothing else."""
    command = f"exec {sys.executable} -P -m was run hello -b 127.0.0.1:0 <&- >&-"
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(["/bin/sh", "-c", command], cwd=folder, stderr=errors)
    try:
        wait_for("ready", lambda: " ready\n" in (folder / "errors").read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0


def test_a_folder_that_is_gone_is_said(folder):
    """Who has deleted and made it anew in another terminal reads what is wrong."""
    (folder / "gone").mkdir()
    command = f"cd gone && rmdir ../gone && exec {sys.executable} -P -m was run hello"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )
    said = "was: the current folder is not there any more\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_requests_are_printed_where_that_is_asked_for(folder):
    """--access-log: who made it, what for and what came of it, where the server's own lines go."""
    process = _run(folder, "hello:application", "-b", "127.0.0.1:0", "--access-log")
    try:
        port = wait_for("ready", lambda: _url_port(folder))
        get(port, "/seen?by=me")
        line = f" GET /seen by=me {port} - 127.0.0.1 "
        wait_for("the line", lambda: line in (folder / "output").read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT_S)


def test_the_application_has_the_environment_and_the_folder_of_the_command(folder):
    """Settings from the environment, PYTHONPATH too, and relative paths: as when it was checked.

    What systemd says to the command is not the application's, and no value keeps it from starting.
    """
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "helper.py").write_text("")
    (folder / "data.txt").write_text("relative")
    (folder / "told.py").write_text(
        "import os, helper\n"
        "data = open('data.txt').read()\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    names = 'SETTING', 'LONG', 'NO_TEXT', 'NOTIFY_SOCKET'\n"
        "    values = [os.environ.get(name, '-')[:9] for name in names]\n"
        "    return [' '.join([data, *values]).encode()]\n"
    )
    given = {"SETTING": "größer", "LONG": "x" * 100_000, "NO_TEXT": "\udcff", "NOTIFY_SOCKET": ""}
    process = _run(folder, "told:app", "-b", "127.0.0.1:0", PYTHONPATH=str(elsewhere), **given)
    try:
        port = wait_for("ready", lambda: _url_port(folder))
        assert get(port).text == "relative größer xxxxxxxxx - -"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT_S)


def _children(pid: int) -> list[int]:
    """All descendants."""
    found, new = [], [pid]
    while new:
        parent = new.pop()
        with open(f"/proc/{parent}/task/{parent}/children") as file:
            children = [int(word) for word in file.read().split()]
        found += children
        new += children
    return found


def test_a_module_that_does_not_exist_is_named(folder):
    """A wrong name ends it with 1 (or a 500 page that names it), never with silence."""
    process = _run(folder, "missing_module:application", "--bind", "127.0.0.1:0")
    try:
        deadline = time.monotonic() + LIMIT_S
        while process.poll() is None and time.monotonic() < deadline:
            if port := _url_port(folder):
                answer = get(port)
                assert answer.status == 500
                assert "missing_module" in answer.text
                return
            time.sleep(0.02)
        assert process.returncode == 1
        assert "missing_module" in (folder / "output").read_text()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)
