"""Identities hold whoever is replaced: listener, template, manager, or all by an upgrade."""

import os
import signal
from pathlib import Path

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.files import replace_text
from support.running import STEADY, place, simple_config
from support.wire import get

POOL = Pool("Pool", STEADY["attributes"], STEADY["elements"])


def _uids(pid: int) -> set[int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {int(uid) for line in lines if line.startswith("Uid:") for uid in line.split()[1:]}


class Identities:
    """Who listener and workers of a server are."""

    def __init__(self, running) -> None:
        self.running = running
        self.listener = running.server.status()["listener_pid"]
        self.worker = running.workers("Pool", 1)[0]
        self.uids = (_uids(self.listener), _uids(self.worker))

    def with_other(self, *names: str) -> "Identities":
        """As they are when these are other processes, and a request has been answered."""

        def changed() -> bool:
            pids = {
                "listener": self.running.server.status().get("listener_pid", 0),
                "worker": next(iter(self.running.server.workers("Pool")), 0),
            }
            return all(pids[name] not in (0, getattr(self, name)) for name in names)

        wait_for(f"another {names}", changed)
        assert get(self.running.port(), "/").status == 200
        return Identities(self.running)


@pytest.fixture
def before(start_server):
    """A server that has answered."""
    running = start_server(simple_config("hello:application", pool=POOL), place("hello.py"))
    assert get(running.port(), "/").status == 200
    found = Identities(running)
    if os.geteuid() == 0:
        assert found.uids[0].isdisjoint({0, *found.uids[1]})
        assert 0 not in found.uids[1]
    return found


def test_the_next_listener_is_who_the_last_one_was(before):
    """A killed listener: the next one is no root either, and the old worker reaches it."""
    before.running.allow("listener_died")
    os.kill(before.listener, signal.SIGKILL)
    after = before.with_other("listener")
    assert after.uids == before.uids
    assert after.worker == before.worker


def test_the_next_worker_is_who_the_last_one_was(before):
    """A killed worker, and one from a new template."""
    os.kill(before.worker, signal.SIGKILL)
    between = before.with_other("worker")
    os.kill(before.running.server.status()["template_pid"], signal.SIGKILL)
    os.kill(between.worker, signal.SIGKILL)
    assert between.with_other("worker").uids == between.uids == before.uids


def test_the_next_manager_gives_the_same_identities(before):
    """It takes over listener and worker; those it starts later reach the queue that is there."""
    server = before.running.server
    server.send(signal.SIGKILL)
    server.wait_exit()
    server.start()
    after = Identities(before.running)
    assert (after.listener, after.worker, after.uids) == (
        before.listener,
        before.worker,
        before.uids,
    )
    os.kill(after.worker, signal.SIGKILL)
    assert after.with_other("worker").uids == before.uids


def test_an_upgrade_gives_the_same_identities(before):
    """New manager, listener and worker are who the old ones were."""
    assert before.running.server.command("upgrade").returncode == 0
    after = before.with_other("listener", "worker")
    assert after.uids == before.uids


def test_other_ids_are_for_pools_to_come(before):
    """A range that was changed takes nobody away from its files and its queue."""
    running = before.running
    file = running.home / "config" / "applicationHost.config"
    text = file.read_text().replace("</sites>", '</sites><identities firstId="600000" />')
    text = text.replace("</applicationPools>", '<add name="new" /></applicationPools>')
    replace_text(file, text)
    assert running.server.command("reload").returncode == 0
    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
    assert before.with_other("worker").uids == before.uids
    if os.geteuid() == 0:
        rows = {row["name"]: row["isolation"]["uid"] for row in running.server.rows("apppools")}
        assert {rows["Pool"]} == before.uids[1]
        assert 600_000 <= rows["new"] < 644_288
