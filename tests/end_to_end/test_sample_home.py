"""The home that `was init` makes, served: each of its sites does what it is there to show."""

import pytest
from support.running import run_server
from support.sample import SITES, write_sample
from support.web_socket import connect
from support.wire import LIMIT_S, get
from websockets.exceptions import ConnectionClosed, InvalidStatus


@pytest.fixture(scope="module")
def running():
    """One server for the whole file."""
    with run_server(None, write_sample) as server:
        server.allow("worker_died")
        yield server


@pytest.mark.parametrize("site", SITES)
def test_each_site_has_a_first_page(running, site):
    """WSGI, a file, WSGI, ASGI."""
    answer = get(running.port(site))
    assert (answer.status, answer.field("content-type").partition(";")[0]) == (200, "text/html")


def test_a_request_that_kills_is_repeated_at_the_crash_site(running):
    """As the page says: the first attempt kills its worker, the second one answers."""
    answer = get(running.port("Crash"), "/flaky")
    assert answer.status == 200
    assert "attempt 2" in answer.text


def end_of(client):
    """The code that ended it."""
    try:
        while True:
            client.recv(LIMIT_S)
    except ConnectionClosed as error:
        return error.rcvd.code


def test_visitors_of_the_chat_read_each_other(running):
    """Until the pool is recycled: 1012, and a new worker for who connects again."""
    address = f"ws://127.0.0.1:{running.port('Chat')}/room"
    with connect(address) as ana, connect(address) as ben:
        assert "2 in the room" in [ana.recv(LIMIT_S), ana.recv(LIMIT_S)][1]
        ben.recv(LIMIT_S)
        ana.send("hello")
        assert (ana.recv(LIMIT_S), ben.recv(LIMIT_S)) == ("hello", "hello")
        running.server.command("recycle", "apppool", "chat", "--wait")
        assert end_of(ana) == end_of(ben) == 1012
    with connect(address) as again:
        assert "1 in the room" in again.recv(LIMIT_S)
    with pytest.raises(InvalidStatus, match="403"):
        connect(address + "s")
