"""wsgi.input over a body that arrives in whatever pieces."""

import io

from hypothesis import given
from hypothesis import strategies as st

from was.worker.wsgi.input import EntityReader


class Arriving:
    """A request whose body comes in pieces of these sizes, over and over."""

    def __init__(self, body, sizes=(1,)):
        self._body = io.BytesIO(body)
        self._sizes = sizes
        self._reads = 0

    def read_entity_body(self, size):
        self._reads += 1
        return self._body.read(min(size, self._sizes[self._reads % len(self._sizes)]))


SIZE = st.one_of(st.none(), st.integers(-1, 40))
CALLS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["read", "readline", "readlines"]), SIZE),
        st.just(("next", None)),
    ),
    max_size=8,
)


def call(file, how, size):
    return next(iter(file), b"") if how == "next" else getattr(file, how)(size)


@given(
    st.lists(st.sampled_from([b"a", b"bc", b"\n"]), max_size=40).map(b"".join),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    CALLS,
)
def test_it_reads_as_a_file_does(body, sizes, calls):
    """Every way to read gives what the same bytes in a file would give, and b"" at their end."""
    reader, file = EntityReader(Arriving(body, sizes)), io.BytesIO(body)
    for how, size in calls:
        assert call(reader, how, size) == call(file, how, size)
    assert reader.read() == file.read()
    assert (reader.read(5), reader.readline(), list(reader)) == (b"", b"", [])


def test_a_line_as_long_as_the_body_is_read_once():
    """Copied with each piece that comes, it would take longer than a test may: no clock is read."""
    size = 2_000_000
    assert len(EntityReader(Arriving(b"x" * size)).readline()) == size
