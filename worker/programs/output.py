"""What a command writes, for those who want it whole: #exec cmd."""

from __future__ import annotations

import os
import select
import time

from was.worker.programs.launch import Program, ProgramError, start_program

__all__ = ["MOST_BYTES", "output_of"]

MOST_BYTES = 1 << 20


def output_of(argv: list[bytes], folder: bytes, environment: list[bytes], limit_s: float) -> bytes:
    """The standard output of a program, up to MOST_BYTES; the rest is not read.

    It reads nothing and its errors go to the worker's output. Raises ProgramError, also where it
    runs longer than `limit_s`; it is killed then, and whatever it has left.
    """
    standard_input = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        program = start_program(argv, folder, environment, (standard_input, write_end, 2))
    except ProgramError:
        os.close(read_end)
        raise
    finally:
        os.close(standard_input)
        os.close(write_end)
    os.set_blocking(read_end, False)
    try:
        return _read_all(read_end, program, time.monotonic() + limit_s)
    finally:
        os.close(read_end)
        program.close()


def _read_all(fd: int, program: Program, deadline: float) -> bytes:
    """Until the program's end: what it has started and left may hold the pipe for ever."""
    data = b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(program, select.POLLIN)
    has_ended = False
    while len(data) < MOST_BYTES:
        try:
            piece = os.read(fd, 65536)
        except BlockingIOError:
            if has_ended:
                break
        else:
            if not piece:
                break
            data += piece
            continue
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise ProgramError("the program ran too long")
        has_ended = program.hear()
    return data[:MOST_BYTES]
