"""What runs in a worker runs in the one that takes its place, or the worker stays."""

import os
import signal
from collections.abc import Callable

import pytest
from harness.home import Pool
from harness.server import wait_for
from support.event_log import events
from support.files import replace_text
from support.running import Running, place, simple_config
from support.wire import get

Start = Callable[..., Running]

WSGI = """
import os

def application(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
ASGI = """
import os

FAILS = False

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        ending = "failed" if FAILS else "complete"
        await send({"type": f"lifespan.startup.{ending}", "message": "no database"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""
IMPORT_FAILS = (WSGI, "WsgiModule", "import os", "import no_such_module")
STARTUP_FAILS = (ASGI, "AsgiModule", "FAILS = False", "FAILS = True")
BROKEN = IMPORT_FAILS[3]


def start(
    start_server: Start, text: str, module: str = "WsgiModule", python: dict[str, str] | None = None
) -> Running:
    """One pool with the application `release`."""
    pool = Pool("Pool", {}, {"python": python} if python else {})
    config = simple_config("release:application", pool=pool).replace("WsgiModule", module)

    def prepare(home):
        place()(home)
        (home / "sites" / "app" / "release.py").write_text(text)

    running = start_server(config, prepare)
    running.allow("application_failed", "worker_start_failed", "recycle_failed")
    return running


def pid_of(running: Running) -> int:
    """Which worker answers."""
    answer = get(running.port())
    assert answer.status == 200
    return int(answer.text)


@pytest.mark.parametrize("kind", [IMPORT_FAILS, STARTUP_FAILS], ids=["import", "startup"])
def test_a_worker_stays_when_its_application_fails_in_its_successor(start_server, kind):
    """However often that is tried, the pool has not failed; mended, the worker is replaced."""
    text, module, good, bad = kind
    running = start(start_server, text, module)
    release = running.folder() / "release.py"
    old = pid_of(running)
    replace_text(release, text.replace(good, bad))
    for _ in range(6):
        result = running.server.command("recycle", "apppool", "Pool", "--wait")
        assert result.returncode == 1
        assert "did not become ready (event 5059: " in result.stderr
        assert "release:application of " in result.stderr
        assert pid_of(running) == old
    assert running.server.rows("apppools")[0]["failures"] == 0
    assert len(events(running, 5059)) == 6
    replace_text(release, text)
    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
    assert pid_of(running) != old


def test_what_did_not_run_before_holds_no_recycling_up(start_server):
    """An application that fails in the old worker too answers 500 from the new one."""
    running = start(start_server, BROKEN)
    assert get(running.port()).status == 500
    old = running.workers(count=1)
    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
    assert running.workers(count=1) != old
    assert get(running.port()).status == 500


DATABASE = "os.path.exists(os.path.dirname(__file__) + '/database')"


@pytest.mark.parametrize(
    ("text", "module"),
    [
        (WSGI + f"\nassert {DATABASE}\n", "WsgiModule"),
        (ASGI.replace("if FAILS", f"if not {DATABASE}"), "AsgiModule"),
    ],
    ids=["import", "startup"],
)
def test_what_a_request_has_started_runs_in_the_successor_too(start_server, text, module):
    """An application whose database came after its worker is not lost to a release that fails."""
    running = start(start_server, text, module)
    assert get(running.port()).status == 500
    assert running.server.command("status", "--check").returncode == 1
    (running.folder() / "database").touch()
    wait_for("the application", lambda: get(running.port()).status == 200)
    old = pid_of(running)
    for _ in range(2):  # the second answer comes after what the worker has said before it
        assert running.server.command("query", "wp", str(old), "GetRequests").returncode == 0
    assert running.server.command("status", "--check").returncode == 0
    replace_text(running.folder() / "release.py", BROKEN)
    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 1
    assert pid_of(running) == old


def test_a_worker_that_died_is_replaced_by_what_there_is(start_server):
    """Nobody is there to stay: the error is shown, and tried again when the file is mended."""
    running = start(start_server, WSGI)
    old = pid_of(running)
    release = running.folder() / "release.py"
    replace_text(release, BROKEN)
    os.kill(old, signal.SIGKILL)
    answer = wait_for("another worker", lambda: a if (a := get(running.port())) else None)
    assert answer.status == 500
    assert "500.30" in answer.text
    replace_text(release, WSGI)
    assert pid_of(running) != old


def test_changed_code_that_fails_is_shown(start_server):
    """reloadOnChange is for who changes it: the page with the error comes, not the old answer."""
    running = start(start_server, WSGI, python={"reloadOnChange": "true"})
    pid_of(running)
    release = running.folder() / "release.py"
    replace_text(release, BROKEN)
    wait_for("the error", lambda: "500.30" in get(running.port()).text)
    replace_text(release, WSGI)
    pid_of(running)


def test_what_a_failed_attempt_has_left_ends_with_its_process(start_server):
    """Django's registry is never begun twice: what is mended there another worker can start."""
    begun = WSGI + "import sys\nassert not hasattr(sys, 'is_begun')\nsys.is_begun = True\n"
    running = start(start_server, begun + BROKEN)
    assert get(running.port()).status == 500
    replace_text(running.folder() / "release.py", begun)
    wait_for("another worker", lambda: get(running.port()).status == 200)


def test_a_startup_that_failed_is_mended_by_another_process(start_server):
    """What was imported stays so: where its startup failed, changed code is another worker's."""
    text, module, good, bad = STARTUP_FAILS
    running = start(start_server, text.replace(good, bad), module)
    assert get(running.port()).status == 500
    replace_text(running.folder() / "release.py", text)
    wait_for("another worker", lambda: get(running.port()).status == 200)


def test_an_application_that_is_no_more_wanted_is_no_problem(start_server):
    """`was status` says what does not start, why, and no longer once its handler has gone."""
    running = start(start_server, BROKEN)
    assert get(running.port()).status == 500
    (problem,) = running.server.status()["problems"]
    assert problem.startswith("release:application of ")
    assert problem.endswith(" did not start: ModuleNotFoundError: No module named 'no_such_module'")
    none = "<handlers><clear /></handlers>"
    (running.folder() / "web.config").write_text(
        f"<configuration><system.webServer>{none}</system.webServer></configuration>"
    )
    wait_for("no problem", lambda: not running.server.status()["problems"])
