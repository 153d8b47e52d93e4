"""Applications that answer before their worker takes requests: preload and initialization pages."""

from collections.abc import Callable
from pathlib import Path

from harness.home import Pool
from harness.server import wait_for
from support.pools import calm_pool, event_ids
from support.running import Running, place, simple_config
from support.wire import get

Start = Callable[..., Running]


def start(
    start_server: Start, pool: Pool, *pages: str, preload: bool = False, **options: object
) -> Running:
    """One site with the application `warms`; `pages` are `add` elements."""
    section = f"<applicationInitialization>{''.join(pages)}</applicationInitialization>"
    config = simple_config("warms:application", pool=pool, sections=section if pages else "")
    if preload:
        config = config.replace(
            '<application path="/"', '<application preloadEnabled="true" path="/"'
        )
    return start_server(config, place("warms.py"), **options)


def page(url: str, host: str = "") -> str:
    """An initialization page."""
    name = f' hostName="{host}"' if host else ""
    return f'<add initializationPage="{url}"{name} />'


def notes(running: Running) -> list[list[str]]:
    """[pid, URL, Host, warming up?] of each request that the application has seen."""
    file = running.folder() / "data" / "warm.log"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def pid_of(running: Running, url: str = "/x") -> int:
    """Which worker answers."""
    answer = get(running.port(), url)
    assert answer.status == 200
    return int(answer.text)


def test_preload_enabled(start_server):
    """An AlwaysRunning worker has answered a GET of the root before anybody asks, and it is in no
    request log."""
    running = start(start_server, calm_pool(), preload=True)
    (pid,) = running.workers(count=1)
    assert notes(running) == [[str(pid), "/", "localhost", "1"]]
    assert pid_of(running) == pid
    host = f"127.0.0.1:{running.port()}"
    assert notes(running)[1:] == [[str(pid), "/x", host, "0"]]
    logs = [file.read_text() for file in running.home.glob("logs/W3SVC1/*.log")]
    assert " GET / " not in "".join(logs)


def test_without_preload_nothing_is_asked(start_server):
    """preloadEnabled is off by default."""
    running = start(start_server, calm_pool())
    running.workers(count=1)
    assert notes(running) == []


def test_initialization_pages(start_server):
    """Each worker asks for the pages in their order, under the names of hosts that they have, and
    only then answers the request that it was started for."""
    pages = [page("/first?a=1", "shop.example"), page("second"), page("/broken")]
    running = start(start_server, calm_pool(start="OnDemand"), *pages)
    assert notes(running) == []
    pid = pid_of(running)
    assert [note[1:] for note in notes(running)] == [
        ["/first?a=1", "shop.example", "1"],
        ["/second", "localhost", "1"],
        ["/broken", "localhost", "1"],
        ["/x", f"127.0.0.1:{running.port()}", "0"],
    ]
    assert {note[0] for note in notes(running)} == {str(pid)}
    log = running.home / "logs" / "pools" / "Pool.log"
    lines = [line for line in log.read_text().splitlines() if " warm_up_completed " in line]
    statuses = [word for line in lines for word in line.split() if word.startswith("status=")]
    assert statuses == ["status=200", "status=200", "status=500"]


def test_the_old_worker_serves_until_the_new_one_is_warm(start_server):
    """A successor gets no request before its pages have answered."""
    running = start(start_server, calm_pool(), page("/slow"))
    (old,) = running.workers(count=1)
    hold = running.folder() / "data" / "hold"
    hold.touch()
    assert running.server.command("recycle", "apppool", "Pool").returncode == 0
    wait_for(
        "the successor's first page",
        lambda: notes(running)[-1][1] == "/slow" and _others(running, old),
    )
    for _ in range(5):
        assert pid_of(running) == old
    hold.unlink()
    new = wait_for("the successor", lambda: p if (p := pid_of(running)) != old else 0)
    assert new in _others(running, old)


def test_the_old_worker_stays_when_the_new_one_does_not_get_warm(start_server):
    """Past startupTimeLimit the successor is killed (5012), the recycling has failed (5093), and
    the old worker was there all the time."""
    pool = calm_pool(startupTimeLimit="00:01:00")
    running = start(start_server, pool, page("/slow"), time_scale=20.0)
    running.allow("worker_start_failed", "recycle_failed")
    (old,) = running.workers(count=1)
    (running.folder() / "data" / "hold").touch()
    result = running.server.command("recycle", "apppool", "Pool", "--wait")
    assert result.returncode == 1
    assert pid_of(running) == old
    wait_for("both events", lambda: {5012, 5093} <= set(event_ids(running)))
    for pid in _others(running, old):
        wait_for("its end", lambda pid=pid: not Path(f"/proc/{pid}").exists())
    assert running.workers() == [old]


def _others(running: Running, old: int) -> set[int]:
    return {int(note[0]) for note in notes(running)} - {old}


def test_remap_managed_requests_to(start_server):
    """Clients get the interim page while the application warms up, then the application; a
    successor of its worker shows nobody that page."""
    section = (
        '<applicationInitialization remapManagedRequestsTo="soon.htm">'
        f"{page('/slow')}</applicationInitialization>"
    )
    config = simple_config("warms:application", pool=calm_pool(), sections=section)

    def prepare(home: Path) -> None:
        place("warms.py")(home)
        (home / "sites" / "app" / "soon.htm").write_text("soon")
        (home / "sites" / "app" / "data").mkdir(exist_ok=True, mode=0o777)
        (home / "sites" / "app" / "data" / "hold").touch()

    running = start_server(config, prepare)
    hold = running.folder() / "data" / "hold"
    (old,) = running.workers(count=1)
    for _ in range(2):
        answer = get(running.port(), "/x")
        assert (answer.status, answer.text) == (200, "soon")
        assert answer.field("cache-control") == "no-cache"
    hold.unlink()
    wait_for("the application", lambda: get(running.port(), "/x").text != "soon")
    assert pid_of(running) == old
    hold.touch()
    assert running.server.command("recycle", "apppool", "Pool").returncode == 0
    wait_for("the successor's first page", lambda: _others(running, old))
    assert pid_of(running) == old
    hold.unlink()
    wait_for("the successor", lambda: pid_of(running) != old)
