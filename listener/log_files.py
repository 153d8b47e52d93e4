"""Request log files on disk: their names, heads and rollover. Used by the writer thread only.

A file is opened at its first line, never at configuration, and begins (again, whenever it is
opened) with its head. A write that fails leaves no half line behind: what was written of it is cut
off, and the caller counts the lines as dropped.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["LogTarget", "OutputTarget", "period_name"]

UNLIMITED = 0xFFFFFFFF


def period_name(period: str, unix_time: float, *, is_local: bool) -> str:
    """The part of a file name that stands for the period: `YYMMDD`; "" for MaxSize."""
    moment = datetime.fromtimestamp(unix_time, None if is_local else UTC)
    if period == "Hourly":
        return moment.strftime("%y%m%d%H")
    if period == "Daily":
        return moment.strftime("%y%m%d")
    if period == "Monthly":
        return moment.strftime("%y%m")
    if period == "Weekly":
        # The week of the month, from Sunday to Saturday.
        first_weekday = (moment.replace(day=1).weekday() + 1) % 7
        return f"{moment.strftime('%y%m')}{(moment.day - 1 + first_weekday) // 7 + 1:02d}"
    return ""


class LogTarget:
    """One log: the file being written and the rule for the next one."""

    def __init__(
        self,
        folder: Path,
        *,
        software: str,
        columns: str,
        stem: str,  # "u_ex", or "u_extend" and "httperr" for numbered files
        suffix: str = "",
        period: str = "MaxSize",
        truncate_size: int = UNLIMITED,
        is_local: bool = False,
    ) -> None:
        self.folder = folder
        self._software = software
        self._columns = columns
        self._stem = stem
        self._suffix = suffix
        self._period = period
        self._truncate_size = truncate_size
        self._is_local = is_local
        self._fd = -1
        self._number = 0
        self._name = ""
        self._is_fresh = True  # nothing but its head is in the file
        self.written_lines = 0  # of the last call of `write`

    def write(self, unix_time: float, lines: list[str]) -> None:
        """Append lines. Raises OSError; `written_lines` then says how many were written."""
        self.written_lines = 0
        name = period_name(self._period, unix_time, is_local=self._is_local)
        if self._fd >= 0 and name != self._name:
            self.close()
        if self._fd < 0:
            self._open(name, unix_time)
        part: list[str] = []
        size = self._size
        # Only a numbered file has an end; a line that fits into none has one to itself.
        end = UNLIMITED if name else self._truncate_size
        for line in lines if end != UNLIMITED else ():
            length = len(line.encode("utf-8", "replace"))
            if size + length > end and (part or not self._is_fresh):
                self._write_lines(part)
                self.close()
                self._number += 1
                self._open(name, unix_time)
                part, size = [], self._size
            part.append(line)
            size += length
        self._write_lines(part if end != UNLIMITED else lines)

    def _write_lines(self, lines: list[str]) -> None:
        if lines:
            self._append("".join(lines).encode("utf-8", "replace"))
            self._is_fresh = False
            self.written_lines += len(lines)

    def close(self) -> None:
        """Close the file; the next line opens it, or its successor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self, name: str, unix_time: float) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._name = name
        if not name:
            self._find_number()
        path = self.folder / f"{self._stem}{name or self._number}{self._suffix}.log"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path, flags, 0o640)
        self._is_fresh = self._size == 0
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(unix_time))
        head = (
            f"#Software: {self._software}\n#Version: 1.0\n#Date: {stamp}\n"
            f"#Fields: {self._columns}\n"
        )
        try:
            self._append(head.encode("utf-8"))
        except OSError:
            self.close()
            raise

    def _find_number(self) -> None:
        """Go on with the highest number there is, or the next one when that file is full."""
        pattern = re.compile(re.escape(self._stem) + r"([0-9]{1,9})" + self._suffix + r"\.log")
        matches = (pattern.fullmatch(entry.name) for entry in os.scandir(self.folder))
        highest = max((int(match[1]) for match in matches if match), default=0)
        self._number = max(self._number, highest, 1)
        path = self.folder / f"{self._stem}{self._number}{self._suffix}.log"
        if path.exists() and path.stat().st_size >= self._truncate_size:
            self._number += 1

    @property
    def _size(self) -> int:
        """As it is now: during an upgrade two write there, and logrotate's copytruncate cuts it."""
        return os.fstat(self._fd).st_size

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        begin, written = self._size, 0
        try:
            while written < len(data):
                written += os.write(self._fd, view[written:])
        except OSError:
            if written:
                os.ftruncate(self._fd, begin)
            raise


class OutputTarget(LogTarget):
    """A log that is our standard output (`was run --access-log`): lines, and no file about them."""

    def write(self, unix_time: float, lines: list[str]) -> None:
        """Write lines. Raises OSError."""
        self.written_lines = 0
        data = "".join(lines).encode("utf-8", "replace")
        while data:
            data = data[os.write(1, data) :]
        self.written_lines = len(lines)

    def close(self) -> None:
        """Others write there too."""
