"""Extensions that answer later, from other threads, in the wrong order or much too late."""

import json
import socket

import pytest
from harness.server import wait_for
from support.isapi import SOURCES, isapi_config, isapi_handler, place_files
from support.running import run_server
from support.wire import Wire, get, many


@pytest.fixture(scope="module")
def running():
    """One server for the whole file; its one worker is to survive all of it."""
    config = isapi_config(isapi_handler("later", "later.py"))
    with run_server(config, place_files(SOURCES / "later.py")) as server:
        get(server.port(), "/later?keeps_its_block")
        workers = server.workers()
        yield server
        assert server.workers() == workers


def test_callbacks_that_wait_hold_up_no_other_request(running):
    """Each has a thread of its own, however many there are."""
    with many(running.port(), 70) as wires:
        for wire in wires:
            wire.send_request("/later?waits_in_callback")
        assert get(running.port(), "/later?go").text == "go"
        assert {wire.read().text for wire in wires} == {"waited"}


def test_the_end_waits_for_what_another_thread_is_writing(running):
    """DoneWithSession within a WriteClient of another thread: nothing follows the end."""
    for _ in range(10):
        answer = get(running.port(), "/later?ends_while_it_writes")
        assert (answer.status, set(answer.body)) == (200, set(b"x"))
    log = running.home / "logs" / "pools" / "Pool.log"
    wait_for("the writers", lambda: log.read_text().count("the session was over") == 10)


def test_a_client_that_leaves_is_no_error_of_the_extension(running):
    """Clients could fill the log otherwise."""
    for query in ("writes_for_ever", "writes_on"):
        with Wire(running.port()) as wire:
            wire.send_request(f"/later?{query}")
            wire.read_some()
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    log = running.home / "logs" / "pools" / "Pool.log"
    wait_for("both to notice", lambda: log.read_text().count("nobody reads any more") == 2)
    wait_for("no request", lambda: json.loads(_requests(running)) == [])
    assert "Traceback" not in log.read_text()


def _requests(running) -> str:
    return running.server.command("list", "request", "--json").stdout


def test_a_block_whose_request_has_ended_does_nothing(running):
    """A second DoneWithSession, and every other function: RuntimeError, and the worker goes on."""
    assert get(running.port(), "/later?keeps_its_block").text == "kept"
    assert get(running.port(), "/later?uses_what_it_kept").text == "13 of 13"
