"""The load client tells the fates of requests apart, against servers that misbehave on purpose."""

import asyncio
import socket
import struct

import pytest
from harness.load import Load, run_load_async
from harness.response_reader import MalformedResponseError, ResponseReader
from harness.tally import Fate, Outcome, Tally, percentile
from support.ports import unused_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def _serve_and_load(answer, *, timeout_s=60, **load) -> Tally:
    """Run a load against `answer(request number, writer)`, called once a request head has come."""
    count = 0

    async def handle(reader, writer):
        nonlocal count
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                count += 1
                await answer(count, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await run_load_async(Load("127.0.0.1", port, timeout_s=timeout_s, **load))
    finally:
        server.close()
        await server.wait_closed()


def _run(answer, **load) -> Tally:
    return asyncio.run(_serve_and_load(answer, **load))


def test_a_paced_run_makes_rate_times_duration_requests():
    """Rate times duration requests are made, each of them counted once."""

    async def answer(count, writer):
        writer.write(OK)

    tally = _run(answer, rate=200, duration_s=0.5, connections=4)
    assert tally.statuses == {200: 100}
    assert sorted(o.number for o in tally.outcomes) == list(range(100))
    assert tally.connections == 4


def test_a_stall_is_charged_to_the_requests_that_waited_behind_it():
    """Latency runs from the due time, so one stall of the server shows in many requests."""

    async def answer(count, writer):
        if count == 10:
            await asyncio.sleep(0.2)
        writer.write(OK)

    tally = _run(answer, rate=200, duration_s=0.5, connections=1)
    assert sum(o.latency_s > 0.05 for o in tally.outcomes) > 20


def test_an_announced_close_is_no_defect():
    """After Connection: close a new connection is opened, and nothing is counted against it."""

    async def answer(count, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    tally = _run(answer, count=5)
    assert tally.statuses == {200: 5}
    assert (tally.connections, tally.unannounced_closes) == (5, 0)


def test_a_close_between_requests_is_counted_when_it_was_not_announced():
    """An idle connection that is closed without a word is told, though no request failed.

    There is time between the requests for the close to be seen.
    """

    async def answer(count, writer):
        writer.write(OK)
        writer.close()

    tally = _run(answer, rate=0.5, duration_s=6, connections=1)
    assert tally.statuses == {200: 3}
    assert tally.unannounced_closes >= 2


@pytest.mark.parametrize(
    ("sent", "fate"),
    [
        (b"", Fate.CLOSED_BEFORE_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Fate.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour", Fate.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", Fate.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", None),
        (OK + b"!", Fate.MALFORMED),
        (b"what?\r\n\r\n", Fate.MALFORMED),
    ],
)
def test_what_the_stream_held_at_its_end_decides_the_fate(sent, fate):
    """Fewer bytes than promised are truncation, none at all are told apart from that."""

    async def answer(count, writer):
        writer.write(sent)
        await writer.drain()
        writer.close()

    outcome = _run(answer, count=1).outcomes[0]
    assert outcome.fate is (fate or Fate.ANSWERED)
    assert outcome.status == (0 if fate else 200)


def test_a_reset_is_told_from_a_close():
    """A connection that is reset counts as reset, whatever had come before."""

    async def answer(count, writer):
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    assert _run(answer, count=1).failures == {"reset": 1}


def test_silence_ends_in_a_timeout():
    """A request without an answer ends at the limit, and its connection is not used again."""

    async def answer(count, writer):
        if count > 1:
            writer.write(OK)
        else:
            await asyncio.sleep(2.5)

    tally = _run(answer, count=2, timeout_s=2)
    assert [o.fate for o in tally.outcomes] == [Fate.TIMEOUT, Fate.ANSWERED]
    assert tally.connections == 2


def test_a_refused_connection_is_the_fate_of_the_request():
    """When nobody listens each request is counted as refused."""
    tally = asyncio.run(run_load_async(Load("127.0.0.1", unused_port(), count=3)))
    assert tally.failures == {"refused": 3}


def test_bodies_and_ids_are_kept():
    """Each request has its own body; the response's X-Request-ID and first bytes are kept."""
    seen = []

    async def handle(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(3)
        seen.append((head.split(b" ")[0], body))
        writer.write(b"HTTP/1.1 502 No\r\nX-Request-ID: abc\r\nContent-Length: 4\r\n\r\nbody")
        await writer.drain()
        writer.close()

    async def run():
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        load = Load("127.0.0.1", port, method="POST", body=lambda n: b"n=%d" % n, count=1)
        tally = await run_load_async(load)
        server.close()
        await server.wait_closed()
        return tally

    outcome = asyncio.run(run()).outcomes[0]
    assert seen == [(b"POST", b"n=0")]
    assert (outcome.status, outcome.request_id, outcome.body) == (502, "abc", b"body")


CHUNKED = (
    b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: 1\r\n\r\n"
)


@pytest.mark.parametrize("step", [1, 2, 3, 7, len(CHUNKED)])
def test_a_response_reads_the_same_however_its_bytes_arrive(step):
    """Where the stream is cut into pieces has no influence on what is read."""
    reader = ResponseReader("GET")
    for at in range(0, len(CHUNKED), step):
        assert not reader.is_complete
        reader.feed(CHUNKED[at : at + step])
    assert reader.is_complete
    assert (reader.interim, reader.status) == ([103], 200)
    assert reader.body == b"abc0123456789abcdef"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_responses_without_a_body_end_with_their_head(method, status):
    """HEAD, 204 and 304 have no body, whatever their Content-Length says."""
    reader = ResponseReader(method)
    assert reader.feed(b"HTTP/1.1 %d X\r\nContent-Length: 10\r\n\r\n" % status)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
    ],
)
def test_ambiguous_framing_is_malformed(sent):
    """A response whose end could be read in two ways is refused."""
    with pytest.raises(MalformedResponseError):
        ResponseReader("GET").feed(sent)


def test_percentiles_and_counts():
    """The tally's figures are those of its outcomes, and only the answered have latencies."""
    tally = Tally([Outcome(n, Fate.ANSWERED, 200, n / 1000) for n in range(100)])
    tally.add(Outcome(100, Fate.RESET, latency_s=9.0))
    assert (tally.latency_ms(0.5), tally.latency_ms(1.0)) == (50.0, 99.0)
    assert percentile([], 0.5) == 0.0
    assert tally.summary().startswith("101 requests: 100 x 200, 1 reset; ms: p50 50.0")
