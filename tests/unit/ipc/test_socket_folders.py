"""Folders of sockets: one that is nobody's goes, one that anybody may come back to stays."""

import os
import socket
import subprocess
import sys
import time

import pytest

from was.ipc.socket_folders import excluding_others, note_home, remove_left

HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "r+")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "base"
    folder.mkdir()
    return folder


def make(base, name, lock_file=None):
    folder = base / name
    (folder / "q" / "pool").mkdir(parents=True)
    if lock_file is not None:
        note_home(folder, lock_file)
    return folder


def bind(path, kind=socket.SOCK_SEQPACKET):
    bound = socket.socket(socket.AF_UNIX, kind)
    bound.bind(str(path))
    return bound


def sweep(base):
    remove_left(base, base / "00000000")
    return sorted(path.name for path in base.iterdir())


def test_a_folder_whose_home_is_gone_or_does_not_run_goes(base, tmp_path):
    """The sockets in it are of processes that have ended."""
    (tmp_path / "manager.lock").touch()
    gone = make(base, "11111111", tmp_path / "nowhere" / "manager.lock")
    make(base, "22222222", tmp_path / "manager.lock")
    bind(gone / "control").close()
    bind(gone / "q" / "pool" / "1", socket.SOCK_STREAM).close()
    assert sweep(base) == []


@pytest.mark.parametrize("kind", [socket.SOCK_SEQPACKET, socket.SOCK_STREAM])
def test_a_folder_in_which_somebody_listens_stays(base, tmp_path, kind):
    """A listener serves on without a manager. It is not connected to for that."""
    folder = make(base, "11111111", tmp_path / "nowhere" / "manager.lock")
    with bind(folder / "q" / "pool" / "7", kind) as listening:
        listening.listen()
        listening.setblocking(False)
        assert sweep(base) == ["11111111"]
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert sweep(base) == []


def test_a_folder_whose_manager_is_just_starting_stays(base, tmp_path):
    """It holds its home's lock, and has no socket yet."""
    lock_file = tmp_path / "manager.lock"
    lock_file.touch()
    make(base, "11111111", lock_file)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert sweep(base) == ["11111111"]
        holder.communicate()
    assert sweep(base) == []


def test_a_folder_without_a_note_stays_for_a_while(base):
    """Code that wrote none made it: it may be starting this very moment."""
    folder = make(base, "11111111")
    assert sweep(base) == ["11111111"]
    before = time.time() - 100
    os.utime(folder, (before, before))
    assert sweep(base) == []


def test_what_is_no_such_folder_stays(base, tmp_path):
    """Other names, files and links, and our own."""
    (base / "notours").mkdir()
    (base / "33333333").touch()
    (base / "44444444").symlink_to(tmp_path)
    make(base, "00000000", tmp_path / "nowhere")
    with excluding_others(base):
        found = sweep(base)
    assert found == [".lock", "00000000", "33333333", "44444444", "notours"]
