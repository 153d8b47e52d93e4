"""run/state on a disk that is full: what serves goes on, and `was status` says so."""

import os
import signal

from harness.server import wait_for
from support.pools import SCALE, calm_pool
from support.running import place, simple_config
from support.wire import get

# The records of what is started here, as they are called before they have their names.
RECORDS = ["listener", "worker-2", "worker-3"]


def test_an_upgrade_that_cannot_be_noted_has_failed(start_server):
    """Whoever asked is told so, all goes on with the old code, and the next one is one."""
    running = start_server(simple_config("hello:application"), place("hello.py"))
    running.allow("upgrade_failed")
    server, before = running.server, running.server.status()
    in_the_way = running.home / "run" / "state" / ".upgrade.json.new"
    in_the_way.mkdir()
    failed = server.command("upgrade")
    assert (failed.returncode, "Is a directory" in failed.stderr) == (1, True)
    assert server.status()["template_pid"] == before["template_pid"]
    in_the_way.rmdir()
    assert server.command("upgrade").returncode == 0
    assert server.status()["template_pid"] != before["template_pid"]


def test_whoever_dies_is_replaced_and_the_records_are_made_up_for(start_server):
    """Worker and listener, at once; an upgrade is refused; then the next manager finds all."""
    config = simple_config("hello:application", pool=calm_pool())
    running = start_server(config, place("hello.py"), time_scale=SCALE)
    running.allow("listener_died", "state_not_written")
    server, port = running.server, running.port()
    (worker,) = running.workers(count=1)
    listener = server.status()["listener_pid"]
    in_the_way = [running.home / "run" / "state" / f".{name}.json.new" for name in RECORDS]
    for folder in in_the_way:
        folder.mkdir()
    os.kill(worker, signal.SIGKILL)
    assert get(port).status == 200
    os.kill(listener, signal.SIGKILL)
    wait_for("another listener", lambda: server.status()["listener_pid"] not in (0, listener))
    assert get(port).status == 200
    assert "run/state cannot be written" in " ".join(server.status()["problems"])
    refused = server.command("upgrade")
    assert (refused.returncode, "run/state" in refused.stderr) == (1, True)
    for folder in in_the_way:
        folder.rmdir()
    wait_for("no problem", lambda: not server.status()["problems"])
    workers, listener = running.workers(count=1), server.status()["listener_pid"]
    server.send(signal.SIGKILL)
    server.wait_exit()
    server.start()
    assert server.status()["listener_pid"] == listener
    assert running.workers(count=1) == workers
    assert get(port).status == 200
