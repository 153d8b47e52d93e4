"""The lock of a home: who may touch it, and who has it."""

import os
import stat

import pytest

from was.errors import HomeError
from was.manager.process import ManagerLock


@pytest.mark.parametrize("is_there", [False, True])
def test_nobody_else_can_lock_a_home(tmp_path, is_there):
    """Who can read a file can lock it: it is its owner's alone, also one of former versions."""
    path = tmp_path / "manager.lock"
    if is_there:
        path.touch(0o644)
    before = os.umask(0)
    try:
        lock = ManagerLock(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lock.release()


def test_the_holder_is_named_to_who_comes_second(tmp_path):
    """By its pid, while it has the lock; then the next one has it."""
    path = tmp_path / "manager.lock"
    first = ManagerLock(path)
    child = os.fork()  # a record lock does not keep out its own process
    if not child:
        try:
            ManagerLock(path)
        except HomeError as error:
            os._exit(0 if f"pid {os.getppid()}" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    first.release()
    ManagerLock(path).release()
