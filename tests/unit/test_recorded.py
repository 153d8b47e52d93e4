"""What Linux says of a process, whatever the process calls itself."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from harness import meter

from was.ipc.stacks import can_dump
from was.isolation.privileges import effective_capabilities
from was.manager.cpu_time import cpu_time_of
from was.manager.process import is_stopped, peak_memory_kb
from was.recorded import start_ticks

# The title of a worker of the pool "Pøol", as long as Linux lets the name of a process be.
CUT_WITHIN_A_LETTER = "was: worker [Pøol]".encode()[:15]
PR_SET_NAME = 15
TAKES_THE_NAME = f"""
import ctypes, sys
ctypes.CDLL(None).prctl({PR_SET_NAME}, {CUT_WITHIN_A_LETTER!r}, 0, 0, 0)
print("named", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def named() -> Iterator[int]:
    arguments = [sys.executable, "-c", TAKES_THE_NAME]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"named\n"
        yield process.pid


def test_a_name_that_is_no_text_hides_nothing(named):
    """What is read of a process does not depend on its name being text."""
    with pytest.raises(UnicodeDecodeError):
        CUT_WITHIN_A_LETTER.decode()
    assert start_ticks(named) > 0
    assert not is_stopped(named)
    assert peak_memory_kb(named) > 0
    assert not can_dump(named)
    assert cpu_time_of(named) > 0
    assert meter.cpu_us(named) >= 0
    assert meter.rss_bytes(named) > 0


def test_a_process_with_such_a_name_knows_its_capabilities():
    """The manager too: its title holds the path of the home."""
    libc = ctypes.CDLL(None)
    before = ctypes.create_string_buffer(16)
    libc.prctl(16, before, 0, 0, 0)  # PR_GET_NAME
    expected = effective_capabilities()
    try:
        libc.prctl(PR_SET_NAME, CUT_WITHIN_A_LETTER, 0, 0, 0)
        assert start_ticks(os.getpid()) > 0
        assert effective_capabilities() == expected
    finally:
        libc.prctl(PR_SET_NAME, before, 0, 0, 0)
