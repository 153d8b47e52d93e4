"""Requests that wait for a FastCGI process: they have not begun, and hold nobody up."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config
from harness.server import wait_for
from support.running import place
from support.wire import CutShortError, Wire, get

RESPONDER = "{home}/sites/app/fcgi_responder.py"
# Far more than a pool's threads: those that wait have none.
WAITING = 60


def _config() -> str:
    handlers = (
        '<add name="program" path="/program" verb="*" modules="FastCgiModule" '
        f'scriptProcessor="/usr/bin/python3|{RESPONDER}" />',
        '<add name="page" path="*.page" verb="*" modules="FastCgiModule" '
        f'scriptProcessor="/usr/bin/python3|{RESPONDER}" />',
        '<add name="wsgi" path="/" verb="*" modules="WsgiModule" '
        'scriptProcessor="hello:application" />',
    )
    application = (
        f'<application fullPath="/usr/bin/python3" arguments="{RESPONDER}" maxInstances="1" />'
    )
    site = Site("Site", (Application("/", Path("{home}") / "sites" / "app", "Pool", handlers),))
    section = (
        f"<system.webServer><fastCgi>{application}</fastCgi>"
        '<defaultDocument><files><add value="index.page" /></files></defaultDocument>'
        "</system.webServer>"
    )
    return application_host_config([Pool("Pool")], [site], section)


def test_they_survive_their_worker_and_others_are_answered_meanwhile(start_server):
    """Sixty POSTs wait for one process, another site's page does not; then the worker is killed.

    The one that the process had is cut. Each of the sixty is answered, and was run once.
    """
    running = start_server(_config(), place("fcgi_responder.py", "hello.py"))
    data = running.folder() / "data"
    assert get(running.port(), "/").status == 200
    (worker,) = running.workers()
    with ExitStack() as stack:
        first = stack.enter_context(Wire(running.port()))
        first.send_request(f"/program?until={data}/never", "POST", b"first")
        first.read_until(b"begun\n")
        others = [stack.enter_context(Wire(running.port())) for _ in range(WAITING)]
        for number, wire in enumerate(others):
            wire.send_request(f"/program?note={data}/notes", "POST", b"%d" % number)
        wait_for("all to be with the worker", lambda: len(_rows(running, worker)) == WAITING + 1)
        assert get(running.port(), "/").status == 200
        os.kill(worker, signal.SIGKILL)
        running.allow("worker_died")
        assert [wire.read().status for wire in others] == [200] * WAITING
        with pytest.raises(CutShortError):
            first.read()
    notes = (data / "notes").read_bytes().split()
    assert sorted(map(int, notes)) == list(range(WAITING))


def test_a_default_document_waits_like_any_other(start_server):
    """Sixty GETs of a folder, for one process: another page of the pool is answered meanwhile."""
    running = start_server(_config(), place("fcgi_responder.py", "hello.py"))
    data = running.folder() / "data"
    (running.folder() / "folder").mkdir()
    (running.folder() / "folder" / "index.page").touch()
    assert get(running.port(), "/").status == 200
    (worker,) = running.workers()
    with ExitStack() as stack:
        first = stack.enter_context(Wire(running.port()))
        first.send_request(f"/folder/?until={data}/gate")
        first.read_until(b"begun\n")
        others = [stack.enter_context(Wire(running.port())) for _ in range(WAITING)]
        for wire in others:
            wire.send_request(f"/folder/?note={data}/notes")
        wait_for("all to be with the worker", lambda: len(_rows(running, worker)) == WAITING + 1)
        assert get(running.port(), "/").status == 200
        (data / "gate").touch()
        assert [wire.read().status for wire in others] == [200] * WAITING
    assert (data / "notes").read_bytes() == b"\n" * WAITING


def _rows(running, worker):
    return [row for row in running.server.rows("requests") if row["pid"] == worker]
