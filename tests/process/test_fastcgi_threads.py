"""Requests that wait for a process on a thread, and one that needs a thread to be rid of it."""

from contextlib import ExitStack
from pathlib import Path

from harness.home import Application, Pool, Site, application_host_config
from harness.server import wait_for
from support.running import place
from support.wire import Wire

RESPONDER = "{home}/sites/app/fcgi_responder.py"
# A pool's threads, and how many of them are for requests.
THREADS, SLOTS = 6, 5
# More than is kept for a second process: it is fed to the first by a thread.
BODY = b"x" * 100_000


def _config() -> str:
    handler = (
        '<add name="program" path="/program" verb="*" modules="FastCgiModule" '
        f'scriptProcessor="/usr/bin/python3|{RESPONDER}" />'
    )
    application = (
        f'<application fullPath="/usr/bin/python3" arguments="{RESPONDER}" maxInstances="1" />'
    )
    site = Site("Site", (Application("/", Path("{home}") / "sites" / "app", "Pool", (handler,)),))
    section = f"<system.webServer><fastCgi>{application}</fastCgi></system.webServer>"
    pool = Pool("Pool", {}, {"python": {"threads": str(THREADS)}})
    return application_host_config([pool], [site], section)


def test_an_answer_that_takes_a_thread_has_one_though_all_wait_for_its_process(start_server):
    """Whoever has the process can always go on: nobody waits for who waits for him."""
    running = start_server(_config(), place("fcgi_responder.py"))
    data = running.folder() / "data"
    with ExitStack() as stack:
        warm, first, *others = [
            stack.enter_context(Wire(running.port())) for _ in range(2 + 2 * SLOTS)
        ]
        assert warm.request("/program").status == 200
        (worker,) = running.workers()
        first.send_request(f"/program?wait={data}/gate&large")
        wait_for("the first", lambda: len(_rows(running, worker)) == 1)
        for wire in others:
            wire.send_request("/program", "POST", BODY)
        wait_for("threads that wait", lambda: len(_rows(running, worker)) > SLOTS)
        (data / "gate").touch()
        assert first.read().status == 200
        assert [wire.read().status for wire in others] == [200] * len(others)


def _rows(running, worker):
    return [row for row in running.server.rows("requests") if row["pid"] == worker]
