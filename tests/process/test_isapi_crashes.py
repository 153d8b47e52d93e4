"""What an extension does to its process costs its own pool one worker, and nobody else anything.

Each harm is done by a POST, which may not be repeated: its client gets 502, or 504 where the
process lives on. Meanwhile a second pool answers, by the same worker from first to last. Each has a
URL of its own, as one that kills twice is refused.
"""

import threading
from pathlib import Path

import pytest
from harness.home import (
    Application,
    Pool,
    Site,
    application_host_config,
    place_application,
    wsgi_handler,
)
from harness.server import wait_for
from support.event_log import dossier_of, events
from support.isapi import ALLOW_ALL, SAMPLES, SOURCES, compile_extension, isapi_handler
from support.running import APPS, run_server
from support.wire import Wire, get

LIMITS = {
    "failure": {"rapidFailProtection": "false"},
    "isolation": {"maxMemory": "600000"},
}
# Only for what never ends by itself: a harm that takes its time on a busy machine is no hang. The
# time limit passes first, or it would be a missed ping that ends the worker.
HANGS = {
    **LIMITS,
    "processModel": {
        "shutdownTimeLimit": "00:00:03",
        "pingInterval": "00:00:05",
        "pingResponseTime": "00:00:20",
    },
    "requests": {"timeLimit": "00:00:04"},
}
BAD_POOLS = ("Bad", "Hung")


def prepare(home: Path) -> None:
    """The crashing sample, and applications."""
    folder = place_application(home / "sites" / "app", SOURCES / "holds_lock.py")
    compile_extension(SAMPLES / "crash.c", folder / "crash.so")
    place_application(home / "sites" / "good", APPS / "hello.py")


@pytest.fixture(scope="module")
def running():
    """One server: a pool whose extensions end it, one where they hang, one of somebody else."""
    home = Path("{home}") / "sites"
    handlers = (isapi_handler("crash/*", "crash.so"), isapi_handler("hold", "holds_lock.py"))
    good = Application("/", home / "good", "Good", (wsgi_handler("hello:application"),))
    config = application_host_config(
        [
            Pool("Bad", {"startMode": "AlwaysRunning"}, LIMITS),
            Pool("Hung", {"startMode": "AlwaysRunning"}, HANGS),
            Pool("Good"),
        ],
        [
            *(Site(pool, (Application("/", home / "app", pool, handlers),)) for pool in BAD_POOLS),
            Site("Good", (good,)),
        ],
        ALLOW_ALL,
    )
    with run_server(config, prepare) as server:
        server.allow("worker_faulty")
        yield server


class Bystander(threading.Thread):
    """A client of the other pool, all the while."""

    def __init__(self, running):
        super().__init__(name="bystander")
        self._port = running.port("Good")
        self._over = threading.Event()
        self.statuses = set()
        self.count = 0

    def run(self):
        while not self._over.is_set():
            self.statuses.add(get(self._port).status)
            self.count += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()


def harm(running, pool, path, query, status):
    """Do it in that pool, with a bystander; the event that names the request."""

    def has_url(event):
        return any(r["url"] == f"{path}?{query}" for r in event["requests"])

    assert get(running.port(pool), path).text == "alive"
    worker = running.workers(pool, 1)
    known = {event["dossier"] for event in all_events(running)}
    with Bystander(running) as bystander, Wire(running.port(pool)) as wire:
        assert get(running.port("Good")).status == 200
        neighbours = running.workers("Good", 1)
        answer = wire.request(f"{path}?{query}", "POST", b"")
        assert answer.status == status
        assert answer.field("x-request-id")
        wait_for("another worker", lambda: running.workers(pool) not in ([], worker))
        new = wait_for(
            "the event",
            lambda: [e for e in all_events(running) if e["dossier"] not in known and has_url(e)],
        )[0]
        assert running.workers("Good") == neighbours
    assert bystander.statuses == {200}
    assert get(running.port(pool), path).text == "alive"
    return new


def all_events(running):
    """Those that have a dossier."""
    return [event for event in events(running) if event.get("dossier") and event.get("requests")]


def named_in(dossier, key="requests"):
    """The library and the URL of the one request of a dossier."""
    (request,) = dossier[key]
    return request


@pytest.mark.parametrize(
    ("query", "how"),
    [
        ("null", "Fatal Python error: Segmentation fault"),
        ("abort", "Fatal Python error: Aborted"),
        ("exit", "exit 0"),
        ("stack", "SIG"),
        ("leak", "Fatal Python error: Segmentation fault"),
    ],
)
def test_an_extension_that_ends_its_process(running, query, how):
    """502; the dossier names the library, the URL and the entry point, and how it ended.

    The first fault is what counts: in rare cases reading the stacks of the threads that go on
    meanwhile makes a second one, and its signal is what ends the process.
    """
    event = harm(running, "Bad", f"/crash/{query}", query, 502)
    dossier = dossier_of(event)
    assert how in "\n".join([dossier["how"], *dossier["stacks"]])
    request = named_in(dossier)
    assert request["url"] == f"/crash/{query}?{query}"
    assert request["module"] == "IsapiModule"
    assert request["library"].startswith("HttpExtensionProc ")
    assert f"{running.folder()}/crash.so".endswith(request["library"].split(" ", 1)[1])
    assert any(f"library={running.folder()}/crash.so" in line for line in dossier["log"])


def test_an_extension_that_loops_for_ever(running):
    """504 at the time limit; the worker is replaced, and killed when it does not end."""
    event = harm(running, "Hung", "/crash/loop", "loop", 504)
    dossier = dossier_of(event)
    assert named_in(dossier)["url"] == "/crash/loop?loop"
    assert named_in(dossier, "running")["library"].endswith("crash.so")


def test_a_python_extension_that_holds_the_interpreters_lock_for_ever(running):
    """504; the stacks are had all the same, and say where."""
    event = harm(running, "Hung", "/hold", "hold", 504)
    dossier = dossier_of(event)
    assert any("in hold_the_lock" in line for line in dossier["stacks"])
    assert named_in(dossier)["url"] == "/hold?hold"
    assert named_in(dossier, "running")["library"].endswith("holds_lock.py")
