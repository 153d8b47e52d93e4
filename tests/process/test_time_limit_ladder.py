"""Past its time limit a request is answered 504, interrupted, and its worker is replaced."""

import os
import signal
import threading
import time

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.event_log import dossier_of, events, wait_event
from support.running import Running, place, simple_config
from support.wire import Wire, get

# Enough for who is quick, on a machine that stands still for a second now and then.
LIMIT_S = 2
# The answer is due within 250 ms of the limit; the rest is for a busy machine. It is less than
# what these requests would take, and than shutdownTimeLimit.
LATE_S = 30.0
SHUTDOWN_S = 59


def _start(start_server, *, threads: str = "4", **requests: str) -> Running:
    limits = {"timeLimit": f"00:00:{LIMIT_S:02}", **requests}
    pool = Pool(
        "Pool",
        {"startMode": "AlwaysRunning"},
        {
            "requests": limits,
            "python": {"threads": threads},
            "processModel": {"shutdownTimeLimit": f"00:00:{SHUTDOWN_S}"},
        },
    )
    running = start_server(simple_config("slow:application", pool=pool), place("slow.py"))
    running.workers(count=1)
    return running


def _starts(running: Running) -> list[str]:
    return (running.folder() / "data" / "starts.log").read_text().splitlines()


def _events(running: Running, event: str) -> list[str]:
    return [line for line in running.server.log_text().splitlines() if f" {event} " in line]


def _output(running: Running) -> str:
    return (running.home / "logs" / "pools" / "Pool.log").read_text()


def _is_gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


def _wait_for_its_end(pid: int) -> None:
    """Long before shutdownTimeLimit."""
    wait_for("the end of the old worker", lambda: _is_gone(pid), limit_s=SHUTDOWN_S - 10)


def _time_out(running: Running, path: str) -> None:
    """A request that is answered 504, in time."""
    start = time.monotonic()
    answer = get(running.port(), path)
    elapsed = time.monotonic() - start
    assert answer.status == 504
    assert answer.field("x-request-id")
    assert LIMIT_S * 0.75 <= elapsed <= LIMIT_S + LATE_S


def test_a_request_that_loops_is_interrupted_and_its_worker_replaced(start_server):
    """504; the event log has a dossier with the stacks of that moment; the call ends with a
    traceback in the pool's log; another worker takes over, and nobody is killed."""
    running = _start(start_server)
    before = running.workers(count=1)[0]
    _time_out(running, "/python?s=60")
    wait_for("the interruption", lambda: "request_interrupted" in _output(running))
    _wait_for_its_end(before)
    assert get(running.port(), "/").status == 200
    assert "RequestInterruptedError" in _output(running)
    event = wait_event(running, 2299)
    assert len(events(running, 2299)) == 1
    assert (event["pid"], event["limit"], event["reason"]) == (
        before,
        "timeLimit",
        "request time limit",
    )
    assert event["requests"][0]["url"] == "/python?s=60"
    assert event["requests"][0]["state"] == "started"
    dossier = dossier_of(event)
    assert any("in loop" in line for line in dossier["stacks"])
    assert dossier["running"][0]["module"] == "WsgiModule"
    assert events(running, 5009) == []
    assert _events(running, "worker_killed") == []
    assert len(_starts(running)) == 2


@pytest.mark.parametrize("path", ["/sleep?s=60", "/stubborn?s=60", "/held?s=60"])
def test_what_cannot_be_interrupted_is_left_after_its_successor_is_ready(start_server, path):
    """A call into C, one that swallows the interruption: their worker leaves without them, long
    before shutdownTimeLimit. One that holds the interpreter's lock: its worker is killed for it."""
    running = _start(start_server)
    before = running.workers(count=1)[0]
    _time_out(running, path)
    wait_for("another worker", lambda: running.workers() not in ([], [before]))
    assert get(running.port(), "/").status == 200
    _wait_for_its_end(before)
    assert get(running.port(), "/").status == 200
    is_killed = path == "/held?s=60"
    assert len(_events(running, "worker_killed")) == is_killed
    function = {"/sleep": "application", "/stubborn": "loop", "/held": "held"}[path.split("?")[0]]
    event = wait_event(running, 2299)
    assert any(f"in {function}" in line for line in dossier_of(event)["stacks"])
    assert event["pid"] == before
    if is_killed:
        killed = wait_event(running, 5013)
        assert killed["pid"] == before
        assert killed["requests"][0]["url"] == path
    assert events(running, 5009) == []
    assert [e["app_pool"] for e in events(running, 5002)] == []


def test_a_stop_does_not_wait_for_a_request_that_was_answered_504(start_server):
    """Nobody waits for it any more: the server ends long before shutdownTimeLimit."""
    running = _start(start_server)
    _time_out(running, "/sleep?s=60")
    running.server.send(signal.SIGTERM)
    assert running.server.wait_exit(limit_s=SHUTDOWN_S - 10) == 0
    assert " request_left " in _output(running)
    # Its successor may just have been starting.
    assert [line for line in _events(running, "worker_killed") if " worker=1 " in line] == []


def test_a_stop_waits_for_a_request_with_a_client_beside_one_that_hangs(start_server):
    """What is past its limit is given up only when nothing else is left in the worker."""
    running = _start(start_server)
    with Wire(running.port()) as wire:
        # A response that has begun has no limit.
        wire.send_request(f"/silent?s={4 * LIMIT_S}")
        wire.read_until(b"first\n")
        _time_out(running, "/sleep?s=60")
        running.server.send(signal.SIGTERM)
        rest = wire.read_until(b"0\r\n\r\n")
        assert b"second\n" in rest
    assert running.server.wait_exit(limit_s=SHUTDOWN_S - 10) == 0


def test_a_stubborn_request_is_interrupted_once(start_server):
    """An application that hides the interruption is not hit again and again."""
    running = _start(start_server)
    before = running.workers(count=1)[0]
    _time_out(running, "/stubborn?s=60")
    wait_for("the interruption", lambda: "- interrupted -" in _starts(running))
    wait_for("another worker", lambda: running.workers() not in ([], [before]))
    _wait_for_its_end(before)
    assert _starts(running).count("- interrupted -") == 1


def test_the_other_requests_of_the_worker_are_answered(start_server):
    """An interruption hits one request: those beside it in the same worker, and after it, do not
    notice."""
    running = _start(start_server, timeLimit="00:00:06")  # far more than theirs take
    statuses = []
    is_over = threading.Event()

    def beside():
        while not is_over.is_set():
            statuses.append(get(running.port(), "/pause?s=0.1").status)

    threads = [threading.Thread(target=beside) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with Wire(running.port()) as slow:
            slow.send_request("/python?s=60")
            assert slow.read().status == 504
        for _ in range(50):
            assert get(running.port(), "/").status == 200
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}
    assert _output(running).count(" request_interrupted ") == 1


def test_requests_that_end_just_at_their_limit_harm_nobody(start_server):
    """Answer and interruption cross each other again and again: each request gets 200 or 504, and
    no interruption comes out anywhere but in a request that was answered 504."""
    running = _start(start_server, threads="8")
    statuses = []

    def ask(first):
        for number in range(4):
            seconds = LIMIT_S - 0.06 + 0.02 * ((first + number) % 12)
            statuses.append(get(running.port(), f"/pause?s={seconds:.2f}").status)
            statuses.append(get(running.port(), "/").status)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 504}
    assert len(statuses) == 48
    output = _output(running)
    assert " application_error " not in output
    assert output.count(" request_interrupted ") <= statuses.count(504)
    assert events(running, 5009) == []


def test_a_worker_that_ends_in_time_is_not_replaced(start_server):
    """A request that is slow but within its limit leads to nothing."""
    running = _start(start_server, timeLimit="00:00:20")
    before = running.workers(count=1)
    assert get(running.port(), "/pause?s=0.7").status == 200
    assert get(running.port(), "/").status == 200
    assert running.workers() == before
    assert "request_overdue" not in _output(running)


def test_a_request_whose_client_has_gone_is_held_to_its_limit(start_server):
    """Most clients are less patient than the limit: a thread that hangs is not lost for that."""
    running = _start(start_server)
    before = running.workers(count=1)[0]
    with Wire(running.port()) as wire:
        wire.send_request("/python?s=60")
        wait_for("its start", lambda: _starts(running))
    wait_for("the interruption", lambda: "request_interrupted" in _output(running))
    _wait_for_its_end(before)
    assert wait_event(running, 2299)["requests"][0]["url"] == "/python?s=60"
    assert _events(running, "worker_killed") == []
    assert get(running.port(), "/").status == 200


def test_a_request_whose_listener_has_died_is_held_to_its_limit(start_server):
    """Nobody else watches the clock for it: the worker does."""
    running = _start(start_server)
    running.allow("listener_died")
    before = running.workers(count=1)[0]
    with Wire(running.port()) as wire:
        wire.send_request("/python?s=60")
        wait_for("its start", lambda: _starts(running))
        os.kill(running.server.status()["listener_pid"], signal.SIGKILL)
    wait_for("the interruption", lambda: "request_interrupted" in _output(running))
    _wait_for_its_end(before)
    assert wait_event(running, 2299)["pid"] == before
    assert get(running.port(), "/").status == 200


def test_a_limit_passed_without_a_manager_replaces_the_worker_under_the_next(start_server):
    """504 and the interruption need no manager; the worker asks the one that comes."""
    running = _start(start_server)
    before = running.workers(count=1)[0]
    assert get(running.port(), "/").status == 200
    running.server.send(signal.SIGKILL)
    running.server.wait_exit()
    _time_out(running, "/python?s=60")
    wait_for("the interruption", lambda: "request_interrupted" in _output(running))
    assert get(running.port(), "/").body == f"{before}\n".encode()
    running.server.start()
    _wait_for_its_end(before)
    assert wait_event(running, 2299)["pid"] == before
    assert get(running.port(), "/").status == 200


def test_silence_after_the_first_byte_cuts_the_response(start_server):
    """idleTimeLimit: a response that stands still is cut, visibly, and its worker replaced."""
    running = _start(start_server, idleTimeLimit="00:00:01")
    before = running.workers(count=1)[0]
    with Wire(running.port()) as wire:
        wire.send_request("/silent?s=60")
        wire.read_until(b"first\n")
        rest = b""
        while data := wire.read_some():
            rest += data
    assert b"0\r\n\r\n" not in rest
    event = wait_event(running, 2299)
    assert (event["limit"], event["requests"][0]["state"]) == ("idleTimeLimit", "responding")
    wait_for("another worker", lambda: running.workers() not in ([], [before]))
    _wait_for_its_end(before)
    assert _events(running, "worker_killed") == []


def test_without_idle_time_limit_silence_is_no_fault(start_server):
    """Off, as it is by default: the first byte came in time, the rest may take its own."""
    running = _start(start_server)
    with Wire(running.port()) as wire:
        wire.send_request(f"/silent?s={2 * LIMIT_S}")
        answer = wire.read()
    assert answer.body == b"first\nsecond\n"
