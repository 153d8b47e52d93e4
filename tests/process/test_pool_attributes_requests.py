"""`requests`, `python` and `environmentVariables`: one row per attribute, on real processes."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.home import Pool
from harness.meter import descriptors
from harness.server import wait_for
from support.pools import CALM
from support.running import Running, place, simple_config
from support.wire import Wire, get

Start = Callable[..., Running]


def start(
    start_server: Start,
    app: str,
    *,
    requests: dict[str, str] | None = None,
    python: dict[str, str] | None = None,
    inside: str = "",
    time_scale: float | None = None,
) -> Running:
    """A server with one pool, AlwaysRunning, whose workers may die as often as they like."""
    elements = {"failure": {"rapidFailProtection": "false"}}
    elements |= {"requests": requests} if requests else {}
    elements |= {"python": python} if python else {}
    elements |= {"processModel": CALM} if time_scale else {}
    pool = Pool("Pool", {"startMode": "AlwaysRunning"}, elements, inside)
    config = simple_config(f"{app}:application", pool=pool)
    running = start_server(config, place(f"{app}.py"), time_scale=time_scale)
    running.workers(count=1)
    return running


def starts(running: Running) -> list[str]:
    """The attempts of requests that an application has noted."""
    file = running.folder() / "data" / "starts.log"
    return [line.split()[1] for line in file.read_text().splitlines()]


def has_reached(running: Running, gate: str) -> bool:
    """Whether a request waits in the application."""
    return (running.folder() / "data" / f"{gate}.reached").exists()


def open_gate(running: Running, gate: str) -> None:
    """Let it go on."""
    (running.folder() / "data" / f"{gate}.open").touch()


def spool_files(running: Running) -> list[int]:
    """Sizes of the unlinked files that the listener holds."""
    listener = running.server.status()["listener_pid"]
    unlinked = [fd for fd, name in descriptors(listener).items() if name.endswith(" (deleted)")]
    sizes = [Path(f"/proc/{listener}/fd/{fd}") for fd in unlinked]
    return [path.stat().st_size for path in sizes if "memfd:" not in os.readlink(path)]


def http_errors(running: Running, reason: str) -> bool:
    """Whether HTTPERR names this reason."""
    logs = running.home / "logs" / "HTTPERR"
    return any(f" {reason} " in file.read_text() for file in logs.glob("*.log"))


# ── what is repeated ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("replay", "method", "attempts"),
    [
        ("none", "GET", 1),
        ("safe", "GET", 2),
        ("safe", "PUT", 1),
        ("idempotent", "PUT", 2),
        ("idempotent", "POST", 1),
    ],
)
def test_replay(start_server, replay, method, attempts):
    """Which methods of requests that had begun are given to another worker."""
    running = start(start_server, "deaths", requests={"replay": replay})
    with Wire(running.port()) as wire:
        answer = wire.request("/kill?once=1", method, b"")
    assert answer.status == (200 if attempts == 2 else 502)
    assert starts(running) == [str(n) for n in range(1, attempts + 1)]


@pytest.mark.parametrize(
    ("replays", "poison", "attempts", "reason"),
    [
        ("0", "2", 2, "Connection_Abandoned_By_AppPool"),
        ("1", "2", 3, "Poisoned"),
        ("1", "1", 2, "Poisoned"),
        ("3", "1000", 4, "Connection_Abandoned_By_AppPool"),
    ],
)
def test_max_replays_and_poison_crashes(start_server, replays, poison, attempts, reason):
    """The first death blames nobody; of the next ones maxReplays are forgiven, and poisonCrashes
    make a request poison; four dispatches in all."""
    requests = {"maxReplays": replays, "poisonCrashes": poison}
    running = start(start_server, "deaths", requests=requests)
    running.allow("request_poisoned", "request_quarantined")
    assert get(running.port(), "/kill").status == 502
    assert starts(running) == [str(n) for n in range(1, attempts + 1)]
    wait_for("the line in HTTPERR", lambda: http_errors(running, reason))


# ── bodies ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("requests", "at_once"),
    [
        ({}, False),
        ({"streaming": "true"}, True),
        ({"maxSpool": "100000"}, True),
        ({"maxSpool": "300000"}, False),
    ],
)
def test_streaming_and_max_spool(start_server, requests, at_once):
    """A request is begun when its body is there; with streaming, or beyond maxSpool, at once."""
    running = start(start_server, "gates", requests=requests)
    body = b"x" * 200_000
    with Wire(running.port()) as wire:
        fields = {"Content-Length": str(len(body))}
        wire.send_request("/held?gate=g", "POST", body[:100_000], fields)
        if at_once:
            wait_for("its begin", lambda: has_reached(running, "g"))
        else:
            assert get(running.port()).status == 200  # which came later and has been answered
            assert not has_reached(running, "g")
        wire.send(body[100_000:])
        open_gate(running, "g")
        assert wire.read("POST").status == 200
    assert has_reached(running, "g")


@pytest.mark.parametrize(("limit", "in_file"), [("1000", True), ("1048576", False)])
def test_body_spool(start_server, limit, in_file):
    """What of a body is beyond bodySpool is kept in a file."""
    running = start(start_server, "gates", requests={"bodySpool": limit})
    with Wire(running.port()) as wire:
        fields = {"Content-Length": "300000"}
        wire.send_request("/", "POST", b"x" * 200_000, fields)
        if in_file:
            wait_for("a spool file", lambda: sum(spool_files(running)) > 100_000)
        else:
            assert get(running.port()).status == 200
            assert spool_files(running) == []
        wire.send(b"x" * 100_000)
        assert wire.read("POST").status == 200


@pytest.mark.parametrize(("limit", "in_file"), [("65536", True), ("1073741824", False)])
def test_response_spool(start_server, limit, in_file):
    """A worker is free when it has given its response; what is beyond responseSpool is in a
    file."""
    running = start(start_server, "large", requests={"responseSpool": limit})
    with Wire(running.port()) as wire:
        # So that little of it fits into the sockets.
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        wire.send_request("/?20000000")
        assert wire.read_until(b"\r\n\r\n")
        wait_for("a free worker", lambda: running.server.rows("wp")[0]["active"] == 0)
        assert (sum(spool_files(running)) > 1_000_000) is in_file


# ── time in the queue, threads ──────────────────────────────────────────────────────────────────


def test_queue_time_limit(start_server):
    """Who waits for a worker longer than that is answered 503, in HTTPERR Timer_AppPool."""
    running = start(
        start_server,
        "gates",
        requests={"queueTimeLimit": "00:00:10", "timeLimit": "00:10:00"},
        python={"threads": "2"},
        time_scale=20.0,
    )
    with Wire(running.port()) as held:
        held.send_request("/held?gate=g")
        wait_for("the one slot's use", lambda: has_reached(running, "g"))
        assert get(running.port()).status == 503
        wait_for("the line in HTTPERR", lambda: http_errors(running, "Timer_AppPool"))
        open_gate(running, "g")
        assert held.read().status == 200


@pytest.mark.parametrize("threads", [2, 4])
def test_threads(start_server, threads):
    """A worker runs as many requests at a time as it has threads, but for one that leads."""
    running = start(start_server, "gates", python={"threads": str(threads)})
    slots = threads - 1
    wires = [Wire(running.port()) for _ in range(slots + 1)]
    try:
        for number, wire in enumerate(wires):
            wire.send_request(f"/held?gate=g{number}")
            if number < slots:
                wait_for("its begin", lambda n=number: has_reached(running, f"g{n}"))
        wait_for("the last in the queue", lambda: running.server.rows("apppools")[0]["queued"] == 1)
        assert not has_reached(running, f"g{slots}")
        for number, wire in enumerate(wires):
            open_gate(running, f"g{number}")
            assert wire.read().status == 200
    finally:
        for wire in wires:
            wire.socket.close()


# ── environmentVariables ────────────────────────────────────────────────────────────────────────


def test_environment_variables(start_server):
    """Each is in the environment of the pool's workers, before the application is imported."""
    variables = '<add name="SHOP_MODE" value="test" /><add name="shop_mode" value="other" />'
    running = start(
        start_server,
        "surroundings",
        inside=f"<environmentVariables>{variables}</environmentVariables>",
    )
    assert get(running.port(), "/SHOP_MODE").text == "test"
    assert get(running.port(), "/shop_mode").text == "other"
    assert get(running.port(), "/NOT_THERE").status == 404


# ── enableConfigurationOverride ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_read", [True, False])
def test_enable_configuration_override(start_server, is_read):
    """Whether the pool's applications read their web.config, here a broken one."""
    pool = Pool("Pool", {"enableConfigurationOverride": str(is_read).lower()})

    def prepare(home: Path) -> None:
        place("hello.py")(home)
        (home / "sites" / "app" / "web.config").write_text("<configuration><broken>")

    running = start_server(simple_config("hello:application", pool=pool), prepare)
    running.allow("config_error", "application_failed")
    assert get(running.port()).status == (500 if is_read else 200)
