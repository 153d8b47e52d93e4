"""One pool takes all it can get; the other one's requests are answered all the same."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from harness.meter import descriptors
from harness.server import WasServer, wait_for
from support.load import under_load
from support.running import STEADY, Running, place, run_server
from support.wire import get, many

from was.ipc.endpoints import SocketFolder

SECONDS = 4.0
RATE = 50.0
TASKS = 48
MEMORY_KB = 256 * 1024
DESCRIPTORS = 1500

# Half a request is waited for; not for long, here.
SOON = {"processModel": {"shutdownTimeLimit": "00:00:02"}}

ATTACKER = Pool(
    "attacker",
    STEADY["attributes"],
    {
        **STEADY["elements"],
        **SOON,
        "cpu": {"limit": "50000", "action": "Throttle"},
        "isolation": {"maxTasks": str(TASKS), "maxMemory": str(MEMORY_KB)},
    },
)
VICTIM = Pool("victim", STEADY["attributes"], {**STEADY["elements"], **SOON})


def _site(name: str, module: str) -> Site:
    folder = Path("{home}") / "sites" / name
    return Site(name, (Application("/", folder, name, (wsgi_handler(f"{module}:application"),)),))


def _start(server: WasServer) -> None:
    server.start(max_files=DESCRIPTORS)


def _p99(running: Running) -> float:
    tally = under_load(running.port("victim"), SECONDS, rate=RATE)()
    assert tally.total == SECONDS * RATE
    assert not tally.failures, tally.summary()
    assert set(tally.statuses) == {200}, tally.summary()
    return tally.latency_ms(0.99)


def _queue(running: Running) -> str:
    folder = SocketFolder(Path((running.home / "run" / "sockets").read_text().strip()))
    return folder.queue_endpoint("attacker", 1).queue.removeprefix("ipc://")


def test_a_pool_that_takes_all_it_can_get_leaves_the_others_answered(capsys):
    """At its limits of processes, memory and processor, flooding its queue and its site."""
    config = application_host_config(
        [ATTACKER, VICTIM], [_site("attacker", "flooder"), _site("victim", "hello")]
    )

    def prepare(home: Path) -> None:
        place("flooder.py", folder="attacker")(home)
        place("hello.py", folder="victim")(home)

    with run_server(config, prepare, launch=_start) as running:
        quiet = _p99(running)
        query = {"do": "flood", "queue": _queue(running), "port": running.port("attacker")}
        met = json.loads(get(running.port("attacker"), "/?" + urlencode(query)).text)
        busy = _p99(running)
        with capsys.disabled():
            sys.stdout.write(f"\n{met}\np99 of the other pool: {quiet:.1f} ms, then {busy:.1f}: ")
            sys.stdout.write(f"{busy / quiet:.1f} times as long\n")
        assert met["messages"] == ["500", "500"]
        assert met["memory"].startswith("ENOMEM")
        if os.geteuid() == 0:
            assert met["processes"].startswith("EAGAIN")
            assert "connections_crowded" in running.server.log_text()


FILE_READERS = 400
FEW_DESCRIPTORS = 600


SLOW_READERS = application_host_config(
    [ATTACKER, VICTIM],
    [
        Site(name, (Application("/", Path("{home}") / "sites" / name, name),))
        for name in ("attacker", "victim")
    ],
)


def _prepare_files(home: Path) -> None:
    for name in ("attacker", "victim"):
        (home / "sites" / name).mkdir(parents=True)
        (home / "sites" / name / "file.txt").write_bytes(b"x" * 200_000)
    os.truncate(home / "sites" / "attacker" / "file.txt", 1 << 30)


@contextmanager
def _slow_readers() -> Iterator[Running]:
    """A server with few descriptors and two sites of one file, one of which is long."""

    def start(server: WasServer) -> None:
        server.start(max_files=FEW_DESCRIPTORS)

    with run_server(SLOW_READERS, _prepare_files, launch=start) as running:
        yield running
        assert "Traceback" not in running.server.log_text()


def _assert_victim_answers(running: Running) -> None:
    for _ in range(20):
        assert len(get(running.port("victim"), "/file.txt").body) == 200_000


def test_who_takes_files_slowly_leaves_descriptors_for_the_others():
    """Each download holds three of them: beyond their share some are cut, and nothing else is."""
    with _slow_readers() as running:
        workers = running.workers("attacker")
        with many(running.port("attacker"), FILE_READERS) as clients:
            for client in clients:
                client.send_request("/file.txt")
            wait_for("some to be cut", lambda: "connections_crowded" in running.server.log_text())
            _assert_victim_answers(running)
            assert running.workers("attacker") == workers


def test_files_that_come_all_at_once_leave_descriptors_for_the_others():
    """As above within one turn of the listener's loop, before anybody can be made to leave."""
    with _slow_readers() as running:
        (worker,) = running.workers("attacker", count=1)
        listener = running.server.status()["listener_pid"]
        os.kill(worker, signal.SIGSTOP)
        with many(running.port("attacker"), FILE_READERS) as clients:
            for client in clients:
                client.send_request("/file.txt")
            wait_for("all of them", lambda: len(descriptors(listener)) >= FILE_READERS)
            os.kill(worker, signal.SIGCONT)
            _assert_victim_answers(running)
            assert running.workers("attacker") == [worker]
