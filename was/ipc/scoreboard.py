"""The scoreboard: what a worker was doing, readable after its death.

One memfd a worker, made and sealed by the manager (a truncated file would kill a reader with
SIGBUS; a sealed one cannot be truncated). The worker alone writes, through a mapping; readers use
pread and trust nothing: a value out of range means "unknown".

The listener chooses the row of a request (`Request.slot`) and gives it to no other before it has
read the request's END. So a row speaks of the last request run in it until the listener itself
knows how that one ended, and a worker killed after it put an answer in a queue, but before the
answer left, cannot look as if it had never started.

Row: eight 64-bit words. Word 0 is the proof, one aligned store: id << 11 | attempt << 3 | state.
STARTED is stored before the first notification that may run code not ours. The rest are hints for
display: word 1 = number of the notification << 17 | is post << 16 | module, word 2 =
time.monotonic_ns of STARTED, words 3 to 7 a note of what foreign library is being called, as text;
none if word 3 is 0. Of a WebSocket that the listener holds, word 7 is how many messages its
application has taken, stored before it has them: proof, as word 0 is. Word 6 of a program's row
(was.httpapi) the listener writes: id << 8 | attempt of a request that it takes back.

Header: word 0 layout version, 1 rows, 2 unused, 3 finished requests. After the rows a
table of module names, written once at load.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import sys
from enum import IntEnum

__all__ = [
    "FINISHED_WORD",
    "HEADER_WORDS",
    "NOTE_BYTES",
    "NOTE_WORD",
    "ROW_WORDS",
    "TAKEN_WORD",
    "WITHDRAWN_WORD",
    "RequestState",
    "Row",
    "ScoreboardReader",
    "ScoreboardWriter",
    "describe_row",
    "hint_of",
    "make_scoreboard",
    "module_cell_of",
]

LAYOUT_VERSION = 1
ROW_WORDS = 8
HEADER_WORDS = 8
FINISHED_WORD = 3
NOTE_WORD = 3
NOTE_BYTES = (ROW_WORDS - NOTE_WORD) * 8
WITHDRAWN_WORD = 6
TAKEN_WORD = 7
NAME_BYTES = 48
MAX_NAMES = 64

# The deterministic notifications by their bits, as people see them.
NOTIFICATIONS = {
    0x1: "BEGIN_REQUEST",
    0x2: "AUTHENTICATE_REQUEST",
    0x4: "AUTHORIZE_REQUEST",
    0x8: "RESOLVE_REQUEST_CACHE",
    0x10: "MAP_REQUEST_HANDLER",
    0x20: "ACQUIRE_REQUEST_STATE",
    0x40: "PRE_EXECUTE_REQUEST_HANDLER",
    0x80: "EXECUTE_REQUEST_HANDLER",
    0x100: "RELEASE_REQUEST_STATE",
    0x200: "UPDATE_REQUEST_CACHE",
    0x400: "LOG_REQUEST",
    0x800: "END_REQUEST",
}

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class RequestState(IntEnum):
    """How far a request has come in the worker."""

    FREE = 0
    RECEIVED = 1
    STARTED = 2
    RESPONDING = 3
    ENDED = 4


class Row:
    """One row as read: the request it speaks of, and how far that one has come."""

    __slots__ = ("attempt", "id", "module", "note", "notification", "state", "taken")

    def __init__(self, words: tuple[int, ...], note: bytes = b"") -> None:
        proof = words[0]
        self.id = proof >> 11
        self.attempt = (proof >> 3) & 0xFF
        self.state = proof & 7
        number = words[1] >> 17 & 0x3F
        self.notification = 1 << number - 1 if number else 0
        self.module = words[1] & 0xFFFF
        self.note = note.split(b"\0", 1)[0].decode("utf-8", "replace")
        self.taken = int.from_bytes(note[(TAKEN_WORD - NOTE_WORD) * 8 :], sys.byteorder)


def _row_at(raw: bytes, at: int) -> Row:
    end = at + ROW_WORDS * 8
    return Row(struct.unpack_from("=2Q", raw, at), raw[at + NOTE_WORD * 8 : end])


def _byte_of(slot: int) -> int:
    return (HEADER_WORDS + slot * ROW_WORDS) * 8


def hint_of(notification: int, module: int, is_post: bool) -> int:
    """Word 1 of a row: which module and notification (one bit) runs.

    Less than 2**30, which a memoryview takes in half the time of a larger number.
    """
    return int(notification).bit_length() << 17 | is_post << 16 | module


def module_cell_of(words: memoryview[int], row: int) -> memoryview[bytes]:
    """The byte of a row's word 1 that tells modules with numbers below 256 apart.

    Without dimensions: `cell[...] = b"x"` takes half the time of an assignment to an item.
    """
    at = (row + 1) * 8 + (0 if sys.byteorder == "little" else 7)
    return words.cast("B")[at : at + 1].cast("c", [])


def describe_row(row: Row, names: list[str]) -> tuple[str, str, str]:
    """State, notification and module of a row in words; "" for what is unknown."""
    state = RequestState(row.state).name.lower() if row.state <= RequestState.ENDED else ""
    module = names[row.module - 1] if 1 <= row.module <= len(names) else ""
    return state, NOTIFICATIONS.get(row.notification, ""), module


def scoreboard_bytes(rows: int) -> int:
    """Size of a scoreboard with so many rows."""
    return (HEADER_WORDS + rows * ROW_WORDS) * 8 + MAX_NAMES * NAME_BYTES


def make_scoreboard(rows: int) -> int:
    """A new sealed memfd for a worker with `rows` request slots; the caller owns it."""
    fd = os.memfd_create("was-scoreboard", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, scoreboard_bytes(rows))
        os.pwrite(fd, struct.pack("=QQ", LAYOUT_VERSION, rows), 0)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


class _ModuleCells(dict[int, "memoryview[bytes]"]):
    """The module cells by slot, made when they are first asked for."""

    def __init__(self, words: memoryview[int]) -> None:
        super().__init__()
        self._words = words

    def __missing__(self, slot: int) -> memoryview[bytes]:
        cell = self[slot] = module_cell_of(self._words, ScoreboardWriter.row(slot))
        return cell

    def release(self) -> None:
        for cell in self.values():
            cell.release()


class ScoreboardWriter:
    """The worker's side. `words[row(slot)]` is the proof word: the hot path stores it itself."""

    def __init__(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        self._map = mmap.mmap(fd, size)
        # Children of the application must not be able to write what proves something about us.
        self._map.madvise(mmap.MADV_DONTFORK)
        # A memoryview of native 8-byte items: each assignment is one aligned 8-byte copy.
        self.words = memoryview(self._map)[: size - MAX_NAMES * NAME_BYTES].cast("Q")
        self.rows = self.words[1]
        self.module_cells = _ModuleCells(self.words)
        self._names_at = size - MAX_NAMES * NAME_BYTES

    @staticmethod
    def row(slot: int) -> int:
        """Index of the first word of a slot's row."""
        return HEADER_WORDS + slot * ROW_WORDS

    def write_names(self, names: list[str]) -> None:
        """Publish the module names that word 1 counts from 1."""
        for index, name in enumerate(names[:MAX_NAMES]):
            raw = name.encode("utf-8")[: NAME_BYTES - 1]
            at = self._names_at + index * NAME_BYTES
            self._map[at : at + len(raw)] = raw

    def close(self) -> None:
        """Unmap."""
        self.module_cells.release()
        self.words.release()
        self._map.close()


class ScoreboardReader:
    """Anybody else's side: reads, never maps."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        size = os.fstat(fd).st_size
        rows = (size - MAX_NAMES * NAME_BYTES) // 8 - HEADER_WORDS
        self.rows = max(0, rows // ROW_WORDS)
        self._names_at = size - MAX_NAMES * NAME_BYTES

    def read_rows(self) -> list[Row]:
        """Every row, as one consistent copy of a dead worker's, a recent one of a live one's."""
        raw = os.pread(self.fd, self.rows * ROW_WORDS * 8, HEADER_WORDS * 8)
        step = ROW_WORDS * 8
        return [_row_at(raw, at) for at in range(0, len(raw) - step + 1, step)]

    def read_proof(self, slot: int) -> int:
        """Word 0 of one row."""
        return int(struct.unpack("=Q", os.pread(self.fd, 8, _byte_of(slot)))[0])

    def withdraw(self, slot: int, request_id: int, attempt: int) -> None:
        """Say to a program that a request which it has not begun is not its any more."""
        word = request_id << 8 | (attempt & 0xFF)
        os.pwrite(self.fd, struct.pack("=Q", word), _byte_of(slot) + WITHDRAWN_WORD * 8)

    def read_running(self) -> list[Row]:
        """The rows of requests that have begun and not ended: few of many."""
        step = ROW_WORDS * 8
        raw = os.pread(self.fd, self.rows * step, HEADER_WORDS * 8)
        proofs = memoryview(raw[: len(raw) // step * step]).cast("Q")[::ROW_WORDS]
        return [
            _row_at(raw, number * step)
            for number, proof in enumerate(proofs)
            if RequestState.FREE < proof & 7 < RequestState.ENDED
        ]

    def read_names(self) -> list[str]:
        """Module names, as far as they were published."""
        raw = os.pread(self.fd, MAX_NAMES * NAME_BYTES, self._names_at)
        names: list[str] = []
        for at in range(0, len(raw), NAME_BYTES):
            name = raw[at : at + NAME_BYTES].split(b"\0", 1)[0]
            if not name:
                break
            names.append(name.decode("utf-8", "replace"))
        return names

    def finished(self) -> int:
        """Requests the worker says it has finished."""
        return int(struct.unpack("=Q", os.pread(self.fd, 8, FINISHED_WORD * 8))[0])

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)
