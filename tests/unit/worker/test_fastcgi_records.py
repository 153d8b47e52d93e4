"""FastCGI 1.0 records: to bytes and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.worker.fastcgi import records
from was.worker.fastcgi.records import EndRequest, RecordError, RecordReader, RecordType, Role

KINDS = st.sampled_from(list(RecordType))
ONE = st.tuples(KINDS, st.integers(0, 65535), st.binary(max_size=300))


@given(st.lists(ONE, max_size=6), st.integers(1, 50))
def test_records_come_back_whatever_the_pieces(written, size):
    """Every type and id; padding is nobody's content."""
    data = b"".join(records.encode(*one) for one in written)
    reader = RecordReader()
    found = [r for at in range(0, len(data), size) for r in reader.feed(data[at : at + size])]
    assert [tuple(record) for record in found] == written
    assert len(data) % 8 == 0


@given(st.dictionaries(st.binary(max_size=300), st.binary(max_size=300), max_size=5))
def test_pairs_come_back(pairs):
    """Lengths below 128 take one byte, others four."""
    assert records.decode_pairs(records.encode_pairs(pairs)) == pairs


def test_the_specifications_bytes():
    """Appendix A and B: the example of a whole request."""
    assert records.begin_request(1, Role.RESPONDER, 0) == bytes.fromhex("0101000100080000") + (
        bytes.fromhex("0001000000000000")
    )
    assert records.encode_pairs({b"SERVER_PORT": b"80"}) == b"\013\002SERVER_PORT80"
    assert records.stream(RecordType.PARAMS, 1, b"") == bytes.fromhex("0104000100000000")
    assert records.abort_request(7)[:4] == bytes.fromhex("01020007")
    assert EndRequest.decode(bytes.fromhex("000003aa02000000")) == (938, 2)


def test_a_long_stream_takes_several_records():
    """At most 65,535 bytes each."""
    data = bytes(150_000)
    found = list(RecordReader().feed(records.stream(RecordType.STDIN, 3, data)))
    assert [len(record.content) for record in found] == [65535, 65535, 18930]


@pytest.mark.parametrize("data", [b"\x05", b"\x05\x00", b"\x80\x00", b"\x81\x00\x00\x00\x00a"])
def test_ill_formed_pairs_are_refused(data):
    """Lengths that lead beyond the record."""
    with pytest.raises(RecordError):
        records.decode_pairs(data)


def test_another_version_is_refused():
    """There is none but 1; and an END_REQUEST has eight bytes."""
    with pytest.raises(RecordError):
        list(RecordReader().feed(bytes.fromhex("0201000100000000")))
    with pytest.raises(RecordError):
        EndRequest.decode(b"\0\0\0")
