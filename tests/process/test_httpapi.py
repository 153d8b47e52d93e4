"""Programs serve URLs through the listener: the HTTP Server API, with real processes and kills."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.server import wait_for
from support import programs
from support.load import under_load
from support.ports import unused_port
from support.running import Running
from support.wire import CutShortError, Wire, get, post

from was import httpapi
from was.httpapi import version1

DEMO = Path(__file__).resolve().parents[2] / "docs" / "samples" / "httpapi" / "demo.py"
LIMIT_S = 60

running, url, queue = programs.running, programs.url, programs.queue


@contextlib.contextmanager
def program(running: Running, url: str) -> Iterator[subprocess.Popen]:
    """The sample, in a process of its own."""
    environment = {**os.environ, "WAS_HOME": str(running.home)}
    arguments = [sys.executable, str(DEMO), url]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def serving(queue: httpapi.RequestQueue, answer) -> Iterator[None]:
    """A thread that gives each request to `answer`, until the queue is closed or shut down."""

    def serve() -> None:
        with contextlib.suppress(httpapi.HttpApiError):
            while True:
                answer(queue.receive_request())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        queue.close()
        thread.join()


def _pid(port: int) -> int:
    return int(get(port, "/demo/").text.rsplit(maxsplit=1)[1])


def test_a_script_serves_beside_a_site_dies_and_shares_its_queue(running, url):
    """URLs of a program and of a site on one port; 503 when the last copy died; then it is back."""
    port = running.port()
    with program(running, url) as first:
        assert _pid(port) == first.pid
        assert get(port, "/").status == 200
        assert get(port, "/demonstration").status == 200  # whole segments only: that is the site's
        with program(running, url) as second:
            first.kill()
            first.wait()
            for _ in range(5):
                assert _pid(port) == second.pid
        wait_for("503", lambda: get(port, "/demo/").status == 503)
    assert get(port, "/").status == 200
    with program(running, url) as third:
        assert _pid(port) == third.pid


def test_what_a_stopped_copy_does_not_read_another_one_gets(running, url):
    """Whatever the method; and it takes part again as soon as it reads again."""
    port = running.port()
    with program(running, url) as first, program(running, url) as second:
        first.send_signal(signal.SIGSTOP)
        os.waitpid(first.pid, os.WUNTRACED)  # each of its threads has stopped
        try:
            answers = [post(port, "/demo/", b"x").text for _ in range(3)]
        finally:
            first.send_signal(signal.SIGCONT)
        assert [int(text.rsplit(maxsplit=1)[1]) for text in answers] == [second.pid] * 3
        second.kill()
        second.wait()
        assert _pid(port) == first.pid


def test_no_get_is_lost_while_copies_of_a_program_are_killed(running, url):
    """A request that a dying copy had is given to another; nobody sees a reset."""
    with contextlib.ExitStack() as stack:
        copies = [stack.enter_context(program(running, url)) for _ in range(3)]
        join = under_load(running.port(), 3, target="/demo/")
        for copy in copies[:2]:
            count = get(running.port(), "/demo/").status
            assert count == 200
            copy.kill()
            copy.wait()
        tally = join()
    assert (set(tally.statuses), dict(tally.failures)) == ({200}, {}), tally.summary()


def test_a_program_comes_back_after_every_other_process_died(running):
    """Listener and manager may be killed: a port of the program's own stays, and waits for it."""
    running.allow("listener_died")
    port = unused_port()
    with program(running, f"http://127.0.0.1:{port}/demo/") as copy:
        assert _pid(port) == copy.pid
        listener = running.server.status()["listener_pid"]
        os.kill(listener, signal.SIGKILL)
        assert _pid(port) == copy.pid  # connect() never fails, and the answer waits for the program
        gone = (0, None, listener)
        wait_for("a listener", lambda: running.server.status()["listener_pid"] not in gone)
        assert running.server.command("upgrade").returncode == 0
        for _ in range(5):
            assert _pid(port) == copy.pid


def test_bodies_and_answers_of_every_size(queue, url, running, tmp_path):
    """A long body is pulled, a long answer and a file are streamed, HEAD has no body."""
    sent = os.urandom(3_000_000)
    got: list[bytes] = []

    def answer(request: httpapi.HttpRequest) -> None:
        got.append(b"")
        while data := queue.receive_request_entity_body(request.id):
            got[-1] += data
        headers = [("X-Context", str(request.url_context)), ("Content-Length", str(2 * len(sent)))]
        head = httpapi.HttpResponse(200, headers=headers)
        queue.send_response(request.id, head, more_data=True)
        with open(tmp_path / "sent", "rb") as file:
            chunks = [sent, httpapi.FileChunk(file.fileno(), 0, len(sent))]
            queue.send_response_entity_body(request.id, chunks)

    queue.add_url(url, 77)
    (tmp_path / "sent").write_bytes(sent)
    with serving(queue, answer):
        whole = post(running.port(), "/demo/x", sent)
        assert (whole.status, whole.body == sent * 2) == (200, True)
        assert whole.field("x-context") == "77"
        with Wire(running.port()) as wire:
            head = wire.request("/demo/", method="HEAD")
            assert head.field("content-length") == str(2 * len(sent))
            assert wire.request("/demo/").body == sent * 2  # the same connection goes on
        assert got == [sent, b"", b""]


def test_what_cannot_be_sent_is_said_and_costs_one_request(queue, url, running):
    """A wrong response raises in the program; cancelling is 502, or a cut once it has begun."""
    errors: list[int] = []

    def answer(request: httpapi.HttpRequest) -> None:
        bad = [
            httpapi.HttpResponse(99),
            httpapi.HttpResponse(200, headers=[("X", "a\r\nSet-Cookie: b")]),
            httpapi.HttpResponse(200, headers=[("Content-Length", "7")], chunks=[b"x"]),
        ]
        for response in bad:
            try:
                queue.send_response(request.id, response)
            except httpapi.HttpApiError as error:
                errors.append(error.error)
        if request.path.endswith("begun"):
            queue.send_response(request.id, httpapi.HttpResponse(), more_data=True)
        queue.cancel_request(request.id)

    queue.add_url(url)
    with serving(queue, answer):
        assert get(running.port(), "/demo/").status == 502
        with pytest.raises(CutShortError):
            get(running.port(), "/demo/begun")
    assert errors == [httpapi.ERROR_INVALID_PARAMETER] * 6


def test_a_program_learns_that_its_client_has_gone(queue, url, running):
    """HttpWaitForDisconnect ends; a whole answer then goes nowhere, one that goes on raises."""
    queue.add_url(url)
    wires = [Wire(running.port()) for _ in range(2)]
    for wire in wires:
        wire.send_request("/demo/")
    requests = [queue.receive_request(LIMIT_S) for _ in wires]
    for wire in wires:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wire.socket.close()
    for request in requests:
        queue.wait_for_disconnect(request.id, LIMIT_S)
    assert queue.send_response(requests[0].id, httpapi.HttpResponse.text("late")) == 0
    with pytest.raises(httpapi.HttpApiError) as raised:
        queue.send_response(requests[1].id, httpapi.HttpResponse(), more_data=True)
    assert raised.value.error == httpapi.ERROR_CONNECTION_INVALID


def test_queues_and_urls_have_one_owner(queue, url, running):
    """Names and prefixes are given once; what was given back can be had, what is none says so."""

    def error_of(act) -> int:
        with pytest.raises(httpapi.HttpApiError) as raised:
            act()
        return raised.value.error

    def again() -> httpapi.RequestQueue:
        return httpapi.RequestQueue("tested", home=running.home)

    def missing() -> httpapi.RequestQueue:
        return httpapi.RequestQueue("nowhere", open_existing=True, home=running.home)

    queue.add_url(url)
    assert error_of(again) == httpapi.ERROR_ALREADY_EXISTS
    assert error_of(missing) == httpapi.ERROR_FILE_NOT_FOUND
    with httpapi.RequestQueue(home=running.home) as other:
        assert error_of(lambda: other.add_url(url.upper())) == httpapi.ERROR_INVALID_PARAMETER
        assert error_of(lambda: other.add_url(url)) == httpapi.ERROR_ALREADY_EXISTS
        site = f"http://127.0.0.1:{running.port()}/"
        assert error_of(lambda: other.add_url(site)) == httpapi.ERROR_ALREADY_EXISTS
        assert error_of(lambda: other.add_url("http://x/")) == httpapi.ERROR_INVALID_PARAMETER
        assert error_of(lambda: other.remove_url(url)) == httpapi.ERROR_FILE_NOT_FOUND
        queue.remove_url(url)
        other.add_url(url)
    assert get(running.port(), "/demo/").status == 200  # given back: the site's again
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = error_of(lambda: queue.add_url(f"http://127.0.0.1:{port}/"))
        assert refused == httpapi.ERROR_SHARING_VIOLATION


def test_properties_of_a_queue(queue, url, running):
    """Length and state are in force at once; an unbound group is 503; verbosity 0 closes."""
    port = running.port()
    with httpapi.ServerSession(running.home) as session:
        group = session.create_url_group()
        group.add_url(url)
        assert get(port, "/demo/").status == 503
        group.bind(queue)
        queue.set_property(queue_length=1)
        with Wire(port) as waiting:
            waiting.send_request("/demo/")
            wait_for("503 QueueFull", lambda: get(port, "/demo/").status == 503)
            queue.set_property(is_enabled=False)
            assert waiting.read().status == 503
        queue.set_property(verbosity=0)
        with Wire(port) as wire:
            wire.send_request("/demo/")
            assert wire.is_closed()
        queue.set_property(is_enabled=True, verbosity=1, request_queue_s=0.1)
        assert get(port, "/demo/").status == 503  # nobody receives


def test_a_receive_that_was_given_up_takes_no_request(queue, url, running):
    """After a timeout the next receive gets the request; shutting down aborts the rest."""
    queue.add_url(url)
    with pytest.raises(TimeoutError):
        queue.receive_request(0.01)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, running.port(), "/demo/")
        request = queue.receive_request(LIMIT_S)
        waiting = queue.begin_receive()
        queue.shut_down()
        assert isinstance(waiting.exception(LIMIT_S), httpapi.HttpApiError)
        queue.send_response(request.id, httpapi.HttpResponse.text("after the end"))
        assert answer.result().text == "after the end"


def test_the_form_of_version_1_calls_back_on_threads(running, url):
    """initialize, a handle, a URL on it, a callback for each request; one that raises is 502."""
    threads: set[str] = set()
    raised: list[object] = []
    before, threading.excepthook = threading.excepthook, raised.append

    def on_request(request: httpapi.HttpRequest) -> None:
        threads.add(threading.current_thread().name)
        if request.query == "raise":
            raise LookupError("in a callback")
        version1.send_http_response(handle, request.id, httpapi.HttpResponse.text(request.query))

    version1.initialize(version1.HTTPAPI_VERSION_1, home=running.home)
    handle = version1.create_http_handle()
    try:
        version1.add_url(handle, url)
        pool = version1.bind_completion_callback(handle, on_request, threads=2, receives=4)
        for number in range(20):
            assert get(running.port(), f"/demo/?{number}").text == str(number)
        assert get(running.port(), "/demo/?raise").status == 502
        assert threads <= {"httpapi_0", "httpapi_1"}
        assert len(raised) == 1
    finally:
        version1.terminate()
        threading.excepthook = before
    pool.shutdown()


def test_asyncio_serves_many_at_once(queue, url, running):
    """Coroutines wait for requests and bodies; a cancelled receive takes nothing away."""

    async def serve(count: int) -> None:
        served = httpapi.AsyncRequestQueue(queue)

        async def one() -> None:
            request = await served.receive_request()
            body = await served.receive_request_entity_body(request.id)
            response = httpapi.HttpResponse.text(body.decode())
            await served.send_response(request.id, response)

        await asyncio.gather(*(one() for _ in range(count)))

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(httpapi.AsyncRequestQueue(queue).receive_request(), 0.01)

    queue.add_url(url)
    asyncio.run(give_up())
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(post, running.port(), "/demo/", b"%d" % n) for n in range(8)]
        asyncio.run(serve(len(answers)))
        assert [a.result().text for a in answers] == [str(n) for n in range(8)]


def test_who_is_no_program_is_shown_out(running, url):
    """What is no message ends its connection alone; other programs and the sites go on."""
    with program(running, url) as copy:
        door = Path((running.home / "run" / "sockets").read_text().strip()) / "h" / "door"
        for garbage in (b"", b"\0", b"\0\1x", b"\0\2\x93\1\2\3", b"\1", b"\0\1" + b"\xff" * 5000):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
                stranger.settimeout(LIMIT_S)
                stranger.connect(str(door))
                stranger.send(garbage)
                if garbage:
                    assert stranger.recv(100) == b""
        assert _pid(running.port()) == copy.pid


def test_reservations_are_kept_with_commands(running):
    """`was add|list|delete urlacl` edit the configuration; a URL is a user's that it names."""
    command = running.server.command
    added = command("add", "urlacl", "http://+:8080/a", "--user", "nobody")
    assert (added.returncode, added.stderr) == (0, "")
    added = command("add", "urlacl", "http://+:8080/b/", "--group", "0", "--user", "no such")
    assert (added.returncode, added.stderr) == (0, "warning: this machine has no user 'no such'\n")
    listed = command("list", "urlacls").stdout
    assert "http://+:8080/a/" in listed
    assert "nobody" in listed
    again = command("add", "urlacl", "http://+:8080/a/", "--user", "x")
    assert (again.returncode, "is reserved already" in again.stderr) == (1, True)
    assert command("add", "urlacl", "http://+:8080/").returncode == 2
    assert command("add", "urlacl", "nonsense", "--user", "x").returncode == 1
    assert command("delete", "urlacl", "http://+:8080/A/").returncode == 0
    assert command("delete", "urlacl", "http://+:8080/a/").returncode == 1
    assert "nobody" not in command("list", "urlacls").stdout
