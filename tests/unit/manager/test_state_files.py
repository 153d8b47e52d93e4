"""Records that cannot be written: the old one stays, the new one comes later."""

import errno
import os

import pytest

from was.ipc.endpoints import Home
from was.manager.state_files import Counters, StateFiles


@pytest.fixture
def files(tmp_path):
    return StateFiles(Home(tmp_path))


def refuse(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def full(monkeypatch):
    """No file more can be made."""
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


def test_numbers_are_not_given_twice_though_no_file_can_be_made(files, tmp_path, monkeypatch):
    """Over the numbers of before there is always room: the next manager goes on after them."""
    before = Counters(files)
    assert [next(before) for _ in range(9)][-1] == 9
    monkeypatch.setattr(os, "fchmod", refuse)
    assert (next(before), before.next_epoch()) == (10, 1)
    after = Counters(StateFiles(Home(tmp_path)))
    assert (next(after), after.next_epoch(), files.trouble) == (11, 2, "")
