"""Programs that give up, cancel and go: what they have not begun is another's, and nobody hangs."""

import contextlib
import os
import threading
from concurrent.futures import Future

import pytest
from harness.server import wait_for
from support import programs
from support.wire import CutShortError, Wire, get

from was import httpapi
from was.ipc.program_messages import MOST_RECEIVES

LIMIT_S = 60
# What a thread gets for a request that another one has ended: within a call, and between two.
ENDED = {httpapi.ERROR_OPERATION_ABORTED, httpapi.ERROR_CONNECTION_INVALID}

running, url, queue = programs.running, programs.url, programs.queue


def in_thread(act) -> Future:
    """What `act` returns or raises, on a thread of its own that is not waited for."""
    outcome: Future = Future()

    def run() -> None:
        try:
            outcome.set_result(act())
        except httpapi.HttpApiError as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def error_of(outcome: Future) -> int:
    with pytest.raises(httpapi.HttpApiError) as raised:
        outcome.result(LIMIT_S)
    return raised.value.error


def test_receives_that_were_given_up_take_nothing_away(queue, url, running):
    """A program may ask again and again; what comes too late goes to who still receives."""
    queue.add_url(url)
    for _ in range(MOST_RECEIVES + 10):
        assert queue.begin_receive().cancel()
    with httpapi.RequestQueue("tested", open_existing=True, home=running.home) as other:
        waiting = other.begin_receive()
        with Wire(running.port()) as wire:
            wire.send_request("/demo/")
            other.send_response(waiting.result(LIMIT_S).id, httpapi.HttpResponse.text("other"))
            assert wire.read().text == "other"
    with Wire(running.port()) as wire:
        wire.send_request("/demo/")
        request = queue.receive_request(LIMIT_S)
        queue.send_response(request.id, httpapi.HttpResponse.text("mine"))
        assert wire.read().text == "mine"


def test_what_a_program_does_not_receive_any_more_goes_to_another(queue, url, running):
    """Shut down, with receives that wait: the requests that come are the other process's."""
    queue.add_url(url)
    receives = [queue.begin_receive() for _ in range(3)]
    queue.shut_down()
    assert {error_of(receive) for receive in receives} == {httpapi.ERROR_OPERATION_ABORTED}
    with (
        httpapi.RequestQueue("tested", open_existing=True, home=running.home) as other,
        Wire(running.port()) as wire,
    ):
        wire.send_request("/demo/")
        request = other.receive_request(LIMIT_S)
        other.send_response(request.id, httpapi.HttpResponse.text("other"))
        assert wire.read().text == "other"


def test_more_requests_at_once_than_a_process_may_have_wait(queue, url, running):
    """A receive too many waits until something was answered; what is there is not lost."""
    queue.add_url(url)
    receives = [queue.begin_receive() for _ in range(MOST_RECEIVES)]
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(running.port())) for _ in range(MOST_RECEIVES + 1)]
        for wire in wires:
            wire.send_request("/demo/")
        first = [receive.result(LIMIT_S) for receive in receives]
        last = queue.begin_receive()
        for request in first:
            queue.send_response(request.id, httpapi.HttpResponse.text("ok"))
        queue.send_response(last.result(LIMIT_S).id, httpapi.HttpResponse.text("ok"))
        assert {wire.read().text for wire in wires} == {"ok"}


def test_cancelling_wakes_who_reads_and_sends(queue, url, running):
    """HttpCancelHttpRequest from another thread: reads and sends under way fail, others go on."""
    queue.add_url(url)
    other = queue.begin_receive()
    with Wire(running.port()) as beside, Wire(running.port()) as slow, Wire(running.port()) as body:
        beside.send_request("/demo/")
        other.result(LIMIT_S)
        slow.send_request("/demo/")
        sender = queue.receive_request(LIMIT_S)
        queue.send_response(sender.id, httpapi.HttpResponse(), more_data=True)
        block = [os.urandom(1 << 20)]

        def send() -> None:
            while True:
                queue.send_response_entity_body(sender.id, block, more_data=True)

        sending = in_thread(send)
        body.send(b"POST /demo/ HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
        body.send(bytes(1 << 20))
        reader = queue.receive_request(LIMIT_S)

        def read() -> None:
            while queue.receive_request_entity_body(reader.id):
                pass

        reading = in_thread(read)
        queue.cancel_request(sender.id)
        assert error_of(sending) in ENDED
        queue.send_response(reader.id, httpapi.HttpResponse.text("enough"))
        assert body.read().text == "enough"
        assert error_of(reading) in ENDED
        with pytest.raises(CutShortError):
            slow.read()
        queue.send_response(other.result().id, httpapi.HttpResponse.text("ok"))
        assert beside.read().text == "ok"


def test_what_no_client_may_see_costs_no_other_request(queue, url, running):
    """A reason, a length or a chunk that cannot be sent raises; the rest of the program goes on."""
    queue.add_url(url)
    end, pipe = os.pipe()
    with Wire(running.port()) as beside, Wire(running.port()) as wire, open(__file__) as file:
        beside.send_request("/demo/")
        other = queue.receive_request(LIMIT_S)
        wire.send_request("/demo/")
        request = queue.receive_request(LIMIT_S)
        for bad in (
            httpapi.HttpResponse(200, "a\r\nb"),
            httpapi.HttpResponse(200, "\u20ac"),
            httpapi.HttpResponse(200, "\ud800"),
            httpapi.HttpResponse(200.0),
            httpapi.HttpResponse(1 << 70),
            httpapi.HttpResponse(headers=[("Content-Length", "9" * 30)]),
            httpapi.HttpResponse(chunks=[httpapi.FileChunk(end)]),
            httpapi.HttpResponse(chunks=[httpapi.FileChunk(file.fileno(), -1)]),
            httpapi.HttpResponse(chunks=[httpapi.FileChunk(file.fileno(), 1, (1 << 63) - 1)]),
            httpapi.HttpResponse(chunks=[httpapi.FileChunk(file.fileno(), 1, 1 << 20)]),
            httpapi.HttpResponse(chunks=[httpapi.FileChunk(file.fileno(), 1.5)]),
            httpapi.HttpResponse(chunks=["text"]),
            httpapi.HttpResponse(headers={"name": "value"}),
            httpapi.HttpResponse(headers=[("name", 5)]),
            httpapi.HttpResponse(headers=[("Content-Length", "1"), ("content-length", "2")]),
        ):
            with pytest.raises(httpapi.HttpApiError) as raised:
                queue.send_response(request.id, bad, more_data=True)
            assert raised.value.error == httpapi.ERROR_INVALID_PARAMETER
        for call in (
            lambda: queue.set_property(queue_length="long"),
            lambda: queue.set_property(verbosity=1 << 70),
            lambda: queue.add_url(5),
            lambda: queue.add_url("\ud800"),
            lambda: queue.receive_request_entity_body(request.id, -1),
        ):
            with pytest.raises(httpapi.HttpApiError) as raised:
                call()
            assert raised.value.error == httpapi.ERROR_INVALID_PARAMETER
        dropped = [("Trailer", "x"), ("TE", "x"), ("Proxy-Connection", "x"), ("X-Kept", "y")]
        queue.send_response(request.id, httpapi.HttpResponse(headers=dropped))
        assert wire.read().field("x-kept") == "y"

        class Data(bytes):
            """A program's own kind of bytes: its value is plain."""

        queue.send_response(other.id, httpapi.HttpResponse(chunks=[Data(b"ok")]))
        assert beside.read().text == "ok"
    os.close(end)
    os.close(pipe)


def test_a_url_stays_with_the_last_process_that_added_it(queue, url, running):
    """The first of two copies closes its queue: the second goes on; with it the URL is gone."""
    queue.add_url(url)
    with httpapi.RequestQueue("tested", open_existing=True, home=running.home) as other:
        other.add_url(url)
        queue.close()
        with Wire(running.port()) as wire:
            wire.send_request("/demo/")
            request = other.receive_request(LIMIT_S)
            other.send_response(request.id, httpapi.HttpResponse.text("other"))
            assert wire.read().text == "other"
    wait_for("the site", lambda: get(running.port(), "/demo/").status == 200)


def test_waiting_for_a_disconnect_outlasts_the_response(queue, url, running):
    """The connection is waited for, not the request: who waits is told, whatever comes between."""
    queue.add_url(url)
    with Wire(running.port()) as wire:
        waits = []
        for _ in range(2):
            wire.send_request("/demo/")
            request = queue.receive_request(LIMIT_S)
            waits.append(queue.begin_wait_for_disconnect(request.id))
            queue.send_response(request.id, httpapi.HttpResponse.text("ok"))
            assert wire.read().text == "ok"
        with pytest.raises(TimeoutError):
            waits[0].result(0)
    for wait in waits:
        wait.result(LIMIT_S)
    with Wire(running.port()) as wire:
        wire.send_request("/demo/")
        request = queue.receive_request(LIMIT_S)
        wait = queue.begin_wait_for_disconnect(request.id)
        queue.close()  # nobody will say when it ends
        wait.result(LIMIT_S)


def test_what_would_have_been_sent_may_be_said(queue, url, running):
    """304 has the Content-Length of the response that it stands for, and no body (RFC 9110 8.6)."""
    queue.add_url(url)
    with Wire(running.port()) as wire:
        wire.send_request("/demo/")
        request = queue.receive_request(LIMIT_S)
        queue.send_response(
            request.id, httpapi.HttpResponse(304, headers=[("Content-Length", "44")])
        )
        answer = wire.read()
        assert (answer.status, answer.field("content-length")) == (304, "44")


def test_a_server_that_stops_settles_each_link_once(queue, url, running):
    """A queue is open and has answered: the log of the stop speaks of no mistake of ours."""
    queue.add_url(url)
    with Wire(running.port()) as wire:
        wire.send_request("/demo/")
        queue.send_response(queue.receive_request(LIMIT_S).id, httpapi.HttpResponse.text("mine"))
        assert wire.read().text == "mine"
    assert running.server.stop() == 0
    running.expected_exit = None
    assert "Traceback" not in running.server.log_text()
