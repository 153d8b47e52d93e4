"""`was load` counts each request's fate once, and says what it was asked to do."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from harness.killing import GARDEN, make_kill_home
from harness.server import LIMIT_S, WasServer, wait_for
from support.ports import unused_port
from support.running import APPS, place, simple_config
from support.wire import get


def _load(server: WasServer, *arguments: str, code: int = 0) -> dict:
    result = server.command("load", *arguments, "--json")
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout)


def test_a_paced_load_sends_rate_times_duration_requests(start_server):
    """So many requests are due, all are sent, and each is counted under its status."""
    running = start_server(simple_config("hello:application"), place("hello.py"))
    url = f"http://127.0.0.1:{running.port()}/"
    found = _load(running.server, url, "--rate", "100", "--conns", "4", "--for", "1s")
    assert (found["requests"], found["statuses"]) == (100, {"200": 100})
    assert (found["url"], found["method"], found["conns"], found["for_s"]) == (url, "GET", 4, 1)
    assert found["p50_ms"] <= found["p90_ms"] <= found["p99_ms"] <= found["max_ms"]
    failures = ("closed_before_response", "truncated", "reset", "timeout", "refused")
    assert [found[name] for name in failures] == [0] * 5


def test_without_a_rate_each_connection_sends_at_once(start_server):
    """A closed loop lasts as long as it was told to; a POST has a length."""
    running = start_server(simple_config("hello:application"), place("hello.py"))
    url = f"http://127.0.0.1:{running.port()}/?a=b"
    assert get(running.port()).status == 200  # the worker is there
    found = _load(running.server, url, "--conns", "2", "--for", "500ms", "--method", "post")
    assert found["requests"] > 2  # more than one a connection
    assert found["statuses"] == {"200": found["requests"]}
    assert 0.4 < found["elapsed_s"] < 20
    text = running.server.command("load", url, "--for", "200ms")
    assert "x 200" in text.stdout


def test_a_port_nobody_listens_on_is_refused(tmp_path):
    """Refused connections are told from other failures; without any answer it has failed."""
    url = f"http://127.0.0.1:{unused_port()}/"
    found = _load(WasServer(tmp_path), url, "--rate", "20", "--for", "500ms", code=1)
    assert (found["requests"], found["refused"], found["statuses"]) == (10, 10, {})


def test_silence_is_a_timeout(tmp_path):
    """A server that takes a request and says nothing is counted after --timeout."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        found = _load(
            WasServer(tmp_path),
            *(url, "--rate", "4", "--for", "500ms", "--timeout", "100ms"),
            code=1,
        )
    assert (found["requests"], found["timeout"]) == (2, 2)


def test_an_interrupted_load_says_what_came_of_it():
    """Ctrl-C ends it with 1, and the requests that had ended are counted."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        command = [sys.executable, "-P", "-m", "was", "load", url, "--for", "60s", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            server.settimeout(LIMIT_S)
            client, _ = server.accept()
            with client:
                assert client.recv(65536)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                assert client.recv(65536)  # the second request: the first one is counted
                process.send_signal(signal.SIGINT)
                output, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, errors.split()) == (1, [b"Aborted!"])
    assert json.loads(output)["statuses"] == {"200": 1}


def test_a_killed_listener_shows(start_server):
    """What a killed listener did to its clients is in the counts, and nothing is counted twice."""
    running = start_server(None, lambda home: make_kill_home(home, APPS / "starts.py"))
    running.allow("listener_died")
    listener = running.server.status()["listener_pid"]
    running.workers(GARDEN.name, 2)
    url = f"http://127.0.0.1:{running.port('Kill')}/"
    found: list[dict] = []
    load = threading.Thread(
        target=lambda: found.append(
            _load(running.server, url, "--rate", "200", "--conns", "16", "--for", "3s")
        )
    )
    load.start()
    starts = running.home / "sites" / "kill" / "data" / "starts.log"
    wait_for("requests", lambda: starts.exists() and starts.stat().st_size > 2000)
    os.kill(listener, signal.SIGKILL)
    load.join()
    (counts,) = found
    broken = sum(counts[name] for name in ("reset", "closed_before_response", "truncated"))
    assert broken + counts["unannounced_closes"] > 0
    assert counts["refused"] == 0
    assert counts["statuses"].get("200", 0) + broken == counts["requests"] == 600


@pytest.mark.parametrize(
    "arguments",
    [
        ["ftp://host/"],
        ["https://127.0.0.1/"],
        ["http://127.0.0.1:99999/"],
        ["http:///nothing"],
        ["http://127.0.0.1/ä"],
        ["http://127.0.0.1/", "--for", "soon"],
        ["http://127.0.0.1/", "--for", "0s"],
        ["http://127.0.0.1/", "--rate", "-1"],
        ["http://127.0.0.1/", "--method", "G T"],
    ],
)
def test_wrong_usage_is_said(tmp_path, arguments):
    """What cannot be sent is a usage error, one line, before anything is sent."""
    result = WasServer(tmp_path).command("load", *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
