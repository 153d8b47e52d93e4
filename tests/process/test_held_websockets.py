"""WebSockets that outlive their workers, with a real server and a client that is not ours."""

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.frames import frame
from support.running import asgi_config, place, run_server
from support.wire import Wire
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

# Less than shutdownTimeLimit, which is 90 s.
LIMIT_S = 60
HOLD = '<webSocket hold="true" />'
# Messages that a talk may be ahead of their answers.
AHEAD = 50
TALKS = 6
# What the application sends when it is asked for something long.
LONG = 64 * 1024 * 1024
HANDSHAKE = (
    b"GET /? HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ELEMENTS = {"failure": {"rapidFailProtection": "false"}}


def config(sections=HOLD, attributes=None, **requests):
    elements = {**ELEMENTS, **({"requests": requests} if requests else {})}
    pool = Pool("Pool", attributes or {}, elements)
    return asgi_config("keeps_sockets:application", pool=pool, sections=sections)


@pytest.fixture
def running():
    with run_server(config(), place("keeps_sockets.py")) as running:
        running.allow("worker_died")
        yield running


def url(running, query=""):
    return f"ws://127.0.0.1:{running.port()}/?{query}"


def ask(client, text):
    client.send(text)
    return json.loads(client.recv(LIMIT_S))


def closed(client):
    for _ in range(1000):
        try:
            client.recv(LIMIT_S)
        except ConnectionClosed as error:
            return error.rcvd.code if error.rcvd else 1006
    raise AssertionError("it never closes")


def recycle(running):
    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0


@pytest.mark.parametrize("compression", ["deflate", None])
def test_a_recycle_is_not_noticed(running, compression):
    """Nobody is closed; the new worker goes on with what the old one had stored, and answers."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(connect(url(running), compression=compression)) for _ in range(20)
        ]
        old = {ask(client, "first")["pid"] for client in clients}
        for _ in range(2):
            recycle(running)
        wait_for("the end of the old", lambda: not old & set(running.server.processes()))
        for client in clients:
            said = ask(client, "second")
            assert said["heard"] == ["first", "second"]
            assert said["how"] == "resumed"
            assert said["pid"] not in old


def test_a_killed_worker_is_survived(running):
    """Messages it had not taken go to the next worker, the one it was at does not: once at most."""
    with connect(url(running)) as client, connect(url(running)) as other:
        old = ask(client, "first")["pid"]
        ask(other, "first")
        client.send("sleep 60")
        assert client.recv(LIMIT_S) == "asleep"
        client.send("after")
        os.kill(old, signal.SIGKILL)
        said = json.loads(client.recv(LIMIT_S))
        assert said == {"pid": said["pid"], "heard": ["first", "after"], "how": "interrupted"}
        assert said["pid"] != old
        assert ask(other, "more")["heard"] == ["first", "more"]


def test_a_message_that_kills_is_not_repeated(running):
    """It kills one worker; its socket and the others go on. After three such it is given up."""
    with connect(url(running)) as client, connect(url(running)) as other:
        for _ in range(3):
            client.send("kill")
            assert ask(client, "well")["how"] == "interrupted"
        client.send("kill")
        assert closed(client) == 1011
        assert ask(other, "well")["heard"] == ["well"]


def test_a_message_to_the_client_that_was_cut_cuts(running):
    """Half of it has left: nobody can say the rest."""
    with Wire(running.port()) as client, connect(url(running)) as other:
        pid = ask(other, "first")["pid"]
        client.send(HANDSHAKE)
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        client.send(frame(b"long"))
        got = len(client.read_some())  # far less than all of it
        os.kill(pid, signal.SIGKILL)
        while data := client.read_some():
            got += len(data)
        assert 0 < got < LONG
        assert ask(other, "well")["heard"] == ["first", "well"]


def test_nothing_to_go_on_with(running):
    """Who stored nothing gets 1012; who refuses, or fails, is closed with that."""
    with ExitStack() as stack:
        clients = {
            query: stack.enter_context(connect(url(running, query)))
            for query in ("unheld", "refuse", "fail")
        }
        running.allow("application_error")
        for client in clients.values():
            ask(client, "first")
        recycle(running)
        assert {q: closed(c) for q, c in clients.items()} == {
            "unheld": 1012,
            "refuse": 4003,
            "fail": 1011,
        }


@pytest.mark.parametrize("sections", [HOLD, "<webSocket />"])
def test_a_server_that_stops_waits_for_no_websocket(sections):
    """Its workers close them with 1012; none goes on, held or not."""
    with (
        run_server(config(sections), place("keeps_sockets.py")) as running,
        connect(url(running)) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        ask(client, "first")
        began = time.monotonic()
        code = threads.submit(closed, client)
        assert running.server.command("stop").returncode == 0
        assert code.result() == 1012
        assert time.monotonic() - began < LIMIT_S


@pytest.mark.parametrize("sections", [HOLD, "<webSocket />"])
def test_an_upgrade_waits_for_no_websocket(sections):
    """The listener that it replaces cannot give it away: its worker closes it with 1012."""
    with (
        run_server(config(sections), place("keeps_sockets.py")) as running,
        connect(url(running)) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        ask(client, "first")
        code = threads.submit(closed, client)
        assert running.server.command("upgrade").returncode == 0
        assert code.result() == 1012
        with connect(url(running)) as other:
            assert ask(other, "well")["heard"] == ["well"]


def talks_over(client):
    """How many have ended for the application, in the client's worker."""
    client.send("over")
    return int(client.recv(LIMIT_S))


def talk(running, stop, said, heard, number):
    """Say numbers ahead of the answers, until `stop`; then what was heard of them.

    Not further ahead than a machine that is slow can follow: each answer is as long as all that was
    heard before.
    """
    long = "x" * 20_000
    compression = "deflate" if number % 2 else None
    with connect(url(running), compression=compression, max_queue=None) as client:
        sent = answered = 0
        while not stop.is_set():
            client.send(f"{sent}" if sent % 10 else [f"{sent} ", long])
            sent += 1
            said[number] = sent
            time.sleep(0.004)
            try:
                while sent - answered > AHEAD:
                    client.recv(1)
                    answered += 1
            except TimeoutError:
                answered = sent  # the others died with a worker
        client.send("end")
        answer = json.loads(client.recv(LIMIT_S))
        while answer["heard"][-1] != "end":
            answer = json.loads(client.recv(LIMIT_S))
        heard[number] = sent, answer["heard"][:-1]


def wait_for_more(said):
    """Each talk goes on for far more messages than a kill can cost it."""
    before = said.copy()
    wait_for("talks", lambda: all(now > n + 3 * AHEAD for now, n in zip(said, before, strict=True)))


@pytest.mark.parametrize("is_killed", [False, True])
def test_under_load(running, is_killed):
    """In order and once each: all messages when workers are recycled, most when killed.

    A kill loses what the application had taken and not answered yet; how much that is, is the
    machine's affair.
    """
    stop, said, heard = threading.Event(), [0] * TALKS, {}
    with ThreadPoolExecutor(TALKS) as threads:
        talks = [threads.submit(talk, running, stop, said, heard, n) for n in range(TALKS)]
        try:
            for _ in range(3):
                wait_for_more(said)
                if is_killed:
                    os.kill(running.workers(count=1)[0], signal.SIGKILL)
                else:
                    recycle(running)
            wait_for_more(said)
        finally:
            stop.set()
        for each in talks:
            each.result(2 * LIMIT_S)
    for sent, numbers in heard.values():
        assert numbers == sorted(set(numbers))
        assert len(numbers) > sent / 2 if is_killed else len(numbers) == sent


def test_what_is_received_after_the_end(running):
    """A client that says much and leaves: the application hears all of it, its worker lives on."""
    with connect(url(running)) as client:
        pid = ask(client, "first")["pid"]
        before = talks_over(client)
        client.send("sleep 0.5")
        for _ in range(300):
            client.send("quiet")
    with connect(url(running)) as client:
        wait_for("the end of the first", lambda: talks_over(client) > before)
        assert ask(client, "well")["pid"] == pid


def test_last_words(running):
    """Told that its worker goes, the application says and stores what it has left."""
    with connect(url(running, "last%20words")) as client:
        ask(client, "first")
        recycle(running)
        assert client.recv(LIMIT_S) == "see you"
        assert ask(client, "second")["heard"] == ["first", "last words", "second"]


def test_no_worker_in_time():
    """Pings are answered meanwhile; after queueTimeLimit, or when the pool stops, 1012."""
    with (
        run_server(config(queueTimeLimit="00:00:03"), place("keeps_sockets.py")) as running,
        connect(url(running)) as client,
        connect(url(running)) as other,
    ):
        running.allow("worker_died", "worker_start_failed")
        ask(client, "first")
        old = ask(other, "first")["pid"]
        (running.folder() / "keeps_sockets.py").write_text("import time\ntime.sleep(60)\n")
        began = time.monotonic()
        os.kill(old, signal.SIGKILL)
        assert client.ping().wait(LIMIT_S)  # its end would not count as an answer
        other.send("x" * 1000)
        assert closed(client) == 1012
        assert time.monotonic() - began > 2.5
        assert closed(other) == 1012
