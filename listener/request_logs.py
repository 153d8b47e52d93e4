"""Request logs: one W3C log a site for what a worker answered, HTTPERR for what the listener ended.

The listener's loop only formats lines and appends them to lists; `flush`, once a turn, moves the
lists to a deque; one writer thread does the rest. It is woken only when it sleeps and then lets a
fifth of a second of lines gather, so that under load it takes the interpreter from the loop five
times a second and not once a turn. A disk that is full or slow never holds up a request: beyond
`_WAITING_LIMIT` bytes lines are dropped and counted, and the count is reported once a minute.

Who may touch what: the deque is appended by the loop and popped by the thread (each operation is
atomic); each counter has one writer; a LogTarget belongs to the thread once it is handed over.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from was.clock import Clock
from was.ipc.log_fields import TAIL_MARK, W3C_FIELDS, escape, flags_of
from was.ipc.served import LogSettings
from was.listener.log_files import LogTarget
from was.log import log

__all__ = ["RequestLogs"]

_LISTENER_FLAGS = frozenset(c.flag for c in W3C_FIELDS if c.filled_by == "listener")
# IIS's default has all of these but the counts of bytes.
_USUAL_FLAGS = _LISTENER_FLAGS - {"BytesSent", "BytesRecv"}

_SOFTWARE = "Microsoft Internet Information Services 10.0"
_ERROR_SOFTWARE = "Microsoft HTTP API 2.0"
_ERROR_COLUMNS = (
    "date time c-ip c-port s-ip s-port cs-version cs-method cs-uri streamid sc-status s-siteid "
    "s-reason s-queuename"
)
_ERROR_TRUNCATE_SIZE = 0x100000

_WAITING_LIMIT = 16 * 1024 * 1024
_GATHER_S = 0.2
_REPORT_EVERY_S = 60.0


class _Site:
    """A site's log as the loop sees it."""

    __slots__ = (
        "flags",
        "has_prefix",
        "has_tail",
        "is_usual",
        "lines",
        "room",
        "settings",
        "target",
    )

    def __init__(
        self, site_id: int, settings: LogSettings, log_dir: Path, target: type[LogTarget]
    ) -> None:
        self.settings = settings
        self.flags = flags_of(settings.fields)
        self.has_tail = bool(settings.custom_columns)
        # Without a column of the worker's its text is "-", and no part of the line.
        self.has_prefix = bool(self.flags - _LISTENER_FLAGS)
        self.is_usual = (
            self.has_prefix and not self.has_tail and self.flags & _LISTENER_FLAGS == _USUAL_FLAGS
        )
        self.room = settings.max_line_length
        self.lines: list[str] = []
        columns = [c.name for c in W3C_FIELDS if c.flag in self.flags]
        # A folder that is not absolute is nobody's: the logs of the home are.
        folder = Path(settings.directory)
        self.target = target(
            (folder if folder.is_absolute() else log_dir) / f"W3SVC{site_id}",
            software=_SOFTWARE,
            columns=" ".join([*columns, *map(escape, settings.custom_columns)]),
            stem="u_extend" if settings.period == "MaxSize" else "u_ex",
            suffix="_x" if self.has_tail else "",
            period=settings.period,
            truncate_size=settings.truncate_size,
            is_local=settings.local_time_rollover,
        )

    def line(self, stamp: str, prefix: str, outcome: tuple[int, int, int, int, int, int]) -> str:
        """A line of a site whose columns are not the usual ones."""
        prefix, _, tail = prefix.partition(TAIL_MARK)
        flags = self.flags
        date, _, clock_time = stamp.partition(" ")
        parts = [text for text, flag in ((date, "Date"), (clock_time, "Time")) if flag in flags]
        if self.has_prefix:
            parts.append(prefix)
        parts += [
            str(value) for value, flag in zip(outcome, _OUTCOME_FLAGS, strict=True) if flag in flags
        ]
        if self.has_tail:
            parts.append(tail or " ".join("-" for _ in self.settings.custom_columns))
        return " ".join(parts) + "\n"


_OUTCOME_FLAGS = tuple(c.flag for c in W3C_FIELDS if c.filled_by == "listener")[2:]

# What the thread is given: lines of a log, or (with none) the order to close its file.
_Batch = tuple[LogTarget, float, list[str], int]


class RequestLogs:
    """W3C logs of the sites and HTTPERR. Everything but the writer runs in the listener's loop.

    `target` is what each of them is: a log in files, or our standard output.
    """

    def __init__(self, log_dir: Path, clock: Clock, target: type[LogTarget]) -> None:
        self._log_dir = log_dir
        self._target = target
        self._clock = clock
        self._sites: dict[int, _Site] = {}
        self._dirty: list[_Site] = []
        self._error_lines: list[str] = []
        self._error_target = target(
            log_dir / "HTTPERR",
            software=_ERROR_SOFTWARE,
            columns=_ERROR_COLUMNS,
            stem="httperr",
            truncate_size=_ERROR_TRUNCATE_SIZE,
        )
        self._now = 0.0  # wall time of this turn; 0 = not asked yet
        self._second = -1
        self._stamp = ""
        self._handed_bytes = 0
        self._dropped = 0
        self._reported = 0
        self._report_at = 0.0
        self._writer = _Writer()

    def configure(self, sites: Mapping[int, LogSettings]) -> None:
        """Take over the settings of all sites; a file whose columns changed gets a new head."""
        self.change(sites, [site_id for site_id in self._sites if site_id not in sites])

    def change(self, sites: Mapping[int, LogSettings], gone: Iterable[int]) -> None:
        """Take over the settings of some sites; the logs of those that are gone are closed."""
        self.flush()
        closed = [self._sites.pop(site_id) for site_id in gone if site_id in self._sites]
        for site_id, settings in sites.items():
            old = self._sites.get(site_id)
            if old is not None and old.settings == settings:
                continue
            if old is not None:
                closed.append(self._sites.pop(site_id))
            if settings.enabled:
                self._sites[site_id] = _Site(site_id, settings, self._log_dir, self._target)
        for old in closed:
            self._writer.put((old.target, 0.0, [], 0))

    def request(
        self,
        site_id: int,
        line: str,
        status: int,
        substatus: int,
        win32: int,
        bytes_sent: int,
        bytes_received: int,
        time_taken_ms: int,
    ) -> None:
        """Log a request; `line` is what the site's composer made ("" = do not log)."""
        site = self._sites.get(site_id)
        if site is None or not line:
            return
        if not self._now:
            self._read_clock()
        # A worker's text, and no worker is trusted: nothing in it may end a line.
        if not line.isprintable():
            line = "".join(c if c.isprintable() else "+" for c in line)
        if len(line) > site.room:
            line = line[: site.room]
        if site.is_usual:
            text = f"{self._stamp} {line} {status} {substatus} {win32} {time_taken_ms}\n"
        else:
            outcome = (status, substatus, win32, bytes_sent, bytes_received, time_taken_ms)
            text = site.line(self._stamp, line, outcome)
        if not site.lines:
            self._dirty.append(site)
        site.lines.append(text)

    def http_error(
        self,
        peer: tuple[str, int, str, int],
        request: tuple[str, str, str],
        status: int,
        site_id: int,
        reason: str,
        queue: str,
    ) -> None:
        """Log a request that never reached a worker, or a connection that ended before its time.

        `request`: version, verb, path and query as sent, each "" where there was none; status and
        site_id 0 = none.
        """
        version, method, uri = request
        if not self._now:
            self._read_clock()
        self._error_lines.append(
            f"{self._stamp} {escape(peer[0])} {peer[1] or '-'} {escape(peer[2])} "
            f"{peer[3] or '-'} {escape(version)} {escape(method[:255])} {escape(uri[:4096])} - "
            f"{status or '-'} {site_id or '-'} {escape(reason)} {escape(queue)}\n"
        )

    def flush(self) -> None:
        """Hand this turn's lines to the writer thread; call once a loop turn."""
        if not self._now:
            return
        if self._dirty:
            for site in self._dirty:
                self._hand_over(site.target, site.lines)
                site.lines = []
            self._dirty.clear()
        if self._error_lines:
            self._hand_over(self._error_target, self._error_lines)
            self._error_lines = []
        self._now = 0.0
        if self._dropped + self._writer.dropped != self._reported:
            self._report()

    def reopen(self) -> None:
        """Close all files; the next line opens them anew (SIGUSR1)."""
        self.flush()
        for site in self._sites.values():
            self._writer.put((site.target, 0.0, [], 0))
        self._writer.put((self._error_target, 0.0, [], 0))

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is waiting, within the time given, and end the thread."""
        self.flush()
        self._writer.stop(timeout_s)

    @property
    def dropped(self) -> int:
        """Lines that were never written."""
        return self._dropped + self._writer.dropped

    def trouble(self) -> str:
        """Which log could not be written when it was last to be, and why; "" when all could."""
        failing = list(self._writer.failing.items())
        if not failing:
            return ""
        target, error = failing[0]
        others = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        return f"the request log in {target.folder}{others} cannot be written: {error}"

    def _read_clock(self) -> None:
        self._now = now = self._clock.wall()
        if int(now) != self._second:
            self._second = int(now)
            self._stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))

    def _hand_over(self, target: LogTarget, lines: list[str]) -> None:
        size = sum(map(len, lines))
        if self._handed_bytes - self._writer.taken_bytes + size > _WAITING_LIMIT:
            self._dropped += len(lines)
            return
        self._handed_bytes += size
        self._writer.put((target, self._now, lines, size))

    def _report(self) -> None:
        now = self._clock.monotonic()
        if self._reported and now < self._report_at:
            return
        dropped = self.dropped
        log("log_dropped", lines=dropped - self._reported, error=self._writer.last_error)
        self._reported = dropped
        self._report_at = now + _REPORT_EVERY_S


class _Writer:
    """The thread and the deque it empties."""

    def __init__(self, pause: Callable[[float], object] | None = None) -> None:
        self._batches: deque[_Batch] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._pause = pause or self._stopping.wait
        self._is_idle = False
        self._open: set[LogTarget] = set()
        self.dropped = 0
        self.taken_bytes = 0
        self.last_error = ""
        self.failing: dict[LogTarget, str] = {}  # why the last lines of each were not written
        self._thread = threading.Thread(target=self._run, name="request-logs", daemon=True)
        self._thread.start()

    def put(self, batch: _Batch) -> None:
        """From the loop: add a batch, and wake the thread if it sleeps for want of one."""
        self._batches.append(batch)
        if self._is_idle:
            self._is_idle = False
            self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Let the thread write what there is, and wait for its end."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            if not self._batches:
                if self._stopping.is_set():
                    break
                # The order matters: `put` appends before it looks at is_idle, so one of the two
                # looks sees the other's step and no batch is left lying.
                self._is_idle = True
                if not self._batches:
                    self._wake.wait()
                self._is_idle = False
                self._wake.clear()
            self._pause(_GATHER_S)
            self._write_all()
        for target in self._open:
            target.close()

    def _write_all(self) -> None:
        """Write what has gathered, the batches of one log and second together."""
        gathered: dict[tuple[LogTarget, int], list[str]] = {}
        while self._batches:
            target, now, lines, size = self._batches.popleft()
            self.taken_bytes += size
            if lines:
                gathered.setdefault((target, int(now)), []).extend(lines)
                continue
            self._write(gathered)
            gathered.clear()
            target.close()
            self._open.discard(target)
            self.failing.pop(target, None)
        self._write(gathered)

    def _write(self, gathered: dict[tuple[LogTarget, int], list[str]]) -> None:
        for (target, second), lines in gathered.items():
            self._open.add(target)
            try:
                target.write(second, lines)
            except (OSError, ValueError, OverflowError) as error:
                # Not the disk alone: a wall clock beyond the calendar must not end this thread.
                self.dropped += len(lines) - target.written_lines
                self.last_error = str(error)
                self.failing[target] = str(error)
            else:
                self.failing.pop(target, None)
