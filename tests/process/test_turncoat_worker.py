"""A worker that says to the manager what no worker may: it is replaced, and nobody else is."""

import re
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from harness.server import wait_for
from support.running import STEADY, Running, place, run_server
from support.wire import CutShortError, get, post

from was.ipc import codec
from was.ipc import listener_control as lc
from was.ipc import worker_control as wc

FORGED = "no\n2026-01-01T00:00:00.000Z error manager[1] worker_faulty forged=1"


@pytest.fixture(scope="module")
def running():
    names = ("turncoat", "hello")
    config = application_host_config(
        [Pool(name, STEADY["attributes"], STEADY["elements"]) for name in names],
        [
            Site(
                name,
                (
                    Application(
                        "/",
                        Path("{home}") / "sites" / name,
                        name,
                        (wsgi_handler(f"{name}:application"),),
                    ),
                ),
            )
            for name in names
        ],
    )

    def prepare(home: Path) -> None:
        for name in names:
            place(f"{name}.py", folder=name)(home)

    with run_server(config, prepare) as server:
        server.allow("worker_faulty", "worker_start_failed", "request_quarantined")
        yield server


def say(running: Running, path: str, *messages: bytes, times: int = 1) -> None:
    """Have the worker, which serves well until then, say it; it may be killed as it does."""
    port = running.port("turncoat")
    wait_for("an answer", lambda: get(port).status == 200)
    body = b"\n".join(map(b64encode, messages))
    with suppress(CutShortError):
        # A POST is not tried again, and kills no second worker.
        post(port, f"{path}?times={times}", body)


UNSAYABLE = {
    "garbage": b"\xc1 no message",
    "nothing": b"",
    "a second hello": codec.encode(wc.WorkerHello(1, 1)),
    "the template's": codec.encode(wc.TemplateHello(1)),
    "the listener's": codec.encode(lc.ListenerHello(1, 1)),
    "a command": codec.encode(wc.StopWorker(drain=True)),
    "another's death": codec.encode(lc.WorkerDeathSettled(1, [], 0)),
    "a failure, in many words": codec.encode(wc.WorkerStartFailed(1, "x" * 4000 + FORGED)),
    "a failure, in forged lines": codec.encode(wc.WorkerStartFailed(1, FORGED)),
}


@pytest.mark.parametrize("what", UNSAYABLE)
def test_what_no_worker_may_say_costs_it_its_place_alone(running, what):
    """However often it says so, it is said once that it did; manager and other pools go on."""
    status = running.server.status()
    (old,) = running.workers("turncoat", count=1)
    (other,) = running.workers("hello", count=1)
    before = len(running.server.log_text())
    say(running, f"/{list(UNSAYABLE).index(what)}", UNSAYABLE[what], times=100)
    wait_for("another worker", lambda: running.workers("turncoat") not in ([], [old]))
    assert get(running.port("hello")).status == 200
    assert running.workers("hello") == [other]
    now = running.server.status()
    for name in ("manager_pid", "listener_pid", "template_pid"):
        assert now[name] == status[name]
    log = running.server.log_text()[before:]
    assert len(re.findall(r"^\S+ error manager\S+ worker_faulty ", log, re.MULTILINE)) == 1
    assert max(map(len, log.splitlines())) < 4000
    assert "Traceback" not in log


def test_what_it_may_say_it_may_say_often(running):
    """Answers to questions that nobody has asked, and pleas, change nothing but its own place."""
    (other,) = running.workers("hello", count=1)
    manager = running.server.status()["manager_pid"]
    plea = wc.RecycleRequested(1, "OnDemand", FORGED * 1000)
    for message in (wc.Pong(7), wc.WorkerReady(1), wc.WorkerAnswer(1, 1, 0, bytes(50_000)), plea):
        say(running, "/often", codec.encode(message), times=2000)
        assert get(running.port("hello")).status == 200
    assert running.workers("hello") == [other]
    assert running.server.status()["manager_pid"] == manager
    assert "\n2026-01-01" not in running.server.log_text()
    assert max(map(len, running.server.log_text().splitlines())) < 4000
