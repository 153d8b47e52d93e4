"""The keeper of programs, as a process: leases, ends, what it is told and tells."""

import errno
import os
import select
from pathlib import Path

import pytest
from harness.server import wait_for

from was.worker.programs import keeper, launch
from was.worker.programs.launch import ProgramError, start_program


def _start(script: str) -> tuple[launch.Program, int]:
    """A shell script, and the end of its output to read from."""
    out, theirs = os.pipe()
    try:
        argv = [b"/bin/sh", b"-c", script.encode()]
        program = start_program(argv, b"/", [b"PATH=/usr/bin:/bin"], (theirs, theirs, 2))
    finally:
        os.close(theirs)
    return program, out


def _wait_for_end(program: launch.Program) -> int | None:
    poll = select.poll()
    poll.register(program, select.POLLIN)
    while not program.hear():
        assert poll.poll(60_000)
    return program.status


def _is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_program_runs_to_its_end():
    """Its output comes through its own descriptor, its wait status by the lease."""
    program, out = _start("echo $PATH; exit 7")
    with os.fdopen(out, "rb") as output:
        assert output.read() == b"/usr/bin:/bin\n"
    assert _wait_for_end(program) == 7 << 8
    program.close()


def test_a_file_that_cannot_be_executed_is_told():
    """By its errno; nothing raises at the start."""
    program = start_program([b"/no/such/file"], b"/", [], (0, 1, 2))
    _wait_for_end(program)
    assert program.error == 2
    program.close()


def test_a_closed_lease_kills_the_group_also_when_its_leader_has_gone():
    """The leader has ended and been waited for; its child is still of its group."""
    program, out = _start("sleep 1000 & echo $!")
    with os.fdopen(out, "rb") as output:
        child = int(output.readline())
        _wait_for_end(program)
        assert not _is_gone(child)
        program.close()
        wait_for("the end of the child", lambda: _is_gone(child))


def test_terminate_asks_the_group_to_end():
    """SIGTERM, which a program may handle."""
    program, out = _start("trap 'exit 9' TERM; echo up; while :; do sleep 0.02; done")
    with os.fdopen(out, "rb") as output:
        output.readline()
        program.terminate()
        assert _wait_for_end(program) == 9 << 8
    program.close()


def test_a_program_that_was_left_goes_on_but_not_for_ever():
    """Without its lease; at the limit it is killed, and its group ends with it in any case."""
    program, out = _start("sleep 1000 & echo $! $$; sleep 999; exit 0")
    limited, other = _start("echo $$; exec sleep 1000")
    with os.fdopen(out, "rb") as output, os.fdopen(other, "rb") as second:
        child, leader = map(int, output.readline().split())
        late = int(second.readline())
        program.leave(60)
        program.close()
        limited.leave(0.05)
        limited.close()
        wait_for("the end at the limit", lambda: _is_gone(late))
        assert not _is_gone(child)
        os.kill(leader, 15)
        wait_for("the end of its group", lambda: _is_gone(child))


def test_what_left_its_session_ends_with_the_worker():
    """At the end of the control socket nothing stays, whoever's child it has become."""
    program, out = _start("setsid sh -c 'echo $$; exec sleep 1000 >/dev/null' &")
    with os.fdopen(out, "rb") as output:
        daemon = int(output.readline())
    _wait_for_end(program)
    program.close()
    assert not _is_gone(daemon)
    control = launch._keeper._control
    assert control is not None
    control.close()
    os.waitpid(launch._keeper._pid, 0)
    assert _is_gone(daemon)
    launch._keeper._control = None


def test_what_cannot_be_sent_is_refused():
    """A NUL would divide an argument; a command has a limit."""
    with pytest.raises(ProgramError):
        start_program([b"a\0b"], b"/", [], (0, 1, 2))
    with pytest.raises(ProgramError):
        start_program([b"x" * 4_000_000], b"/", [], (0, 1, 2))
    start = keeper.encode_start([b"a", b"b"], b"/f", [b"X=1=2"], b"/s")
    assert keeper.decode_start(start) == ([b"a", b"b"], b"/f", {b"X": b"1=2"}, b"/s")


def test_a_keeper_that_cannot_be_started_leaves_nothing_open(monkeypatch):
    """However far its start came before there was no descriptor left; it is a ProgramError."""
    places = [0]

    def above(fd: int) -> int:
        if not places:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        places.pop()
        return os.dup(fd)

    monkeypatch.setattr(launch, "_above", above)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ProgramError, match="Too many open files"):
        launch._Keeper().send(b"", [])
    assert os.listdir("/proc/self/fd") == before
