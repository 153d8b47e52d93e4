"""Every GL_ event comes from its real cause, in a real worker, in the documented order."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from harness.home import Pool
from harness.server import wait_for
from support.files import replace_text
from support.pools import SCALE, calm_pool, rewrite
from support.running import Running, place, simple_config
from support.wire import get

from was.manager.process import is_stopped

Start = Callable[..., Running]

MODULE = (
    "<system.webServer><globalModules>"
    '<add name="Recorder" image="{home}/sites/app/recorder.py" />'
    "</globalModules></system.webServer>"
)
SITE = "MACHINE/WEBROOT/APPHOST/Site"


def start(start_server: Start, pool: Pool, *, preload: bool = False, **options: object) -> Running:
    """One site with the module that writes down its events."""
    config = simple_config("hello:application", pool=pool, extra=MODULE)
    if preload:
        config = config.replace(
            '<application path="/"', '<application preloadEnabled="true" path="/"'
        )
    return start_server(config, place("hello.py", "recorder.py"), **options)


def events(running: Running, pid: int) -> list[str]:
    """What one worker has written down."""
    lines = (running.folder() / "data" / "events").read_text().splitlines()
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{pid} ")]


def wait_event(running: Running, pid: int, event: str) -> None:
    """Until that worker has written it down."""
    wait_for(event, lambda: event in events(running, pid))


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_life_from_preload_to_terminate(start_server):
    """Start: resolve modules, start, preload with a request of the module's own. Then requests, a
    query, a watched file, another configuration. A recycled worker stops listening gracefully,
    stops its applications, cleans up caches, terminates: in this order, each stored context told
    once. Its successor knows that it is one."""
    running = start(start_server, calm_pool(), preload=True)
    (pid,) = running.workers(count=1)
    first = events(running, pid)
    assert first == [
        "application_resolve_modules /",
        f"application_start {SITE}",
        "pre_begin_request /preloaded",
        "thread_cleanup / MainThread",
        "application_preload 200 False",
        "pre_begin_request /",
        "thread_cleanup / MainThread",
    ]

    assert get(running.port(), "/page").status == 200
    wait_for(
        "the thread's end",
        lambda: any(e.startswith("thread_cleanup / request-") for e in events(running, pid)),
    )
    assert "pre_begin_request /page" in events(running, pid)

    answer = running.server.command("query", "wp", str(pid), "ECHO", "hello")
    assert (answer.returncode, answer.stdout) == (0, "HELLO\n")
    nobody = running.server.command("query", "wp", str(pid), "OTHER")
    assert nobody.returncode == 1
    assert "no module" in nobody.stderr
    assert "rsca_query OTHER" in events(running, pid)

    data = running.folder() / "data"
    (data / "other").write_text("not watched")
    (data / "watched").write_text("watched")
    wait_event(running, pid, f"file_change {data}/watched True")
    assert not any("other" in event for event in events(running, pid))

    replace_text(running.folder() / "web.config", "<configuration />")
    wait_event(running, pid, f"configuration_change {SITE}")

    assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
    wait_for("its end", lambda: gone(pid))
    last = events(running, pid)
    assert last[last.index("stop_listening True") :] == [
        "stop_listening True",
        f"application_stop {SITE}",
        "cleanup application",
        "cache_cleanup",
        "cleanup monitor",
        "terminate",
        "cleanup site",
    ]
    (heir,) = running.workers(count=1)
    assert "application_preload 200 True" in events(running, heir)


def test_a_changed_server_configuration(start_server):
    """A reload tells the workers that stay: the change is the server's. An application that is new
    starts, one that is gone stops."""
    pool = calm_pool("<recycling disallowRotationOnConfigChange='true' />")
    running = start(start_server, pool)
    (pid,) = running.workers(count=1)
    second = (
        '<application path="/second" applicationPool="Pool"><virtualDirectory path="/" '
        f'physicalPath="{running.folder()}" /></application>'
    )
    rewrite(running, lambda text: text.replace("<bindings>", second + "<bindings>"))
    assert running.server.command("reload").returncode == 0
    wait_event(running, pid, "configuration_change MACHINE/WEBROOT/APPHOST")
    wait_event(running, pid, f"application_start {SITE}/second")
    rewrite(running, lambda text: text.replace(second, ""))
    assert running.server.command("reload").returncode == 0
    wait_event(running, pid, f"application_stop {SITE}/second")
    assert f"application_stop {SITE}" not in events(running, pid)


def test_the_end_of_the_server_does_not_drain(start_server):
    """DrainRequestsGracefully is False when the service stops, True when SIGTERM has the worker
    replaced."""
    running = start(start_server, calm_pool())
    (old,) = running.workers(count=1)
    os.kill(old, signal.SIGTERM)
    wait_for("its end", lambda: gone(old))
    assert "stop_listening True" in events(running, old)
    (pid,) = running.workers(count=1)
    assert running.server.stop() == 0
    assert "stop_listening False" in events(running, pid)
    assert "terminate" in events(running, pid)
    running.expected_exit = None


def test_each_ping_is_a_health_check(start_server):
    """The event comes with each ping; a module that reports the worker unhealthy
    has it replaced."""
    ping = {"pingingEnabled": "true", "pingInterval": "00:00:30", "pingResponseTime": "01:00:00"}
    running = start(start_server, calm_pool(**ping), time_scale=SCALE)
    (pid,) = running.workers(count=1)
    wait_for("two pings", lambda: events(running, pid).count("health_check") >= 2)
    sick = running.folder() / "data" / "sick"
    sick.touch()
    wait_for("its end", lambda: gone(pid))
    sick.unlink()
    assert "stop_listening True" in events(running, pid)
    assert "I feel sick (0x80004005)" in (running.home / "logs" / "events.jsonl").read_text()


def test_suspended_and_resumed(start_server):
    """An idle worker's modules hear that it will be suspended before it is, and that it runs again
    before the request that woke it is over, each once."""
    model = {"idleTimeout": "00:01:00", "idleTimeoutAction": "Suspend"}
    running = start(start_server, calm_pool(start="OnDemand", **model), time_scale=SCALE)
    assert get(running.port()).status == 200
    wait_for("the sleeper", lambda: running.server.workers("Pool", "suspended"))
    (pid,) = running.server.workers("Pool", "suspended")
    wait_event(running, pid, "suspend")
    assert get(running.port()).status == 200
    wait_event(running, pid, "resumed")
    assert events(running, pid).count("suspend") >= 1
    assert events(running, pid).index("suspend") < events(running, pid).index("resumed")


def test_a_request_calls_the_suspension_off(start_server):
    """A request that comes while the modules get ready is answered at once; when they are ready at
    last the worker is not stopped, since something has come up."""
    model = {"idleTimeout": "00:01:00", "idleTimeoutAction": "Suspend"}
    running = start(start_server, calm_pool(start="OnDemand", **model), time_scale=SCALE)
    hold = running.folder() / "data" / "hold"
    hold.touch()
    assert get(running.port()).status == 200
    wait_for("the sleeper", lambda: running.server.workers("Pool", "suspended"))
    (pid,) = running.server.workers("Pool", "suspended")
    wait_event(running, pid, "suspend")
    assert not is_stopped(pid)
    assert get(running.port()).status == 200
    hold.unlink()
    assert events(running, pid).count("pre_begin_request /") == 2
    wait_event(running, pid, "resumed")
    assert get(running.port()).status == 200
    wait_for("its sleep at last", lambda: is_stopped(pid))
    # Idle for a second once more, it may have slept and been woken meanwhile.
    course = [event for event in events(running, pid) if event in ("suspend", "resumed")]
    assert course[:3] == ["suspend", "resumed", "suspend"]
