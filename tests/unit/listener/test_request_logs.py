"""Request logs: the columns, the escaping, the files, and what happens when the disk is full."""

from __future__ import annotations

import calendar
import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from was.config.log_settings import LogFile
from was.ipc.log_fields import W3C_FIELDS, WORKER_FIELDS, bits_of, composer, escape
from was.ipc.served import LogSettings
from was.listener import request_logs
from was.listener.log_files import LogTarget, OutputTarget, period_name
from was.listener.request_logs import RequestLogs

ALL_FLAGS = frozenset(column.flag for column in W3C_FIELDS)
DEFAULT_FLAGS = frozenset(str(flag) for flag in LogFile().log_ext_file_flags)
USUAL = LogSettings(True, "", "Daily", 20971520, False, bits_of(DEFAULT_FLAGS))
NOON = calendar.timegm((2024, 5, 1, 12, 0, 12))
VALUES = ("W3SVC1", "host", "10.0.0.1", "GET", "/a b", "", "80", "", "10.0.0.2", "HTTP/1.1",
          "curl/8 (x)", "a=b", "", "www.x.com")  # fmt: skip


class SetClock:
    """A clock whose hands a test moves."""

    def __init__(self, wall: float = NOON) -> None:
        self.now = wall

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def scaled(self, seconds: float) -> float:
        return seconds


def logs_of(
    folder: Path,
    sites: dict[int, LogSettings],
    clock: SetClock | None = None,
    target: type[LogTarget] = LogTarget,
) -> RequestLogs:
    logs = RequestLogs(folder, clock or SetClock(), target)
    logs.configure(sites)
    return logs


def lines_of(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def entries_of(path: Path) -> list[str]:
    return [line for line in lines_of(path) if not line.startswith("#")]


def log_one(
    logs: RequestLogs, site: int = 1, status: int = 200, flags: frozenset[str] = DEFAULT_FLAGS
) -> None:
    logs.request(site, composer(flags)(VALUES, ()), status, 0, 0, 300, 100, 7)
    logs.flush()


def test_the_usual_log_looks_as_in_iis(tmp_path):
    """Head, default columns in their fixed order, UTC, `+` for blanks, `-` for nothing."""
    logs = logs_of(tmp_path, {1: USUAL})
    assert not (tmp_path / "W3SVC1").exists()
    log_one(logs)
    logs.close()
    assert lines_of(tmp_path / "W3SVC1" / "u_ex240501.log") == [
        "#Software: Microsoft Internet Information Services 10.0",
        "#Version: 1.0",
        "#Date: 2024-05-01 12:00:12",
        "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip "
        "cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken",
        "2024-05-01 12:00:12 10.0.0.1 GET /a+b - 80 - 10.0.0.2 curl/8+(x) - 200 0 0 7",
    ]


@pytest.mark.parametrize("columns", [(), ("X-Trace", "a b")])
@pytest.mark.parametrize(
    "flags",
    [ALL_FLAGS, DEFAULT_FLAGS, frozenset({"Date"}), frozenset({"UriStem"}), frozenset(),
     frozenset({"Time", "HttpStatus", "BytesSent", "BytesRecv"}),
     DEFAULT_FLAGS & {c.flag for c in W3C_FIELDS if c.filled_by == "listener"}],
)  # fmt: skip
def test_every_line_has_the_columns_of_its_head(tmp_path, flags, columns):
    """Whatever is switched on, head and lines agree, column by column."""
    settings = replace(USUAL, fields=bits_of(flags), custom_columns=list(columns))
    logs = logs_of(tmp_path, {1: settings})
    prefix = composer(flags)(VALUES, [f"c {c}" for c in columns])
    logs.request(1, prefix, 404, 2, 64, 300, 100, 7)
    log_one(logs, flags=flags)
    logs.close()
    if not flags and not columns:
        return
    (path,) = (tmp_path / "W3SVC1").glob("*.log")
    assert path.name == ("u_ex240501_x.log" if columns else "u_ex240501.log")
    names = lines_of(path)[3].split(" ")[1:]
    values = {
        "date": "2024-05-01",
        "time": "12:00:12",
        "sc-status": "404",
        "sc-substatus": "2",
        "sc-win32-status": "64",
        "sc-bytes": "300",
        "cs-bytes": "100",
        "time-taken": "7",
    }
    values |= {c.name: escape(v) for c, v in zip(WORKER_FIELDS, VALUES, strict=True)}
    values |= {escape(c): escape(f"c {c}") for c in columns}
    first, second = entries_of(path)
    assert dict(zip(names, first.split(" "), strict=True)) == {n: values[n] for n in names}
    assert len(second.split(" ")) == len(names)  # fmt: skip


@given(st.lists(st.text(max_size=8), min_size=14, max_size=14), st.sets(st.sampled_from(
    [c.flag for c in WORKER_FIELDS])), st.lists(st.text(max_size=5), max_size=2))  # fmt: skip
def test_composing_all_columns_at_once_equals_composing_each(values, flags, custom):
    """Property: a printable line whose columns are the escaped values, whatever they hold."""
    line = composer(flags)(values, custom)
    chosen = [escape(v) for c, v in zip(WORKER_FIELDS, values, strict=True) if c.flag in flags]
    expected = " ".join(chosen) or "-"
    if custom:
        expected += "  " + " ".join(map(escape, custom))
    assert line == expected
    assert line.isprintable()


def test_a_worker_cannot_forge_a_line(tmp_path):
    """No worker is trusted: line ends in its text do not end a line, and it cannot be too long."""
    logs = logs_of(tmp_path, {1: replace(USUAL, max_line_length=50)})
    logs.request(1, "a\nforged\r\x85\u2028b", 200, 0, 0, 0, 0, 0)
    logs.request(1, "x" * 100, 200, 0, 0, 0, 0, 0)
    logs.flush()
    logs.close()
    first, second = entries_of(tmp_path / "W3SVC1" / "u_ex240501.log")
    assert first == "2024-05-01 12:00:12 a+forged+++b 200 0 0 0"
    assert second.split(" ")[2] == "x" * 50


def test_what_is_switched_off_is_not_logged(tmp_path):
    """A disabled site, an unknown one and an empty text leave nothing."""
    logs = logs_of(tmp_path, {1: replace(USUAL, enabled=False), 2: USUAL})
    log_one(logs, 1)
    log_one(logs, 3)
    logs.request(2, "", 200, 0, 0, 0, 0, 0)
    logs.flush()
    logs.close()
    assert list(tmp_path.iterdir()) == []


def test_httperr_has_its_own_columns(tmp_path):
    """Requests that no worker had: thirteen columns and streamid, cut and escaped."""
    logs = logs_of(tmp_path, {})
    logs.http_error(("10.0.0.2", 5, "10.0.0.1", 80), ("HTTP/1.1", "GET", "/a b?c"), 503, 7,
                    "QueueFull", "my pool")  # fmt: skip
    logs.http_error(("::1", 5, "::1", 80), ("", "M" * 300, "/" * 5000), 0, 0, "Client_Reset", "")
    logs.flush()
    logs.close()
    path = tmp_path / "HTTPERR" / "httperr1.log"
    assert lines_of(path)[0] == "#Software: Microsoft HTTP API 2.0"
    columns = lines_of(path)[3].split(" ")[1:]
    first, second = entries_of(path)
    assert first == (
        "2024-05-01 12:00:12 10.0.0.2 5 10.0.0.1 80 HTTP/1.1 GET /a+b?c - 503 7 QueueFull my+pool"
    )
    cut = dict(zip(columns, second.split(" "), strict=True))
    assert (len(cut["cs-method"]), len(cut["cs-uri"])) == (255, 4096)
    assert (cut["sc-status"], cut["s-siteid"], cut["cs-version"]) == ("-", "-", "-")


@pytest.mark.parametrize(
    ("period", "names"),
    [
        ("Hourly", ["24050112", "24050113", "24050200", "24060100"]),
        ("Daily", ["240501", "240501", "240502", "240601"]),
        ("Weekly", ["240501", "240501", "240501", "240601"]),
        ("Monthly", ["2405", "2405", "2405", "2406"]),
        ("MaxSize", ["", "", "", ""]),
    ],
)
def test_periods_name_files(period, names):
    """An hour, a day, a week of the month (from Sunday), a month; numbers for MaxSize."""
    moments = [(2024, 5, 1, 12), (2024, 5, 1, 13), (2024, 5, 2, 0), (2024, 6, 1, 0)]
    found = [
        period_name(period, calendar.timegm((*moment, 0, 0)), is_local=False) for moment in moments
    ]
    assert found == names


def test_weeks_begin_on_sunday():
    """5 May 2024 is a Sunday: the second week of its month."""
    days = [calendar.timegm((2024, 5, day, 0, 0, 0)) for day in (4, 5, 11, 12, 31)]
    weeks = [period_name("Weekly", day, is_local=False)[-2:] for day in days]
    assert weeks == ["01", "02", "02", "03", "05"]


def test_local_time_rolls_over_at_local_midnight(monkeypatch):
    """localTimeRollover names files by local time; entries stay UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC-3")
    time.tzset()
    try:
        evening = calendar.timegm((2024, 5, 1, 22, 0, 0))
        assert period_name("Daily", evening, is_local=True) == "240502"
        assert period_name("Daily", evening, is_local=False) == "240501"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_new_day_begins_a_new_file(tmp_path):
    """Lines go to the file of their own time, even when they are written together."""
    clock = SetClock()
    logs = logs_of(tmp_path, {1: USUAL}, clock)
    log_one(logs)
    clock.now += 86400
    log_one(logs)
    log_one(logs)
    logs.close()
    folder = tmp_path / "W3SVC1"
    assert [len(entries_of(folder / f"u_ex24050{day}.log")) for day in (1, 2)] == [1, 2]


def test_a_numbered_log_goes_on_where_it_was(tmp_path):
    """MaxSize: a new number when truncateSize would be passed; a restart takes the highest."""
    settings = replace(USUAL, period="MaxSize", truncate_size=600)
    for _ in range(2):
        logs = logs_of(tmp_path, {1: settings})
        for _ in range(5):
            log_one(logs)
        logs.close()
    paths = sorted((tmp_path / "W3SVC1").iterdir())
    assert [path.name for path in paths] == [f"u_extend{n + 1}.log" for n in range(len(paths))]
    assert len(paths) >= 3
    assert all(path.stat().st_size <= 600 for path in paths)
    assert sum(len(entries_of(path)) for path in paths) == 10


def test_a_log_is_as_long_as_its_file(tmp_path, monkeypatch):
    """What copytruncate has cut off makes room again; a write that fails cuts off no one else's."""
    target = LogTarget(tmp_path, software="", columns="", stem="u_extend", truncate_size=600)
    file = tmp_path / "u_extend1.log"
    for _ in range(6):
        target.write(NOON, ["x" * 300 + "\n"])
        os.truncate(file, 0)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    file.write_text("of another process\n")

    def write_a_little(fd: int, data: bytes) -> int:
        monkeypatch.setattr("was.listener.log_files.os.write", full)
        return real_write(fd, data[:10])

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    real_write = os.write
    monkeypatch.setattr("was.listener.log_files.os.write", write_a_little)
    with pytest.raises(OSError, match="no space"):
        target.write(NOON, ["half a line\n"])
    monkeypatch.undo()
    target.close()
    assert file.read_text() == "of another process\n"


def test_logs_may_go_to_standard_output(tmp_path, capfd):
    """Bare lines, a site's and HTTPERR's, and nothing in files."""
    logs = logs_of(tmp_path, {1: USUAL}, target=OutputTarget)
    log_one(logs)
    logs.reopen()
    log_one(logs, status=404)
    logs.http_error(("10.0.0.9", 5, "", 0), ("", "", ""), 400, 0, "BadRequest", "")
    logs.close()
    written = capfd.readouterr().out.splitlines()
    assert [line.split()[-4] for line in written[:2]] == ["200", "404"]
    assert written[2].endswith("400 - BadRequest -")
    assert list(tmp_path.iterdir()) == []


def test_reopening_writes_to_a_new_file_of_the_old_name(tmp_path):
    """After SIGUSR1 a file that was moved away is made anew, with a head."""
    logs = logs_of(tmp_path, {1: USUAL})
    path = tmp_path / "W3SVC1" / "u_ex240501.log"
    log_one(logs)
    logs.reopen()
    logs.close()
    path.rename(path.with_suffix(".old"))
    logs = logs_of(tmp_path, {1: USUAL})
    log_one(logs)
    logs.reopen()
    log_one(logs)
    logs.close()
    assert [line[:9] for line in lines_of(path)].count("#Software") == 2
    assert len(entries_of(path)) == 2


def test_changed_columns_write_a_new_head(tmp_path):
    """configure() keeps what did not change and begins anew what did."""
    logs = logs_of(tmp_path, {1: USUAL, 2: USUAL})
    log_one(logs, 1)
    log_one(logs, 2)
    logs.configure({1: replace(USUAL, fields=bits_of(ALL_FLAGS)), 2: USUAL})
    log_one(logs, 1)
    log_one(logs, 2)
    logs.close()
    heads = [
        [line for line in lines_of(tmp_path / f"W3SVC{n}" / "u_ex240501.log") if "#Fields" in line]
        for n in (1, 2)
    ]
    assert [len(found) for found in heads] == [2, 1]


def test_a_full_disk_drops_whole_lines_and_counts_them(tmp_path, monkeypatch, capfd):
    """What cannot be written is counted and reported; no half line stays in the file."""
    clock = SetClock()
    logs = logs_of(tmp_path, {1: USUAL}, clock)
    log_one(logs)
    logs._writer.stop(2)
    real_write = os.write

    def write_a_little(fd: int, data: bytes) -> int:
        if fd <= 2:
            return real_write(fd, data)
        if len(data) < 40:
            raise OSError(errno.ENOSPC, "no space left on device")
        return real_write(fd, data[: len(data) // 2])

    logs._writer = request_logs._Writer()
    monkeypatch.setattr("was.listener.log_files.os.write", write_a_little)
    log_one(logs)
    logs._writer.stop(2)
    monkeypatch.undo()
    assert logs.dropped == 1
    log_one(logs)
    assert "log_dropped lines=1" in capfd.readouterr().err
    assert [line.count(" ") for line in entries_of(tmp_path / "W3SVC1" / "u_ex240501.log")] == [14]


def test_a_writer_that_is_behind_costs_lines_not_memory(tmp_path, monkeypatch):
    """Beyond the bound lines are dropped and counted, and the loop goes on."""
    monkeypatch.setattr(request_logs, "_WAITING_LIMIT", 1000)
    monkeypatch.setattr(request_logs, "_GATHER_S", 60.0)
    logs = logs_of(tmp_path, {1: USUAL})
    for _ in range(100):
        log_one(logs)
    assert 80 < logs.dropped < 100
    logs.close()
    written = entries_of(tmp_path / "W3SVC1" / "u_ex240501.log")
    assert len(written) + logs.dropped == 100


def test_a_log_that_is_a_link_is_not_followed(tmp_path):
    """A link in the place of a log file is no log file: the lines are dropped."""
    target = tmp_path / "elsewhere"
    (tmp_path / "W3SVC1").mkdir()
    (tmp_path / "W3SVC1" / "u_ex240501.log").symlink_to(target)
    logs = logs_of(tmp_path, {1: USUAL})
    log_one(logs)
    logs.close()
    assert not target.exists()
    assert logs.dropped == 1
