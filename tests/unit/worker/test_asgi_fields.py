"""Response fields of ASGI messages: encoded once, shared after that, and nobody's to change."""

import pytest

from was.errors import LocalProtocolError
from was.worker.asgi import fields
from was.worker.asgi.fields import encode
from was.worker.interfaces.response import HttpResponse

TYPE = (b"content-type", b"text/plain")
LENGTH = (b"content-length", b"14")


def test_fields_that_have_all_come_before_are_encoded_once():
    """The second message with known fields is kept as a whole, every later one shares it."""
    headers = [(b"x-kept", b"1"), (b"content-length", b"14")]
    encode(headers)
    kept = encode([*headers])
    assert encode([*headers]) is kept
    assert kept.pairs == [("x-kept", "1")]
    assert (kept.block, kept.content_length, kept.must_close) == (b"x-kept: 1\r\n", 14, False)


def test_what_a_module_adds_is_not_in_the_next_response():
    """A response changes a list of its own, though several were given the same."""
    headers = [TYPE, LENGTH]
    for _ in range(3):
        found = encode(headers)
        response = HttpResponse()
        response.set_encoded_fields(found.pairs, found.block)
        response.set_header("X-Added", "1", replace=False)
        response.set_header("Content-Type", "text/html")
        response.delete_header("X-Added")
        assert response.block() == b"Content-Type: text/html\r\n"
        assert found.pairs == [("content-type", "text/plain")]


@pytest.mark.parametrize(
    "headers",
    [
        [[b"x-one", b"1"], (b"x-two", b"2")],
        ((b"x-one", b"1"), (b"x-two", b"2")),
        iter([(b"x-one", b"1"), [b"x-two", b"2"]]),
        {b"x-one": b"1", b"x-two": b"2"}.items(),
    ],
)
def test_any_iterable_of_pairs_will_do(headers):
    """Lists of lists, tuples, what is iterated once."""
    found = encode(headers)
    assert found.pairs == [("x-one", "1"), ("x-two", "2")]
    assert found.block == b"x-one: 1\r\nx-two: 2\r\n"


def test_an_error_is_one_each_time():
    """What was refused is refused again, whatever is known of the other fields."""
    for _ in range(3):
        with pytest.raises(LocalProtocolError):
            encode([TYPE, (b"a b", b"c")])
        with pytest.raises(LocalProtocolError):
            encode([TYPE, (bytearray(b"a"), b"c")])


def test_connection_close_is_heard_each_time():
    """It is the listener's to send, and not kept: the fields beside it are."""
    for _ in range(3):
        found = encode([TYPE, (b"connection", b"Close")])
        assert found.must_close
        assert found.block == b"content-type: text/plain\r\n"
        assert not encode([TYPE]).must_close


def test_what_is_kept_has_a_bound():
    """Neither many different messages nor long ones fill the memory."""
    for number in range(3 * fields._WHOLE_LIMIT):
        for _ in range(2):
            encode([(b"x-number", b"%d" % number)])
    assert 0 < len(fields._wholes) <= fields._WHOLE_LIMIT
    fields._wholes.clear()
    long = [(b"x-%d" % number, b"v" * 200) for number in range(20)]
    for _ in range(3):
        encode(long)
    assert not fields._wholes
