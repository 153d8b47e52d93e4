"""Processes that end, and what becomes of the requests they were given, or others wait for."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config
from harness.server import wait_for
from support.php import PHP_ARGUMENTS
from support.running import place, run_server
from support.wire import Wire, get, post

RESPONDER = "{home}/sites/app/fcgi_responder.py"
# Processes that end by themselves every few requests, and as many clients as find room.
PROCESSES, QUEUE, REQUESTS_EACH, ROUNDS = 2, 4, 5, 40
TIME_LIMIT_S = 8


def _config() -> str:
    variable = f"<environmentVariable name='PHP_FCGI_MAX_REQUESTS' value='{REQUESTS_EACH}' />"
    programs = {
        "*.php": (
            "/usr/bin/php-cgi",
            PHP_ARGUMENTS,
            f'maxInstances="{PROCESSES}" queueLength="{QUEUE}"',
            f"<environmentVariables>{variable}</environmentVariables>",
        ),
        "/one": ("/usr/bin/python3", f"{RESPONDER} one", 'maxInstances="1"', ""),
        "/three": ("/usr/bin/python3", f"{RESPONDER} three", 'maxInstances="3"', ""),
    }
    handlers, applications = [], ""
    for path, (program, arguments, attributes, inside) in programs.items():
        applications += (
            f'<application fullPath="{program}" arguments="{arguments}" {attributes}>'
            f"{inside}</application>"
        )
        handlers.append(
            f'<add name="{path.strip("*./")}" path="{path}" verb="*" modules="FastCgiModule" '
            f'scriptProcessor="{program}|{arguments}" />'
        )
    folder = Path("{home}") / "sites" / "app"
    site = Site("Site", (Application("/", folder, "Pool", tuple(handlers)),))
    section = f"<system.webServer><fastCgi>{applications}</fastCgi></system.webServer>"
    limits = {"requests": {"timeLimit": f"00:00:{TIME_LIMIT_S:02}"}}
    return application_host_config([Pool("Pool", {}, limits)], [site], section)


@pytest.fixture(scope="module")
def running():
    """One server for all: none of them costs it its worker."""
    with run_server(_config(), place("fcgi_responder.py")) as server:
        yield server


def _warm(running, path: str, count: int, name: str) -> None:
    """Have so many processes that have answered a request each."""
    gate = running.folder() / "data" / name
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(running.port())) for _ in range(count)]
        for wire in wires:
            wire.send_request(f"{path}?until={gate}")
            wire.read_until(b"begun\n")
        gate.touch()
        for wire in wires:
            wire.read_until(b"0\r\n\r\n")


def test_a_request_that_ends_its_process_is_not_run_on_the_next(running):
    """POST: 500.0, once. The process had begun it, though it had not answered with a byte."""
    _warm(running, "/three", 3, "first")
    notes = running.folder() / "data" / "notes"
    answer = post(running.port(), f"/three?fatal={notes}", b"order")
    assert notes.read_bytes().split() == [b"order"]
    assert (answer.status, "0x00000007" in answer.text) == (500, True)


def test_a_request_that_may_be_repeated_is_once(running):
    """GET: as often as by default where a worker dies, not until no process is left."""
    _warm(running, "/three", 3, "second")
    notes = running.folder() / "data" / "reads"
    assert get(running.port(), f"/three?fatal={notes}").status == 500
    assert notes.read_bytes() == b"\n\n"


def test_the_time_in_the_queue_is_not_the_process_s(running):
    """A request that has waited for longer than the time limit has all of it once it begins."""
    begun, done = (running.folder() / "data" / name for name in ("begun", "done"))
    with Wire(running.port()) as first, Wire(running.port()) as second:
        first.send_request(f"/one?until={begun}")
        first.read_until(b"begun\n")
        sent_at = time.monotonic()
        second.send_request(f"/one?wait={done}")
        wait_for("the time limit", lambda: time.monotonic() > sent_at + TIME_LIMIT_S)
        begun.touch()
        begun_at = time.monotonic()
        wait_for("half of the time limit", lambda: time.monotonic() > begun_at + TIME_LIMIT_S / 2)
        done.touch()
        assert second.read().status == 200


def test_processes_that_end_by_themselves_cost_no_request(running):
    """As many clients as there is room for: none is refused, and no POST is lost."""
    (running.folder() / "n.php").write_text("<?php echo file_get_contents('php://input');")
    port = running.port()

    def ask(number: int) -> list[tuple[int, str]]:
        answers = []
        for turn in range(ROUNDS):
            body = f"{number}-{turn}"
            answer = post(port, "/n.php", body.encode())
            answers.append((answer.status, "" if answer.text == body else answer.text))
        return answers

    count = PROCESSES + QUEUE
    with ThreadPoolExecutor(count) as threads:
        answers = [answer for found in threads.map(ask, range(count)) for answer in found]
    assert Counter(answers) == {(200, ""): count * ROUNDS}
