"""WebSocket frames: whole messages in and out, bounded whatever they unfold to."""

import zlib

import pytest

from was.worker.websocket.deflate import choose_extensions
from was.worker.websocket.frames import CLOSED, CLOSING, OPEN, Frames
from was.worker.websocket.handshake import BadHandshakeError, is_upgrade, read_handshake

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def frame(opcode, payload=b"", *, fin=True, rsv1=False):
    """A frame of a client; masked with zeros."""
    head = bytes([fin << 7 | rsv1 << 6 | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += b"\xfe" + size.to_bytes(2, "big")
    else:
        head += b"\xff" + size.to_bytes(8, "big")
    return head + bytes(4) + payload


def test_byte_by_byte_or_at_once_is_the_same():
    """Fragments, a ping between them, text that is cut within a character."""
    data = (
        frame(1, b"gr\xc3", fin=False)
        + frame(9, b"p")
        + frame(0, b"\xbc\xc3\x9f")
        + frame(2, b"\0")
    )
    for step in (1, 2, 3, 7, len(data)):
        frames = Frames([], 100)
        for at in range(0, len(data), step):
            frames.receive(data[at : at + step])
        assert list(frames.messages) == ["grüß", b"\0"]
        assert list(frames.out) == [b"\x8a\x01p"]


def test_a_ping_within_a_compressed_message_changes_nothing_about_it():
    """RFC 6455, 5.4, and RFC 7692, 6.1: only the first fragment says that the message is folded."""
    extensions, _ = choose_extensions(["permessage-deflate"])
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    frames = Frames(extensions, 4096)
    for text in (b"first " * 50, b"second " * 50):
        folded = deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH)[:-4]
        frames.receive(frame(9, b"before"))
        frames.receive(frame(1, folded[:4], fin=False, rsv1=True))
        frames.receive(frame(9, b"within"))
        frames.receive(frame(0, folded[4:]))
    assert list(frames.messages) == ["first " * 50, "second " * 50]


@pytest.mark.parametrize(
    ("offers", "accepted"),
    [
        (["permessage-deflate"], "permessage-deflate"),
        (
            ['permessage-deflate; server_max_window_bits="10"'],
            "permessage-deflate; server_max_window_bits=10",
        ),
        (["permessage-deflate; client_max_window_bits=abc"], ""),
        (["permessage-deflate; server_max_window_bits"], ""),
        (["permessage-deflate; server_no_context_takeover=1"], ""),
        (["permessage-deflate; client_max_window_bits; client_max_window_bits=9"], ""),
        (["permessage-deflate; unheard_of"], ""),
        (["other", "permessage-deflate; x=1", "permessage-deflate"], "permessage-deflate"),
    ],
)
def test_an_offer_that_is_none_is_declined(offers, accepted):
    """RFC 7692, 7.1: the client has its WebSocket without compression, or by its next offer."""
    extensions, text = choose_extensions(offers)
    assert (bool(extensions), text) == (bool(accepted), accepted)


def test_empty_fragments_are_not_kept():
    """A message without a byte has no limit in bytes."""
    frames = Frames([], 10)
    frames.receive(frame(1, fin=False) + frame(0, fin=False) * 1000)
    assert frames._parts == []
    frames.receive(frame(0, b"x"))
    assert list(frames.messages) == ["x"]


def test_a_message_may_end_with_a_last_block():
    """RFC 7692, 7.2.3.4: BFINAL ends no more than the message; what follows it is read as ever."""
    extensions, _ = choose_extensions(["permessage-deflate"])
    frames = Frames(extensions, 1 << 20)
    for text in (b"one", b"another one", b"another one"):
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        last = deflate.compress(text) + deflate.flush(zlib.Z_FINISH) + b"\0"
        frames.receive(frame(1, last[:3], fin=False, rsv1=True) + frame(0, last[3:]))
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        folded = deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH)[:-4]
        frames.receive(frame(1, folded, rsv1=True))
    expected = [text for text in ("one", "another one", "another one") for _ in range(2)]
    assert list(frames.messages) == expected


def test_a_message_that_unfolds_beyond_the_limit_is_closed():
    """1009, long before all of it has been unfolded."""
    extensions, _ = choose_extensions(["permessage-deflate; client_max_window_bits"])
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(bytes(100_000_000)) + deflate.flush(zlib.Z_SYNC_FLUSH)[:-4]
    frames = Frames(extensions, 4096)
    frames.receive(frame(2, bomb, rsv1=True))
    assert frames.state == CLOSING
    assert frames.close_code == 1009
    assert not frames.messages


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(3), 1002),  # an opcode that is none
        (frame(1, b"\xff\xff"), 1007),  # text that is none
        (frame(0, b"x"), 1002),  # a continuation of nothing
        (frame(1, b"x", rsv1=True), 1002),  # compressed, unasked
        (b"\x81\x02hi", 1002),  # unmasked
        (frame(8, b"\x03"), 1002),  # half a code
    ],
)
def test_what_breaks_the_protocol_is_closed(data, code):
    """RFC 6455, 7.4.1."""
    frames = Frames([], 100)
    frames.receive(data)
    assert frames.state == CLOSED
    assert frames.close_code == code


def test_closing_is_answered_and_awaited():
    """The client's close is echoed; after our own only the client's close counts."""
    frames = Frames([], 100)
    frames.receive(frame(8, b"\x0f\xa0ok"))
    assert (frames.state, frames.close_code, frames.close_reason) == (CLOSED, 4000, "ok")
    assert frames.out.popleft()[:4] == b"\x88\x04\x0f\xa0"
    frames = Frames([], 100)
    frames.close(1012, "é" * 100)
    assert frames.state == CLOSING
    frames.receive(frame(1, b"late") + frame(8, b"\x03\xf4"))
    assert frames.state == CLOSED
    assert not frames.messages
    assert frames.close_code == 1012


def test_a_handshake_says_what_the_client_wants():
    """RFC 6455, 1.3: the key's answer; several fields of one name are one list."""
    fields = [
        ("Upgrade", "WebSocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Protocol", "a"),
        ("Sec-WebSocket-Protocol", "b, c"),
    ]
    assert is_upgrade("GET", 11, fields)
    assert not is_upgrade("POST", 11, fields)
    assert not is_upgrade("GET", 10, fields)
    found = read_handshake(fields)
    assert found.accept == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert found.subprotocols == ["a", "b", "c"]
    with pytest.raises(BadHandshakeError):
        read_handshake([f for f in fields if f[0] != "Sec-WebSocket-Key"])


def test_fragments_are_written_as_one_message():
    """Continuations follow the first part; state OPEN stays."""
    frames = Frames([], 100)
    frames.send_fragment("a", False)
    frames.send_fragment("b", True)
    assert b"".join(frames.out) == b"\x01\x01a\x80\x01b"
    assert frames.state == OPEN


def masked(first, payload, mask=b"\x01\x82\x03\xf4"):
    """A frame with a mask that is none of zeros."""
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return frame(0, payload)[1 : -4 - len(payload) or None].join([bytes([first]), mask + body])


STREAMS = {
    "lengths": b"".join(
        masked(0x82, b"ab" * (size // 2)) for size in (0, 2, 124, 126, 65534, 65536)
    ),
    "text between fragments": masked(0x81, "grüß".encode())
    + masked(0x01, b"a")
    + masked(0x89, b"p")
    + masked(0x80, b"b")
    + masked(0x81, b"c"),
    "message within a message": masked(0x01, b"a") + masked(0x81, b"b") + masked(0x80, b"c"),
    "continuation of nothing": masked(0x81, b"a") + masked(0x80, b"b"),
    "text that is none": masked(0x81, b"a") + masked(0x81, b"\xff"),
    "no mask": masked(0x81, b"a") + b"\x81\x01b" + masked(0x81, b"c"),
    "reserved bit": masked(0xC1, b"a"),
    "unknown opcode": masked(0x81, b"a") + masked(0x83, b"b"),
    "too long": masked(0x81, b"a") + masked(0x82, bytes(70_000)) + masked(0x81, b"b"),
    "a short length in two bytes": masked(0x81, b"a") + b"\x82\xfe\x00\x05" + bytes(9),
    "a short length in eight": masked(0x81, b"a") + b"\x82\xff" + bytes(6) + b"\1\0" + bytes(260),
    "pings and pongs": masked(0x89, b"")
    + masked(0x89, b"p" * 125)
    + masked(0x8A, b"q")
    + masked(0x01, b"a")
    + masked(0x8A, b"")
    + masked(0x89, b"within")
    + masked(0x80, b"b")
    + masked(0x81, b"c"),
    "a ping that is too long": masked(0x89, b"p") + masked(0x89, b"p" * 126) + masked(0x81, b"a"),
    "a ping that is not final": masked(0x09, b"p") + masked(0x81, b"a"),
    "a ping without a mask": masked(0x89, b"p") + b"\x89\x01p" + masked(0x81, b"a"),
    "a ping that is folded": masked(0xC9, b"p") + masked(0x81, b"a"),
    "a ping after the close": masked(0x88, b"\x03\xe8") + masked(0x89, b"a"),
    "after the close": masked(0x88, b"\x03\xe8") + masked(0x81, b"a"),
}


def heard(data, step, *, is_plain):
    """What a connection makes of a stream that comes in steps."""
    frames = Frames([], 66_000)
    if not is_plain:
        frames._is_plain = False  # as if something were agreed: all of it goes to wsproto
    for at in range(0, len(data), step):
        frames.receive(data[at : at + step])
    closing = (frames.state, frames.close_code, frames.pongs)
    return list(frames.messages), frames.waiting_bytes, b"".join(frames.out), closing


@pytest.mark.parametrize("name", STREAMS)
def test_whole_frames_are_read_as_wsproto_reads_them(name):
    """The short way and the library agree about every stream, however it is cut."""
    data = STREAMS[name]
    steps = (len(data), 4093) if len(data) > 2000 else (1, 2, 3, 5, 8, 13, len(data))
    for step in steps:
        assert heard(data, step, is_plain=True) == heard(data, step, is_plain=False), step


@pytest.mark.parametrize("opcode", [9, 10])
def test_pings_and_pongs_are_no_work_for_the_library(opcode):
    """At its price a flood of them keeps a worker busy long after its client has gone."""
    frames = Frames([], 100)
    frames._connection = None
    frames.receive(masked(0x80 | opcode, b"p") * 1000)
    assert (len(frames.out), frames.pongs) == ((1000, 0) if opcode == 9 else (0, 1000))


@pytest.mark.parametrize("message", ["", "grüß", "x" * 126, b"", b"\0" * 125, b"\0" * 65536])
def test_whole_messages_are_written_as_wsproto_writes_them(message):
    """The same bytes, whoever writes them; within a fragmented message it is the library."""
    plain, library = Frames([], 100), Frames([], 100)
    library._is_plain = False
    for frames in (plain, library):
        frames.send(message)
    assert list(plain.out) == list(library.out)


@pytest.mark.parametrize("offers", [[], ["permessage-deflate"]])
def test_a_message_costs_something_however_short_it_is(offers):
    """Who sends messages of no bytes that nobody takes is read no further after some of them."""
    extensions, _ = choose_extensions(offers)
    frames = Frames(extensions, 10)
    frames.receive(frame(2) * 1000)
    assert len(frames.messages) == 1000
    assert frames.waiting_bytes > 30_000
    while frames.messages:
        frames.take()
    assert frames.waiting_bytes == 0


@pytest.mark.parametrize("offers", [[], ["permessage-deflate"]])
def test_work_is_counted_by_frames_and_by_what_they_unfold_to(offers):
    """Pings, pongs, empty fragments and messages alike; a long one counts for many."""
    extensions, _ = choose_extensions(offers)
    frames = Frames(extensions, 1 << 20)
    for data in (frame(9), frame(10), frame(2, fin=False) + frame(0, b"x"), frame(1, b"x")):
        before = frames.work
        frames.receive(data * 100)
        assert frames.work - before >= 100
    before = frames.work
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    folded = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_SYNC_FLUSH)[:-4]
    frames.receive(frame(2, folded, rsv1=True) if offers else frame(2, bytes(1 << 20), fin=False))
    assert offers == [] or frames.work - before > 200
