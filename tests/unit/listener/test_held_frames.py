"""Frames of a WebSocket that is held: whole messages, whatever the pieces they come in."""

import os
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.frames import frame

from was.listener.held_frames import (
    BadFrameError,
    ClientFrames,
    WorkerFrames,
    close_frame,
    masked_close,
    pong_frame,
    unmasked,
)


def cut(data, places):
    at = 0
    for place in [*sorted(place % (len(data) + 1) for place in places), len(data)]:
        yield data[at:place]
        at = place


def feed(frames, data, step):
    return [u for at in range(0, len(data), step) for u in frames.feed(data[at : at + step])]


LONG = frame(b"x" * 70000, 2)
PIECES = frame(b"in ", fin=False) + frame(b"pi", 0, fin=False) + frame(b"eces", 0)
BETWEEN = (
    frame(b"in ", fin=False)
    + frame(b"?", 9)
    + frame(b"", 0, fin=False)
    + frame(b"!", 10)
    + frame(b"pieces", 0)
)
STREAM = (
    frame(b"one") + PIECES + frame(b"ping", 9) + LONG + BETWEEN + frame(b"") + masked_close(1000)
)
WHOLE = [
    (1, frame(b"one")),
    (1, PIECES),
    (9, frame(b"ping", 9)),
    (2, LONG),
    (9, frame(b"?", 9)),
    (10, frame(b"!", 10)),
    (1, frame(b"in ", fin=False) + frame(b"", 0, fin=False) + frame(b"pieces", 0)),
    (1, frame(b"")),
    (8, masked_close(1000)),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_messages_come_whole_however_they_are_cut(places):
    """Control frames between the pieces of a message come first, and leave it as it is."""
    frames = ClientFrames(100_000, may_fold=False)
    found = [unit for part in cut(STREAM, places) for unit in frames.feed(part)]
    assert found == WHOLE
    assert not frames.partial


def test_byte_by_byte():
    """The short ones."""
    data = frame(b"one") + BETWEEN + frame(b"y" * 200)
    frames = ClientFrames(1000, may_fold=False)
    assert len(feed(frames, data, 1)) == 5


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"hi", mask=None), 1002),
        (frame(b"hi", rsv=4), 1002),
        (frame(b"hi", rsv=2), 1002),
        (frame(b"hi", 3), 1002),
        (frame(b"hi", 11), 1002),
        (frame(b"hi", 0), 1002),
        (frame(b"hi", fin=False) + frame(b"hi"), 1002),
        (frame(b"hi", 9, fin=False), 1002),
        (frame(b"x" * 126, 9), 1002),
        (frame(b"x" * 1000), 1009),
        (frame(b"x" * 500, fin=False) + frame(b"x" * 490, 0, fin=False), 1009),
        (b"\x81\xff" + b"\xff" * 8 + b"abcd", 1009),
    ],
)
def test_what_no_client_may_send(data, code):
    """1002, and 1009 for a message that is longer than may be kept; also when it dribbles in."""
    for step in (1, len(data)):
        frames = ClientFrames(1000, may_fold=False)
        with pytest.raises(BadFrameError) as caught:
            feed(frames, data, step)
        assert caught.value.code == code


def test_folded_messages():
    """RSV1 of a message's first frame is permessage-deflate's, where that was agreed upon."""
    folded = frame(b"x", rsv=4)
    assert list(ClientFrames(100, may_fold=True).feed(folded)) == [(1, folded)]
    with pytest.raises(BadFrameError):
        list(ClientFrames(100, may_fold=True).feed(frame(b"x", 9, rsv=4)))


def test_our_own_frames():
    """A pong has its ping's payload; a close its code and reason."""
    assert pong_frame(frame(b"ping", 9)) == b"\x8a\x04ping"
    assert close_frame(1012, "bye") == b"\x88\x05\x03\xf4bye"
    assert unmasked(masked_close(1002)) == struct.pack("!H", 1002)


@given(st.lists(st.integers(0, 200_000), max_size=20))
def test_where_a_worker_has_come_to(places):
    """Between frames a pong may be said; between messages another worker may go on."""
    first = frame(b"x" * 70000, fin=False, mask=None)
    data = first + frame(b"y" * 200, 0, mask=None) + frame(b"", 9, mask=None)
    written = WorkerFrames()
    at = 0
    ends = {0, len(first), len(first) + 204, len(data)}
    for part in cut(data, places):
        written.feed(part)
        at += len(part)
        assert written.is_between_frames == (at in ends)
        assert written.is_between_messages == (at in ends - {len(first)})
    assert not written.has_closed
    written.feed(close_frame(1000))
    assert written.has_closed


def test_random_bytes_never_break_it():
    """Whatever comes, it is a unit, an error, or waits for more."""
    for _ in range(300):
        with suppress(BadFrameError):
            feed(ClientFrames(5000, may_fold=True), os.urandom(1000), 50)
