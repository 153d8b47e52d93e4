"""Bytes and regions of files, of which bodies are put together."""

import os

import pytest

from was.worker.chunks import FileRegion, close_files, read_region, size_of


@pytest.fixture
def region(tmp_path):
    """Bytes 2 to 8 of a file of ten."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    made = FileRegion(os.open(path, os.O_RDWR), 2, 6)
    yield made
    made.close()


def test_a_region_is_read_in_blocks_and_no_further(region):
    """Each block is as long as it may be but for the last, which ends where the region does."""
    assert list(read_region(region, 4)) == [b"2345", b"67"]


def test_a_file_that_has_become_shorter_is_an_error(region):
    """Less than was promised is never taken for all of it."""
    os.truncate(region.fd, 5)
    blocks = read_region(region, 4)
    assert next(blocks) == b"234"
    with pytest.raises(OSError, match="shorter"):
        next(blocks)


def test_chunks_are_counted_and_closed_together(region):
    """A region counts by its length, bytes by theirs; closing closes what is ours, once.

    What is no chunk at all is in nobody's way then: it is refused when it is to be sent.
    """
    others = FileRegion(region.fd, 0, 10, is_owned=False)
    chunks = [b"ab", region, others]
    assert size_of(chunks) == 18
    assert size_of([b"abc"]) == 3
    assert size_of([]) == 0
    close_files(["no chunk", *chunks])
    close_files(chunks)
    assert (region.fd, others.fd >= 0) == (-1, True)
