"""The event log and the dossiers' parts, without a server."""

import json
import os
import resource
import signal
import stat

import pytest

from was.ipc.stacks import can_dump
from was.manager.deaths import DEATHS
from was.manager.dossiers import DossierFolder, file_tail, lines_of_worker
from was.manager.events import EVENTS, REASONS, EventLog, text_line


def _lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_every_event_has_level_text_and_reason():
    """The tables agree, and levels are those of the system log."""
    assert EVENTS.keys() == REASONS.keys()
    assert {level for level, _ in EVENTS.values()} <= {"error", "warning", "information"}
    assert EVENTS.keys() >= DEATHS


def test_an_event_is_one_line_in_each_file(tmp_path):
    """For programs an object with its fields, for people its text."""
    EventLog(tmp_path).report(5074, app_pool="P", pid=7, worker_id=1)
    (event,) = _lines(tmp_path)
    assert (event["id"], event["level"], event["reason"]) == (5074, "information", "Time")
    assert (event["app_pool"], event["pid"]) == ("P", 7)
    (line,) = (tmp_path / "events.log").read_text().splitlines()
    assert line == f"{event['time']} information 5074 Worker 7 of 'P' is recycled: its time is up."


def test_events_are_not_for_everybody_to_read(tmp_path):
    """They name clients, URLs and commands: no other user but those of the file's group."""
    before = os.umask(0)
    try:
        EventLog(tmp_path).report(5074, app_pool="P", pid=7, worker_id=1)
    finally:
        os.umask(before)
    for name in ("events.jsonl", "events.log"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640


def test_the_log_is_in_the_order_of_what_happened(tmp_path):
    """An open entry holds up later ones, whoever is closed first."""
    log = EventLog(tmp_path)
    first = log.open(5009, {"pid": 1})
    second = log.open(5010, {"pid": 2})
    log.report(5002)
    log.close(second)
    assert not (tmp_path / "events.jsonl").exists()
    log.close(first, how="SIGKILL")
    assert [e["id"] for e in _lines(tmp_path)] == [5009, 5010, 5002]
    assert "ended: SIGKILL." in _lines(tmp_path)[0]["text"]


def test_what_clients_have_put_in_forges_no_line(tmp_path):
    """Control characters of a URL are escaped in the text, kept in the object."""
    log = EventLog(tmp_path)
    url = "/a\n2026-01-01 error 5002 forged"
    log.close(log.open(5009, {}), requests=[{"verb": "GET", "url": url}])
    assert len((tmp_path / "events.log").read_text().splitlines()) == 1
    assert _lines(tmp_path)[0]["requests"][0]["url"] == url


def test_the_text_of_a_death_says_what_is_known():
    """End, peak memory, requests with their place, dossier; nothing for what is not known."""
    record = {"time": "T", "level": "warning", "id": 5010, "text": "No answer."}
    assert text_line(record) == "T warning 5010 No answer."
    request = {"verb": "GET", "url": "/x", "notification": "MAP_REQUEST_HANDLER", "module": ""}
    known = {"how": "SIGKILL", "peak_memory_kb": 2048, "requests": [request], "dossier": "/d.json"}
    assert text_line(record | known) == (
        "T warning 5010 No answer. (ended: SIGKILL; peak memory 2.0 MB; "
        "in flight: GET /x [MAP_REQUEST_HANDLER]; dossier /d.json)"
    )


def test_events_that_cannot_be_written_are_counted(tmp_path):
    """No folder, no line, no exception; with the folder there the next line is written."""
    log = EventLog(tmp_path / "none")
    log.report(5002)
    log.report(5002)
    assert log.dropped == 2
    (tmp_path / "none").mkdir()
    log.report(5002)
    assert (log.dropped, len(_lines(tmp_path / "none"))) == (2, 1)


def test_a_line_cut_by_a_full_disk_does_not_spoil_the_next(tmp_path):
    """Of a line that found no room a part may be there; what comes later starts a line anew."""
    log = EventLog(tmp_path)
    log.report(5002)
    size = (tmp_path / "events.jsonl").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
        log.report(5002)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert log.dropped == 1
    log.report(5074)
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert json.loads(lines[2])["id"] == 5074


def test_a_dossier_that_cannot_be_written_is_counted(tmp_path):
    """Something in the folder's place: no path, one more dropped."""
    (tmp_path / "failures").touch()
    folder = DossierFolder(tmp_path / "failures")
    assert folder.write("x", {}) == ""
    assert folder.dropped == 1


def test_the_oldest_dossiers_make_way(tmp_path):
    """Names begin with the time; other files of the folder are left alone."""
    folder = DossierFolder(tmp_path, most=2)
    (tmp_path / "notes.txt").touch()
    for name in ("1", "2", "3"):
        assert folder.write(name, {"pid": 1}) == str(tmp_path / f"{name}.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2.json", "3.json", "notes.txt"]


@pytest.mark.parametrize(
    ("begin", "most", "expected"),
    [(0, 100, ["one", "two", "three"]), (4, 100, ["two", "three"]), (0, 8, ["three"])],
)
def test_the_tail_of_a_file_has_whole_lines(tmp_path, begin, most, expected):
    """From where it should begin, at most so much, and no part of a line at its head."""
    path = tmp_path / "log"
    path.write_text("one\ntwo\nthree\n")
    assert file_tail(path, begin, most) == expected


def test_a_log_that_was_moved_away_is_read_from_its_start(tmp_path):
    """A file shorter than where the worker began is another file; none is no line."""
    path = tmp_path / "log"
    path.write_text("new\n")
    assert file_tail(path, 1000) == ["new"]
    assert file_tail(tmp_path / "none") == []


def test_lines_of_a_shared_log_are_told_apart():
    """Lines of other processes go, with what is indented below them; printed lines stay."""
    lines = [
        "2026-01-01T00:00:00.000Z info worker[1] ready",
        "2026-01-01T00:00:00.000Z error worker[2] application_error",
        "    Traceback of 2",
        "printed by somebody",
        "2026-01-01T00:00:00.000Z error worker[1] application_error",
        "    Traceback of 1",
    ]
    kept = lines_of_worker(lines, 1)
    assert kept == [lines[0], *lines[3:]]
    assert lines_of_worker(lines, 1, most=1) == ["    Traceback of 1"]


def test_only_who_can_write_stacks_is_asked_for_them():
    """A process without a handler for the signal would die of it."""
    assert not can_dump(os.getpid())
    assert not can_dump(2**22 + 1)
