"""Logs that cannot be opened or written cost no request; `was status` says so while it lasts."""

import datetime
import shutil
import signal

from harness.server import wait_for
from support.event_log import wait_event
from support.running import place, simple_config
from support.wire import get

POOL_LOG = "the log of pool 'Pool' cannot be opened"


def problems(running):
    found = running.server.status()["problems"]
    return [line.partition(":")[0] for line in found]


def test_a_pool_whose_log_cannot_be_opened_serves(start_server):
    """As HTTP.SYS serves on without its logs; its next worker has the log again."""

    def prepare(home):
        place("hello.py")(home)
        (home / "logs" / "pools" / "Pool.log").mkdir(parents=True)  # no file to print into
        (home / "logs" / "W3SVC1").touch()  # no folder for request logs

    running = start_server(simple_config("hello:application"), prepare)
    running.allow("log_dropped")
    assert get(running.port()).status == 200
    event = wait_event(running, 15000)
    assert (event["app_pool"], event["reason"]) == ("Pool", "log not opened")
    assert POOL_LOG in problems(running)
    (running.home / "logs" / "pools" / "Pool.log").rmdir()
    done = running.server.command("recycle", "apppool", "Pool", "--wait")
    assert done.returncode == 0, done.stderr
    assert POOL_LOG not in problems(running)
    assert get(running.port()).status == 200


def test_a_request_log_that_cannot_be_written(start_server):
    """It is said until a line gets in again, also by a manager that comes later."""

    today = datetime.datetime.now(datetime.UTC)
    days = today, today + datetime.timedelta(days=1)
    names = [f"u_ex{day:%y%m%d}.log" for day in days]

    def prepare(home):
        place("hello.py")(home)
        for name in names:  # no files to write into
            (home / "logs" / "W3SVC1" / name).mkdir(parents=True)

    running = start_server(simple_config("hello:application"), prepare)
    running.allow("log_dropped")
    assert get(running.port()).status == 200
    event = wait_event(running, 15002)
    assert "W3SVC1 cannot be written" in event["detail"]
    assert problems(running) == [event["detail"].partition(":")[0]]
    running.server.send(9)
    running.server.wait_exit()
    running.server.start()
    wait_for("the same problem", lambda: problems(running))
    for name in names:
        (running.home / "logs" / "W3SVC1" / name).rmdir()

    def is_well():
        assert get(running.port()).status == 200
        return not problems(running)

    wait_for("no problem", is_well)


def test_a_folder_that_was_removed_is_there_again(start_server):
    """SIGUSR1: whoever tidies up takes no site its log; the listener may not make the folder."""
    running = start_server(simple_config("hello:application"), place("hello.py"))
    folder = running.home / "logs" / "W3SVC1"

    def is_logged() -> bool:
        assert get(running.port()).status == 200
        return bool(list(folder.glob("*.log")))

    wait_for("the log", is_logged)
    shutil.rmtree(folder)
    running.server.send(signal.SIGUSR1)
    wait_for("the log", is_logged)


def test_a_folder_that_only_windows_has_is_not_made(start_server):
    """The request log of a site that comes from there is among the home's logs."""
    log_file = r'<logFile directory="%SystemDrive%\inetpub\logs\LogFiles" />'
    text = simple_config("hello:application").replace("</site>", f"{log_file}</site>")
    running = start_server(text, place("hello.py"))
    assert get(running.port()).status == 200
    wait_for("the log", lambda: list((running.home / "logs" / "W3SVC1").glob("*.log")))
    assert [path.name for path in running.home.iterdir() if "inetpub" in path.name] == []
