"""Every sequence of ASGI messages, right and wrong: the machine alone, then the whole module."""

import itertools
import re

import pytest
from fake_exchange import ASGI, ask_later, make_server

from was.errors import LocalProtocolError
from was.worker.asgi.http_cycle import TABLE, HttpCycle, State
from was.worker.asgi.lifespan import TABLE as LIFESPAN_TABLE
from was.worker.asgi.lifespan import Phase
from was.worker.asgi.websocket_cycle import SocketState, WebSocketCycle

START = {"type": "http.response.start", "status": 200}
# One letter for each kind of message, so that what is right is a regular expression.
MESSAGES = {
    "s": START,
    "S": {**START, "trailers": True},
    "m": {"type": "http.response.body", "body": b"x", "more_body": True},
    "b": {"type": "http.response.body", "body": b"x"},
    "p": {"type": "http.response.pathsend", "path": "/etc/hostname"},
    "t": {"type": "http.response.trailers", "headers": [(b"a", b"b")]},
    "T": {"type": "http.response.trailers", "headers": [], "more_trailers": True},
    "h": {"type": "http.response.early_hint", "links": [b"</a>"]},
    "x": {"type": "http.response.push"},
}
RIGHT_BEGINNING = re.compile(r"h*(s[hm]*[bp]?|S[hm]*([bp]T*t?)?)?")
WHOLE = re.compile(r"h*(s[hm]*[bp]|S[hm]*[bp]T*t)")


def play(letters):
    """How many of the messages are taken, and the machine."""
    cycle = HttpCycle()
    for count, letter in enumerate(letters):
        try:
            cycle.take(MESSAGES[letter])
        except LocalProtocolError:
            return count, cycle
    return len(letters), cycle


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_every_sequence_is_taken_as_far_as_it_is_right(length):
    """What the specification allows is taken, the first message that it does not is refused."""
    for letters in itertools.product(MESSAGES, repeat=length):
        text = "".join(letters)
        expected = next(n for n in range(length, -1, -1) if RIGHT_BEGINNING.fullmatch(text[:n]))
        taken, cycle = play(text)
        assert taken == expected, text
        assert (cycle.state is State.COMPLETE) == bool(WHOLE.fullmatch(text[:taken])), text


def test_what_is_not_in_the_table_leaves_the_state_alone():
    """Every (state, message) is in the table or refused, and a refusal changes nothing."""
    beginnings = {
        State.EXPECT_START: "",
        State.EXPECT_BODY: "s",
        State.EXPECT_TRAILERS: "Sb",
        State.COMPLETE: "sb",
    }
    for state, beginning in beginnings.items():
        for message in MESSAGES.values():
            _, cycle = play(beginning)
            if (state, message["type"]) in TABLE:
                cycle.take(message)
            else:
                with pytest.raises(LocalProtocolError):
                    cycle.take(message)
                assert cycle.state is state


@pytest.mark.parametrize(
    "message",
    [
        None,
        {},
        {"type": 5},
        {"type": "http.response.start"},
        {"type": "http.response.start", "status": "200"},
        {"type": "http.response.start", "status": 101},
        {"type": "http.response.start", "status": 600},
        {**START, "headers": [("a", "b")]},
        {**START, "headers": [(b"a",)]},
        {**START, "headers": [(b"a b", b"c")]},
        {**START, "headers": [(b"a", b"b\r\nc: d")]},
        {**START, "headers": [(b"content-length", b"-1")]},
        {**START, "headers": [(b"content-length", b"9" * 19)]},
        {**START, "headers": [(b"content-length", b"1"), (b"content-length", b"2")]},
        {**START, "headers": 5},
    ],
)
def test_an_ill_formed_start_is_refused(message):
    """With an error that says what is wrong, before anything is sent."""
    cycle = HttpCycle()
    with pytest.raises(LocalProtocolError):
        cycle.take(message)
    assert cycle.state is State.EXPECT_START


@pytest.mark.parametrize("body", ["text", 5, [b"x"]])
def test_a_body_that_is_not_bytes_is_refused(body):
    """str above all."""
    _, cycle = play("s")
    with pytest.raises(LocalProtocolError):
        cycle.take({"type": "http.response.body", "body": body})


def test_bytes_in_another_shape_are_taken():
    """bytearray and memoryview are byte strings too."""
    _, cycle = play("s")
    cycle.take({"type": "http.response.body", "body": bytearray(b"a"), "more_body": True})
    assert cycle.data == b"a"
    cycle.take({"type": "http.response.body", "body": memoryview(b"b")})
    assert cycle.data == b"b"


def test_more_than_content_length_is_refused():
    """The client would take it for the next response."""
    cycle = HttpCycle()
    cycle.take({**START, "headers": [(b"content-length", b"2")]})
    cycle.take({"type": "http.response.body", "body": b"ab", "more_body": True})
    with pytest.raises(LocalProtocolError):
        cycle.take({"type": "http.response.body", "body": b"c"})


def test_lifespan_messages_have_their_phase():
    """startup's before the first request, shutdown's after the last, each once."""
    assert {phase for phase, _ in LIFESPAN_TABLE} == {Phase.STARTING, Phase.STOPPING}
    assert all(("startup" in kind) == (phase is Phase.STARTING) for phase, kind in LIFESPAN_TABLE)


# ── WebSocket ───────────────────────────────────────────────────────────────────────────────────

SOCKET_MESSAGES = {
    "a": {"type": "websocket.accept"},
    "c": {"type": "websocket.close"},
    "s": {"type": "websocket.send", "text": "x"},
    "d": {"type": "websocket.http.response.start", "status": 404},
    "e": {"type": "websocket.http.response.body", "body": b"x", "more_body": True},
    "f": {"type": "websocket.http.response.body", "body": b"x"},
    "x": {"type": "http.response.start", "status": 200},
}
RIGHT_SOCKET = re.compile(r"(as*c?|c|de*f?)?")


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_every_sequence_of_a_websocket_is_taken_as_far_as_it_is_right(length):
    """accept, send, close; or a refusal; or a denial response; nothing after the end."""
    for letters in itertools.product(SOCKET_MESSAGES, repeat=length):
        text = "".join(letters)
        expected = next(n for n in range(length, -1, -1) if RIGHT_SOCKET.fullmatch(text[:n]))
        cycle = WebSocketCycle()
        taken = 0
        for letter in text:
            try:
                cycle.take(SOCKET_MESSAGES[letter])
            except LocalProtocolError:
                break
            taken += 1
        assert taken == expected, text


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": "a", "bytes": b"a"},
        {"type": "websocket.send", "text": b"a"},
        {"type": "websocket.send", "bytes": "a"},
        {"type": "websocket.close", "code": 1006},
        {"type": "websocket.close", "code": 5000},
        {"type": "websocket.close", "code": "1000"},
    ],
)
def test_an_ill_formed_message_of_a_websocket_is_refused(message):
    """Exactly one of text and bytes; a code that may be on the wire (RFC 6455, 7.4)."""
    cycle = WebSocketCycle()
    cycle.take({"type": "websocket.accept"})
    with pytest.raises(LocalProtocolError):
        cycle.take(message)
    assert cycle.state is SocketState.OPEN


def test_a_subprotocol_is_one_of_the_clients():
    """RFC 6455, 4.2.2: another would have the client end the connection, and nobody know why."""
    for offered in ([], ["a", "b"]):
        cycle = WebSocketCycle(offered)
        with pytest.raises(LocalProtocolError, match=r"the client offers (none|a, b)"):
            cycle.take({"type": "websocket.accept", "subprotocol": "c"})
        assert cycle.state is SocketState.CONNECTING  # it may say otherwise
    cycle.take({"type": "websocket.accept", "subprotocol": "b"})
    assert cycle.subprotocol == "b"


# ── through the module ──────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asgi")
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "says_letters.py").write_text(
        "messages = {}\n"
        "async def application(scope, receive, send):\n"
        "    if scope['type'] != 'http':\n"
        "        raise NotImplementedError\n"
        "    for letter in scope['query_string'].decode():\n"
        "        await send(messages[letter])\n"
    )
    server = make_server(folder, ASGI.format("says_letters:application"))
    import says_letters  # type: ignore[import-not-found]

    says_letters.messages.update(MESSAGES)
    yield server
    server.stop()


def test_every_sequence_ends_with_one_response(server):
    """Whole for a whole one, 500 before the first byte has gone, a cut after; never none."""
    for length in (0, 1, 2, 3):
        for letters in itertools.product("sSmbtTh", repeat=length):
            text = "".join(letters)
            exchange = ask_later(server, query=text)
            assert exchange.ends == 1, text
            right = next(n for n in range(length, -1, -1) if RIGHT_BEGINNING.fullmatch(text[:n]))
            if WHOLE.fullmatch(text[:right]):
                assert exchange.status == 200, text
                assert exchange.calls[-1] in ("finish", "end"), text
            elif "m" in text[:right] or re.search("S.*b", text[:right]):
                assert exchange.calls[-1] == "abort", text
            else:
                assert exchange.status == 500, text
