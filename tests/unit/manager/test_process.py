"""Processes as the manager ends them, and learns of their end."""

import errno
import os
import signal
from types import SimpleNamespace

import pytest

from was.errors import HomeError
from was.manager import process
from was.manager.manager import MOST_UNCLAIMED_EXITS, Manager


def test_a_descendant_that_is_somebody_else_s_now_keeps_nobody_from_the_others(monkeypatch):
    """A program that has become another user is not ours to kill; those beside it are."""
    killed = []

    def kill(pid, _number):
        if pid == 2:
            raise PermissionError
        killed.append(pid)

    monkeypatch.setattr(process, "children_of", lambda pid: {1: [2, 3], 2: [4]}.get(pid, []))
    monkeypatch.setattr(os, "kill", kill)
    process.kill_descendants(1)
    assert killed == [4, 3]


def test_what_applications_leave_behind_does_not_fill_the_memory(monkeypatch):
    """Each orphan's end is told to the manager, and nobody asks for it; the latest are kept."""
    manager = SimpleNamespace(exits={})
    for pid in range(1, 3 * MOST_UNCLAIMED_EXITS):
        monkeypatch.setattr(process, "reap", lambda pid=pid: [(pid, process.Exit(0, 0))])
        Manager.reap(manager)
        assert pid in manager.exits
    assert len(manager.exits) <= MOST_UNCLAIMED_EXITS


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
@pytest.mark.parametrize(
    ("module", "name"),
    [(os, "memfd_create"), (os, "pidfd_open"), (signal, "pidfd_send_signal")],
)
def test_a_kernel_that_lacks_a_call_is_named_before_anything_is_begun(
    monkeypatch, module, name, number
):
    """Without it no process could be watched: starting would be tried for ever."""
    process.insist_on_system_calls()

    def refuse(*_args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, name, refuse)
    with pytest.raises(HomeError, match=f"has no {name}: Linux 5.3"):
        process.insist_on_system_calls()
