"""Each row of the table of fates: what becomes of a request when its worker dies."""

import os
import re
import signal
import socket
from collections import Counter
from functools import partial

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.running import Running, place, simple_config
from support.wire import CutShortError, Wire, get, many

from was.manager.process import is_stopped

NO_RAPID_FAIL = {"failure": {"rapidFailProtection": "false"}}


def _pool(**requests: str) -> Pool:
    elements = dict(NO_RAPID_FAIL)
    if requests:
        elements["requests"] = requests
    return Pool("Pool", {"startMode": "AlwaysRunning"}, elements)


def _starts(running: Running) -> list[list[str]]:
    file = running.folder() / "data" / "starts.log"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def _reached(running: Running, gate: str, count: int = 1) -> bool:
    file = running.folder() / "data" / f"{gate}.reached"
    return file.exists() and len(file.read_text().splitlines()) >= count


def _open(running: Running, gate: str) -> None:
    (running.folder() / "data" / f"{gate}.open").touch()


@pytest.fixture
def gates(start_server) -> Running:
    running = start_server(simple_config("gates:application", pool=_pool()), place("gates.py"))
    running.workers(count=1)
    return running


def test_sent_but_not_started_goes_to_the_next_worker(start_server):
    """A request that a stopped worker never began runs elsewhere, even a POST, and only once."""
    running = start_server(simple_config("starts:application", pool=_pool()), place("starts.py"))
    worker = running.workers(count=1)[0]
    os.kill(worker, signal.SIGSTOP)
    wait_for("it has stopped", lambda: is_stopped(worker))
    with many(running.port(), 8) as wires:
        for wire in wires:
            wire.send_request("/", "POST", b"body")
        # The listener has handed them over, as far as anybody can see from outside.
        wait_for(
            "8 requests in the listener",
            lambda: len(running.server.rows("requests")) == 8,
        )
        os.kill(worker, signal.SIGKILL)
        answers = [wire.read("POST") for wire in wires]
    assert [a.status for a in answers] == [200] * 8
    starts = _starts(running)
    assert len(starts) == 8
    assert len({line[0] for line in starts}) == 8
    assert {int(line[2]) for line in starts} == set(running.workers(count=1))


def test_queued_requests_wait_for_the_next_worker(start_server):
    """Requests without credit stay in the listener's queue and outlive the worker."""
    pool = Pool(
        "Pool", {"startMode": "AlwaysRunning"}, {**NO_RAPID_FAIL, "python": {"threads": "2"}}
    )
    running = start_server(simple_config("gates:application", pool=pool), place("gates.py"))
    worker = running.workers(count=1)[0]
    with Wire(running.port()) as held, many(running.port(), 4) as queued:
        held.send_request("/held?gate=a", "POST", b"")
        wait_for("the gate", lambda: _reached(running, "a"))
        for wire in queued:
            wire.send_request("/", "POST", b"")
        wait_for("5 requests", lambda: len(running.server.rows("requests")) == 5)
        os.kill(worker, signal.SIGKILL)
        assert [wire.read("POST").status for wire in queued] == [200] * 4
        assert held.read("POST").status == 502


def test_a_started_get_is_repeated_and_the_application_sees_the_attempt(gates):
    """A GET that had started, with nothing sent, runs again as attempt 2."""
    worker = gates.workers(count=1)[0]
    with Wire(gates.port()) as wire:
        wire.send_request("/held?gate=a")
        wait_for("the gate", lambda: _reached(gates, "a"))
        os.kill(worker, signal.SIGKILL)
        wait_for("the second attempt", lambda: _reached(gates, "a", 2))
        _open(gates, "a")
        answer = wire.read()
    assert answer.status == 200
    pid, attempt = answer.text.split()
    assert (int(pid) != worker, attempt) == (True, "2")


def test_a_started_post_is_answered_502_with_its_id(gates):
    """A POST that had started is not repeated: 502, its id in field and page, a line in HTTPERR."""
    worker = gates.workers(count=1)[0]
    with Wire(gates.port()) as wire:
        wire.send_request("/held?gate=a", "POST", b"body")
        wait_for("the gate", lambda: _reached(gates, "a"))
        os.kill(worker, signal.SIGKILL)
        answer = wire.read("POST")
        assert answer.status == 502
        request_id = answer.field("x-request-id")
        assert re.fullmatch(r"[0-9a-f]{16}", request_id)
        assert f"Request ID: {request_id}" in answer.text
        # The connection is as good as before.
        assert wire.request("/").status == 200
    assert not _reached(gates, "a", 2)
    wait_for(
        "the line in HTTPERR",
        lambda: "Connection_Abandoned_By_AppPool" in http_errors(gates),
    )


def test_replay_none_answers_502_to_a_get(start_server):
    """With replay="none" even a GET is not repeated once it has started."""
    running = start_server(
        simple_config("gates:application", pool=_pool(replay="none")), place("gates.py")
    )
    worker = running.workers(count=1)[0]
    with Wire(running.port()) as wire:
        wire.send_request("/held?gate=a")
        wait_for("the gate", lambda: _reached(running, "a"))
        os.kill(worker, signal.SIGKILL)
        assert wire.read().status == 502
    assert not _reached(running, "a", 2)


def test_replay_idempotent_repeats_a_put(start_server):
    """With replay="idempotent" a PUT is repeated, a POST still is not."""
    running = start_server(
        simple_config("gates:application", pool=_pool(replay="idempotent")), place("gates.py")
    )
    worker = running.workers(count=1)[0]
    with Wire(running.port()) as put, Wire(running.port()) as post:
        put.send_request("/held?gate=put", "PUT", b"body")
        post.send_request("/held?gate=post", "POST", b"body")
        wait_for("the gates", lambda: _reached(running, "put") and _reached(running, "post"))
        _open(running, "put")
        os.kill(worker, signal.SIGKILL)
        assert put.read("PUT").status in {200}
        assert post.read("POST").status == 502


def test_a_partly_sent_response_is_cut_visibly(gates):
    """A response that has begun is cut without a final chunk: the client can tell."""
    worker = gates.workers(count=1)[0]
    with Wire(gates.port()) as wire:
        wire.send_request("/parts?gate=a")
        begin = wire.read_until(b"first\n")
        assert b"first\n" in begin
        wait_for("the gate", lambda: _reached(gates, "a"))
        os.kill(worker, signal.SIGKILL)
        rest = b""
        while data := wire.read_some():
            rest += data
    assert b"0\r\n\r\n" not in rest
    assert b"second" not in rest
    assert not _reached(gates, "a", 2)


@pytest.fixture
def deaths(start_server) -> Running:
    running = start_server(simple_config("deaths:application", pool=_pool()), place("deaths.py"))
    running.workers(count=1)
    return running


@pytest.mark.parametrize("way", ["exit", "kill", "segv"])
def test_whatever_way_a_worker_dies_the_get_is_repeated(deaths, way):
    """os._exit(0), SIGKILL and SIGSEGV are all deaths: the request runs again, and succeeds."""
    answer = get(deaths.port(), f"/{way}?once=1")
    assert (answer.status, answer.text.split()[1]) == (200, "2")
    assert get(deaths.port(), "/").status == 200


def test_a_worker_that_gets_sigterm_finishes_and_is_replaced(deaths):
    """SIGTERM at a worker is a request to go: what runs is answered, then another takes over."""
    before = deaths.workers(count=1)[0]
    answer = get(deaths.port(), "/term")
    assert answer.status == 200
    assert answer.text.split() == [str(before), "1"]
    wait_for("another worker", lambda: (now := deaths.workers()) and before not in now)
    assert get(deaths.port(), "/").text.split()[0] != str(before)


def test_poison_is_answered_502_after_two_deaths(deaths):
    """A GET that kills each worker it meets is given up after poisonCrashes blamed deaths.

    The first death makes it a suspect, the next two are laid to it.
    """
    deaths.allow("request_poisoned", "worker_died")
    answer = get(deaths.port(), "/kill")
    assert answer.status == 502
    assert answer.field("x-request-id")
    attempts = [line[1] for line in _starts(deaths) if line[2] == "/kill"]
    assert attempts == ["1", "2", "3"]
    assert get(deaths.port(), "/").status == 200


def test_bystanders_of_poison_are_served(deaths):
    """Requests that share a worker with poison end with 200; only the culprit gets 502."""
    deaths.allow("request_poisoned", "worker_died")
    with Wire(deaths.port()) as culprit, many(deaths.port(), 6) as others:
        culprit.send_request("/kill")
        for wire in others:
            wire.send_request("/")
        assert culprit.read().status == 502
        assert Counter(wire.read().status for wire in others) == {200: 6}


def http_errors(running: Running) -> str:
    """All HTTPERR logs."""
    folder = running.home / "logs" / "HTTPERR"
    return "".join(p.read_text() for p in sorted(folder.glob("*.log"))) if folder.exists() else ""


def test_a_cut_is_an_end_of_stream_within_the_response(gates):
    """The client library sees the cut as an incomplete response, not as a short one."""
    worker = gates.workers(count=1)[0]
    with Wire(gates.port()) as wire:
        wire.send_request("/parts?gate=b")
        # Not the gate: a worker can be there before its first block is on its way.
        peek = partial(wire.socket.recv, 65536, socket.MSG_PEEK)
        wait_for("the first block", lambda: b"first\n" in peek())
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(CutShortError) as caught:
            wire.read()
    assert caught.value.begun
    assert caught.value.response.received == len("first\n")
