"""Records that cannot be written: the old one stays, the new one comes later."""

import errno
import os

import pytest

from was.ipc.endpoints import Home
from was.manager.state_files import StateFiles


@pytest.fixture
def files(tmp_path):
    return StateFiles(Home(tmp_path))


@pytest.fixture
def full(monkeypatch):
    """Nothing more can be written."""

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fchmod", refuse)
    return monkeypatch.undo


def test_a_record_that_finds_no_room_is_written_later(files, tmp_path, full):
    """Whole or not at all; `trouble` says so meanwhile; nothing half is left behind."""
    files.write("one", {"a": 1})
    assert "No space left" in files.trouble
    assert files.read("one") == {}
    assert list((tmp_path / "run" / "state").iterdir()) == []
    files.write_again()
    assert files.trouble
    full()
    files.write_again()
    assert (files.read("one"), files.trouble) == ({"a": 1}, "")


def test_what_is_removed_meanwhile_is_not_written(files, full):
    """A record of what has gone is none."""
    files.write("one", {})
    files.remove("one")
    full()
    files.write_again()
    assert files.read("one") == {}


def test_what_must_be_written_at_once_raises(files, full):
    """Identities: what is given and not written down might be given twice."""
    with pytest.raises(OSError, match="No space"):
        files.write_now("one", {})
    full()
