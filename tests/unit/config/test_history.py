"""configHistory: each change of applicationHost.config is kept in a folder of its own."""

import errno
import fcntl
import os
import signal
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.config import atomic, history
from was.config.history import keep, plan
from was.config.model import ConfigHistory


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config" / "applicationHost.config"
    path.parent.mkdir()
    path.write_bytes(b"one")
    return path


@pytest.fixture
def settings(file):
    return ConfigHistory(path=str(file.parent / "history"), max_histories=3)


def kept(settings):
    folder = settings.path
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return {n: Path(folder, n, "applicationHost.config").read_bytes() for n in names}


def test_each_change_gets_the_next_number(file, settings):
    """Ten digits, beginning at one; what the newest holds already is not kept again."""
    for content in (b"one", b"one", b"two"):
        file.write_bytes(content)
        assert keep(file, settings) == ""
    assert kept(settings) == {"CFGHISTORY_0000000001": b"one", "CFGHISTORY_0000000002": b"two"}


def test_the_schema_is_kept_with_the_file(file, settings):
    """Without it an old file could not be read as it was meant."""
    keep(file, settings)
    names = os.listdir(f"{settings.path}/CFGHISTORY_0000000001/schema")
    assert {"IIS_schema.xml", "was_schema.xml"} <= set(names)


def test_the_oldest_go(file, settings):
    """maxHistories are there at most; numbers are not used again."""
    for number in range(6):
        file.write_bytes(b"%d" % number)
        keep(file, settings)
    assert list(kept(settings).values()) == [b"3", b"4", b"5"]
    assert max(kept(settings)) == "CFGHISTORY_0000000006"


def test_nobody_else_may_read_it(file, settings):
    """Configuration holds secrets, wherever the folder lies."""
    keep(file, settings)
    folder = f"{settings.path}/CFGHISTORY_0000000001"
    assert stat.S_IMODE(os.stat(settings.path).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(f"{folder}/applicationHost.config").st_mode) == 0o600


def test_it_can_be_switched_off(file, settings):
    """enabled="false": not even the folder is made."""
    assert keep(file, ConfigHistory(enabled=False, path=settings.path)) == ""
    assert not os.path.exists(settings.path)


def test_what_goes_wrong_is_said_and_stops_nobody(file, settings, monkeypatch):
    """A missing file, a folder that is none, a full disk: a reason is returned, nothing is left."""
    assert "No such file" in keep(file.with_name("none"), settings)
    assert "Not a directory" in keep(file, ConfigHistory(path=f"{file}/history"))

    def full(fd, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.Calls, "write", staticmethod(full))
    assert "No space left" in keep(file, settings)
    assert kept(settings) == {}
    monkeypatch.undo()
    assert keep(file, settings) == ""


def test_one_keeps_at_a_time(file, settings):
    """A second writer does not wait: the next look finds what there is to keep."""
    os.mkdir(settings.path)
    fd = os.open(settings.path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert "another program" in keep(file, settings)
    os.close(fd)
    assert keep(file, settings) == ""


@pytest.mark.parametrize("call", ["mkdir", "rename", "write", "fsync", "rmdir"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_writer_leaves_only_whole_histories(file, settings, call, when):
    """SIGKILL around every call that changes something; the next writer cleans up."""
    for content in (b"a", b"b", b"c"):
        file.write_bytes(content)
        keep(file, settings)
    file.write_bytes(b"one")
    number = 1
    while killed(file, settings, call, when, number):
        there = kept_whole(settings)
        assert set(there.values()) <= {b"a", b"b", b"c", b"one"}
        assert len(there) >= 3
        number += 1
    assert keep(file, settings) == ""
    assert list(kept(settings).values())[-1] == b"one"
    assert len(kept(settings)) == 3


def kept_whole(settings):
    found = {}
    for name in os.listdir(settings.path):
        if not name.startswith("."):
            folder = Path(settings.path, name)
            found[name] = (folder / "applicationHost.config").read_bytes()
            assert (folder / "schema" / "was_schema.xml").exists()
    return found


def killed(file, settings, call, when, number):
    child = os.fork()
    if child == 0:
        try:
            real, count = getattr(os, call), 0

            def stepped(*arguments, **more):
                nonlocal count
                count += 1
                if when == "before" and count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = real(*arguments, **more)
                if when == "after" and count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            setattr(os, call, stepped)
            if hasattr(atomic.Calls, call):
                setattr(atomic.Calls, call, staticmethod(stepped))
            history.keep(file, settings)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@given(st.sets(st.integers(1, 30)), st.integers(1, 12))
def test_a_plan_removes_just_the_oldest_beyond_the_limit(numbers, most):
    """The newest `most` stay, the new one among them; other names do not matter."""
    names = [f"CFGHISTORY_{n:010}" for n in numbers]
    what = plan([*names, "readme", "CFGHISTORY_x", ".CFGHISTORY.new"], most, has_changed=True)
    assert what.new not in names
    assert all(what.new > name for name in names)
    left = sorted({*names, what.new} - set(what.removed))
    assert left == sorted([*names, what.new])[-most:]
    unchanged = plan(names, most, has_changed=False)
    assert sorted(set(names) - set(unchanged.removed)) == sorted(names)[-most:]
    assert not unchanged.new
