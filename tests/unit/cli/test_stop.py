"""`was stop` without a manager: whom it asks, and whom it keeps out meanwhile."""

import os
import subprocess
import sys

from was.cli import stop
from was.cli.processes import LiveProcess
from was.ipc.endpoints import Home

DEAF_ONCE = """
import os, signal
heard = []
def hear(*_):
    heard.append(1)
    if len(heard) == 2:
        os._exit(0)  # a third one would end an interpreter that is being torn down
signal.signal(signal.SIGTERM, hear)
print("ready", flush=True)
while True:
    signal.pause()
"""
HOLDER = """
import sys
from pathlib import Path
from was.recorded import lock_holder
print(lock_holder(Path(sys.argv[1])))
"""


def test_who_does_not_end_is_asked_again(monkeypatch):
    """A process that still believes in its manager leaves the first word to that one."""
    monkeypatch.setattr(stop, "UNASKED_AGAIN_S", 0.05)
    with subprocess.Popen([sys.executable, "-c", DEAF_ONCE], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        process = LiveProcess("listener", child.pid, os.pidfd_open(child.pid))
        try:
            assert stop._ends([process]) == []
        finally:
            process.close()
        assert child.wait() == 0


def test_no_manager_starts_while_orphans_are_ended(tmp_path):
    """It would take over what is just being told to end, which then would not."""
    home = Home(tmp_path)
    home.run.mkdir()
    home.lock_file.touch()

    def holder():
        command = [sys.executable, "-c", HOLDER, str(home.lock_file)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    with stop._no_manager(home):
        assert holder() == str(os.getpid())
    assert holder() == "None"
