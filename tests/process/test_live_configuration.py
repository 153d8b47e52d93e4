"""A configuration that changes while the server runs: in force without a command, or kept out."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from harness.server import wait_for
from support.event_log import events, wait_event
from support.pools import calm_pool
from support.running import STEADY, Running, place, simple_config
from support.wire import Wire, get

from was.manager.watching import QUIET_S

SAMPLES = Path(__file__).resolve().parents[2] / "docs" / "samples" / "modules"
HEADER = (
    "<httpProtocol><customHeaders>"
    '<add name="X-Version" value="{version}" />'
    "</customHeaders></httpProtocol>"
)


def _file(running: Running) -> Path:
    return running.home / "config" / "applicationHost.config"


def _replace(file: Path, text: str) -> None:
    """As editors and deployments do: a new file takes the place."""
    new = file.with_name("new")
    new.write_text(text)
    os.replace(new, file)


def _with_version(text: str, version: object) -> str:
    """A header that every response of the site brings."""
    section = f"<system.webServer>{HEADER.format(version=version)}</system.webServer>"
    start = text.find("<!--v-->")
    if start >= 0:
        text = text[:start] + text[text.find("<!--/v-->") + 9 :]
    return text.replace("</configuration>", f"<!--v-->{section}<!--/v--></configuration>")


def _wait_for_version(running: Running, version: object, port: int = 0) -> None:
    port = port or running.port()
    wait_for(f"version {version}", lambda: get(port).field("x-version") == str(version))


def _reloads(running: Running) -> int:
    return running.server.log_text().count(" reload_started ")


@pytest.fixture
def running(start_server) -> Running:
    found = start_server(
        simple_config("hello:application", pool=Pool("Pool", **STEADY)), place("hello.py")
    )
    found.workers(count=1)
    return found


def test_a_changed_file_is_in_force_without_a_command(running):
    """Written in place or replaced; the worker goes on, and so does a connection that is open."""
    pids = running.workers(count=1)
    text = _file(running).read_text()
    with Wire(running.port()) as wire:
        assert wire.request("/").field("x-version") == ""
        # Whoever writes in place may be read in the midst of it, and is read again.
        running.allow("reload_failed", "config_error")
        _file(running).write_text(_with_version(text, 1))
        _wait_for_version(running, 1)
        _replace(_file(running), _with_version(text, 2))
        _wait_for_version(running, 2)
        assert wire.request("/").field("x-version") == "2"
    assert running.workers(count=1) == pids


def test_a_storm_of_changes_is_one(running):
    """A hundred versions in a row are read a few times, and the last one is in force."""
    text = _file(running).read_text()
    begun_at = time.monotonic()
    for version in range(1, 101):
        _replace(_file(running), _with_version(text, version))
    written_s = time.monotonic() - begun_at
    _wait_for_version(running, 100)
    # A busy machine takes its time to write them, with quiet moments in between.
    assert _reloads(running) <= 3 + written_s / QUIET_S


def test_what_lies_beside_the_file_is_nobody_s_business(running):
    """Other files of the folder, and the same content again, change nothing."""
    before = _reloads(running)
    for number in range(3):
        (_file(running).parent / f"notes-{number}").write_text("x")
    text = _file(running).read_text()
    _replace(_file(running), _with_version(text, 1))
    _wait_for_version(running, 1)
    assert _reloads(running) == before + 1


def test_a_broken_file_keeps_the_last_good_configuration(running):
    """It is said in the event log, in status and by reload; repaired, it is in force at once."""
    running.allow("reload_failed", "config_error")
    good = _file(running).read_text()
    _replace(_file(running), good.replace("</sites>", "</sights>"))
    event = wait_event(running, 5172)
    assert "not well-formed" in event["detail"]
    config = running.server.status()["config"]
    assert config["state"] == "failed"
    assert f"{_file(running)}:" in config["errors"][0]
    assert get(running.port()).status == 200
    result = running.server.command("reload")
    assert result.returncode == 1
    assert "not well-formed" in result.stderr
    _replace(_file(running), _with_version(good, 1))
    _wait_for_version(running, 1)
    config = wait_for(
        "its state",
        lambda: c if (c := running.server.status()["config"])["state"] == "ok" else None,
    )
    assert config["errors"] == []


def test_a_file_that_goes_away_and_comes_back(running):
    """Without it the last good configuration serves on."""
    running.allow("reload_failed", "config_error")
    text = _file(running).read_text()
    _file(running).unlink()
    wait_event(running, 5172)
    assert get(running.port()).status == 200
    _replace(_file(running), _with_version(text, 1))
    _wait_for_version(running, 1)


def _two_pools(home: str) -> str:
    handler = (wsgi_handler("hello:application"),)
    folder = Path("{home}") / "sites" / "app"
    pools = [Pool("One", **STEADY), Pool("Two", **STEADY)]
    sites = [Site(p.name, (Application("/", folder, p.name, handler),)) for p in pools]
    return application_host_config(pools, sites).replace("{home}", home)


@pytest.fixture
def two(start_server) -> Running:
    found = start_server(_two_pools("{home}"), place("hello.py"))
    for pool in ("One", "Two"):
        found.workers(pool, count=1)
    return found


def test_only_the_pool_that_changed_is_recycled(two):
    """A setting that takes a new worker process gives one to its pool, and to no other."""
    one, other = two.workers("One", count=1), two.workers("Two", count=1)
    text = _file(two).read_text()
    pool = '<add name="One" startMode="AlwaysRunning">'
    assert pool in text
    _replace(_file(two), text.replace(pool, f'{pool}<python threads="7" />'))
    wait_for("another worker", lambda: (w := two.workers("One")) and len(w) == 1 and w != one)
    assert two.workers("Two", count=1) == other
    wait_event(two, 5080)
    assert [e["app_pool"] for e in events(two, 5080)] == ["One"]


def test_limits_hold_live(two):
    """queueLength and the like are the listener's: nobody is replaced."""
    before = [two.workers(name, count=1) for name in ("One", "Two")]
    text = _file(two).read_text()
    _replace(_file(two), text.replace('<add name="One"', '<add name="One" queueLength="77"'))
    wait_for("the reload", lambda: " reload_completed" in two.server.log_text())
    assert [two.workers(name, count=1) for name in ("One", "Two")] == before
    assert events(two, 5080) == []


def test_limits_of_all_sites_hold_live(start_server):
    """webLimits: a client that says nothing is left as long as the file says now."""
    config = simple_config("hello:application", pool=calm_pool())
    sites = "</sites><webLimits connectionTimeout="
    config = config.replace("</sites>", f'{sites}"02:00:00" />')
    running = start_server(config, place("hello.py"), time_scale=20.0)
    (worker,) = running.workers(count=1)
    text = _file(running).read_text()
    _replace(_file(running), text.replace(f'{sites}"02:00:00"', f'{sites}"00:00:10"'))
    wait_for("the reload", lambda: " reload_completed" in running.server.log_text())
    with Wire(running.port()) as wire:
        assert wire.is_closed()
    assert running.workers() == [worker]


def test_what_needs_a_restart_is_said(running):
    """`was reload` names what stays as it was when the server started, until it is that again."""
    good = _file(running).read_text()
    more = '<identities listener="LocalSystem" /><webLimits controlGroups="false" />'
    _replace(_file(running), good.replace("</sites>", f"</sites>{more}"))
    said = running.server.command("reload").stderr
    for name in ("identities/@listener", "webLimits/@controlGroups"):
        assert f"warning: {name}: in force after the next `was restart`" in said
    _replace(_file(running), good)
    assert "was restart" not in running.server.command("reload").stderr


def test_a_site_that_cannot_listen_is_said(running):
    """The configuration is in force, and `was reload` says what did not come of it, each time."""
    running.allow("site_refused")
    file = _file(running)
    before = file.read_text()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        _replace(file, before.replace("127.0.0.1:0:", f"127.0.0.1:{port}:"))
        for _ in range(2):
            result = running.server.command("reload")
            assert result.returncode == 0
            assert f"warning: site 'Site' cannot listen on 127.0.0.1:{port}: " in result.stderr
    _replace(file, before)
    result = running.server.command("reload")
    assert (result.returncode, result.stderr) == (0, "")


def test_an_application_that_moves_is_run_by_another_worker(running):
    """Modules of the same names in another folder, as deployments do it: no request fails."""
    (old,) = running.workers(count=1)
    assert get(running.port()).text == "hello\n"  # its modules are imported
    release = running.home / "sites" / "release 2"
    release.mkdir(mode=0o755)
    (release / "hello.py").write_text(
        (running.folder() / "hello.py").read_text().replace("hello", "moved")
    )
    text = _file(running).read_text()
    _replace(_file(running), text.replace(str(running.folder()), str(release)))

    def is_moved() -> bool:
        answer = get(running.port())
        assert answer.status == 200, answer.text
        return answer.text == "moved\n"

    wait_for("the application of the new folder", is_moved)
    wait_for("the end of the old worker", lambda: old not in running.workers())
    assert wait_event(running, 5080)["app_pool"] == "Pool"


def test_content_beyond_a_worker_s_sandbox_is_served_by_another_one(running):
    """An application that is added to a pool at work, in a folder of its own."""
    folder = running.home / "sites" / "added"
    folder.mkdir(mode=0o755)
    (folder / "x.txt").write_text("added")
    app = '<application path="/" applicationPool="Pool">'
    new = app.replace('path="/"', 'path="/added"')
    content = f'<virtualDirectory path="/" physicalPath="{folder}" /></application>'
    handlers = '<handlers><remove name="app" /></handlers>'
    settings = f"<system.webServer>{handlers}</system.webServer>"
    location = f'<location path="Site/added">{settings}</location>'
    text = _file(running).read_text()
    assert app in text
    text = text.replace(app, f"{new}{content}{app}")
    _replace(_file(running), text.replace("</configuration>", f"{location}</configuration>"))
    wait_for("the added file", lambda: get(running.port(), "/added/x.txt").text == "added")


def test_a_link_that_leads_to_another_folder_is_followed_by_another_worker(start_server):
    """As deployments do it: after a reload what lies there is served, and no request fails."""

    def prepare(home: Path) -> None:
        place("hello.py", folder="one")(home)
        place("hello.py", folder="two")(home)
        program = home / "sites" / "two" / "hello.py"
        program.write_text(program.read_text().replace("hello\\n", "moved\\n"))
        (home / "sites" / "current").symlink_to("one")

    config = simple_config("hello:application", pool=Pool("Pool", **STEADY), folder="current")
    running = start_server(config, prepare)
    assert get(running.port()).text == "hello\n"
    (row,) = running.server.rows("apppools")
    if not row["isolation"]["landlock"]:
        return  # the worker may go where it likes, and has nothing to ask for
    link = running.home / "sites" / "link"
    link.symlink_to("two")
    link.rename(running.home / "sites" / "current")
    assert running.server.command("reload").returncode == 0

    def answer() -> str:
        found = get(running.port())
        assert found.status == 200, found.text
        return found.text

    wait_for("what lies there now", lambda: answer() == "moved\n")


def test_a_module_that_is_added_is_loaded_by_another_worker(running):
    """Wherever its file lies: what globalModules names may be read. No request fails meanwhile."""
    module = running.home / "modules" / "hello.py"
    module.parent.mkdir(mode=0o755)
    module.write_text((SAMPLES / "hello" / "hello.py").read_text())
    section = (
        f'<system.webServer><globalModules><add name="Hello" image="{module}" /></globalModules>'
        '<modules><add name="Hello" /></modules></system.webServer>'
    )
    text = _file(running).read_text()
    assert get(running.port()).text == "hello\n"
    _replace(_file(running), text.replace("</configuration>", f"{section}</configuration>"))

    def answer() -> str:
        found = get(running.port())
        assert found.status == 200, found.text
        return found.text

    wait_for("the module", lambda: answer() == "Hello")
    _replace(_file(running), text)
    wait_for("the application", lambda: answer() == "hello\n")


def test_a_new_application_is_there_when_its_route_is(two):
    """From the moment that the listener sends requests to it, none is refused."""
    text = _file(two).read_text()
    app = '<application path="/" applicationPool="One">'
    assert app in text
    new = app.replace('path="/"', 'path="/new"')
    folder = f'<virtualDirectory path="/" physicalPath="{two.folder()}" /></application>'
    with Wire(two.port("One")) as wire:
        _replace(_file(two), text.replace(app, f"{new}{folder}{app}"))
        end = time.monotonic() + 60
        while " reload_completed" not in two.server.log_text() and time.monotonic() < end:
            assert wire.request("/new/x").status == 200
        for _ in range(20):
            assert wire.request("/new/x").status == 200


def test_without_a_manager_nothing_changes_and_the_next_one_sees_it(running):
    """What was changed meanwhile is in force when the next manager is there."""
    running.expected_exit = None
    text = _file(running).read_text()
    port = running.port()
    os.kill(running.server.pid, signal.SIGKILL)
    running.server.wait_exit()
    _replace(_file(running), _with_version(text, 1))
    assert get(port).field("x-version") == ""
    running.server.start()
    running.expected_exit = 0
    _wait_for_version(running, 1)


# ── web.config files ────────────────────────────────────────────────────────────────────────────

WEB = "<configuration><system.webServer>{}</system.webServer></configuration>"


@pytest.fixture
def static(start_server) -> Running:
    """Two applications of static files, and one program, in one pool."""

    def prepare(home: Path) -> None:
        place("hello.py")(home)
        for folder in ("files", "files/deep", "files/deep/er", "other"):
            path = home / "sites" / folder
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)
            (path / "x.txt").write_text("x")

    sites = Path("{home}") / "sites"
    site = Site(
        "Site",
        (
            Application("/", sites / "files", "Pool"),
            Application("/other", sites / "other", "Pool"),
            Application("/app", sites / "app", "Pool", (wsgi_handler("hello:application"),)),
        ),
    )
    found = start_server(application_host_config([Pool("Pool", **STEADY)], [site]), prepare)
    found.workers(count=1)
    return found


def _version(running: Running, target: str) -> str:
    answer = get(running.port(), target)
    assert answer.status == 200, answer.text
    return answer.field("x-version")


def _wait_for(running: Running, target: str, version: str) -> None:
    wait_for(f"version {version!r} of {target}", lambda: _version(running, target) == version)


def _web_config(running: Running, folder: str, version: object) -> Path:
    file = running.home / "sites" / folder / "web.config"
    _replace(file, WEB.format(HEADER.format(version=version)))
    return file


def test_a_web_config_that_comes_changes_and_goes_is_followed(static):
    """In its folder and below, at once, by the same worker; nowhere else."""
    pids = static.workers(count=1)
    assert _version(static, "/deep/er/x.txt") == ""
    file = _web_config(static, "files/deep", 1)
    _wait_for(static, "/deep/er/x.txt", "1")
    assert _version(static, "/x.txt") == _version(static, "/other/x.txt") == ""
    _web_config(static, "files/deep", 2)
    _wait_for(static, "/deep/x.txt", "2")
    file.unlink()
    _wait_for(static, "/deep/er/x.txt", "")
    _web_config(static, "files", 3)
    for target in ("/x.txt", "/deep/er/x.txt", "/other/x.txt", "/app/"):
        _wait_for(static, target, "3")
    assert static.workers(count=1) == pids
    assert _reloads(static) == 0


def test_what_a_web_config_names_is_followed_as_it_is_itself(static):
    """The file of a configSource: it is missing, comes, changes and goes."""
    static.allow("config_error")
    folder = static.home / "sites" / "files"
    _replace(folder / "web.config", WEB.format('<httpProtocol configSource="deep/own.config" />'))
    wait_for("the missing part", lambda: get(static.port(), "/x.txt").status == 500)
    for version in ("1", "2"):
        _replace(folder / "deep" / "own.config", HEADER.format(version=version))
        wait_for(version, lambda v=version: get(static.port(), "/x.txt").field("x-version") == v)
    (folder / "deep" / "own.config").unlink()
    wait_for("its end", lambda: get(static.port(), "/x.txt").status == 500)


def test_a_web_config_that_another_pool_inherits_is_followed(start_server):
    """The sandbox of its workers knows the file of before: others come, and no request fails."""
    site = Site(
        "Site",
        (
            Application("/", Path("{home}/sites/files"), "Pool"),
            Application(
                "/app", Path("{home}/sites/app"), "Other", (wsgi_handler("hello:application"),)
            ),
        ),
    )

    def prepare(home: Path) -> None:
        place("hello.py")(home)
        place(folder="files")(home)

    pools = [Pool("Pool", **STEADY), Pool("Other", **STEADY)]
    running = start_server(application_host_config(pools, [site]), prepare)
    for version in ("1", "2"):
        _web_config(running, "files", version)
        _wait_for(running, "/app/", version)
    (running.home / "sites" / "files" / "web.config").unlink()
    _wait_for(running, "/app/", "")
    assert all(event["app_pool"] == "Other" for event in events(running, 5080))


def test_a_reload_before_the_worker_that_may_read_what_it_inherits(start_server):
    """Until that one is there, the one that may not goes on as it was. Nobody can fork it yet."""
    sites = Path("{home}") / "sites"
    applications = (
        Application("/", sites / "files", "Pool"),
        Application("/other", sites / "other", "Other"),
    )

    def prepare(home: Path) -> None:
        place(folder="files")(home)
        place(folder="other")(home)
        (home / "sites" / "other" / "x.txt").write_text("x")

    pools = [Pool("Pool", **STEADY), Pool("Other", **STEADY)]
    running = start_server(application_host_config(pools, [Site("Site", applications)]), prepare)
    (old,) = running.workers("Other", count=1)
    assert _version(running, "/other/x.txt") == ""
    forking = {"was: template", "was: spare worker"}

    def find() -> list[int]:
        found = running.server.processes().items()
        pids = [pid for pid, title in found if any(title.startswith(name) for name in forking)]
        return pids if len(pids) == len(forking) else []

    stopped = wait_for("template and spare worker", find)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    _web_config(running, "files", 1)
    log = running.home / "logs" / "pools" / "Other.log"
    wait_for("the change", lambda: "web_config_changed" in log.read_text())
    assert running.server.command("reload").returncode == 0
    assert _version(running, "/other/x.txt") == ""
    assert get(running.port(), "/other/none.txt").status == 404
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    _wait_for(running, "/other/x.txt", "1")
    assert old not in running.workers("Other")
    assert "config_error" not in log.read_text()


def test_a_folder_that_comes_with_a_web_config_is_followed(static):
    """Made in place, or moved there; asked for before it was there."""
    sites = static.home / "sites"
    assert get(static.port(), "/new/x.txt").status == 404
    made = sites / "made"
    made.mkdir()
    made.chmod(0o755)
    (made / "x.txt").write_text("x")
    (made / "web.config").write_text(WEB.format(HEADER.format(version=1)))
    made.rename(sites / "files" / "new")
    wait_for("the folder", lambda: get(static.port(), "/new/x.txt").field("x-version") == "1")
    (sites / "files" / "new").rename(sites / "gone")
    _web_config(static, "gone", 2)
    wait_for("its end", lambda: get(static.port(), "/new/x.txt").field("x-version") == "")
    assert get(static.port(), "/new/x.txt").status == 404


def test_a_broken_web_config_breaks_its_folder_and_nothing_else(static):
    """500.19 with file, line and lines for those on the machine; mended, it serves again."""
    static.allow("config_error")
    file = static.home / "sites" / "files" / "deep" / "web.config"
    _replace(file, WEB.format("\n\n<nonsense a='1' />\n"))
    wait_for("a broken folder", lambda: get(static.port(), "/deep/x.txt").status == 500)
    answer = get(static.port(), "/deep/er/none.txt")
    assert answer.status == 500
    for text in ("500.19", str(file), "line 3", "0x8007000d", "&lt;nonsense a=&#x27;1&#x27; /&gt;"):
        assert text in answer.text
    with Wire(static.port()) as wire:
        distant = wire.request("/deep/x.txt", fields={"X-Forwarded-For": "192.0.2.1"})
    assert distant.status == 500
    assert str(file) not in distant.text
    for target in ("/x.txt", "/other/x.txt", "/app/"):
        assert get(static.port(), target).status == 200
    file.unlink()
    wait_for("a mended folder", lambda: get(static.port(), "/deep/x.txt").status == 200)


def test_a_section_that_is_locked_cannot_be_set_by_a_folder(static):
    """0x80070021 for that folder."""
    static.allow("config_error")
    file = static.home / "sites" / "files" / "deep" / "web.config"
    _replace(file, WEB.format('<httpLogging dontLog="true" />'))
    wait_for("a refusal", lambda: get(static.port(), "/deep/x.txt").status == 500)
    assert "0x80070021" in get(static.port(), "/deep/x.txt").text


def test_programs_for_a_handler_that_is_not_here_are_not_served_as_files(static):
    """500.21, whatever lies there; what the handler is not for is served on."""
    folder = static.home / "sites" / "files" / "deep"
    (folder / "x.php").write_text("<?php secret ?>")
    handler = '<add name="php" path="*.php" verb="*" modules="WebDAVModule" />'
    _replace(folder / "web.config", WEB.format(f"<handlers>{handler}</handlers>"))
    wait_for("a refusal", lambda: get(static.port(), "/deep/x.php").status == 500)
    answer = get(static.port(), "/deep/x.php")
    assert "500.21" in answer.text
    assert "secret" not in answer.text
    assert get(static.port(), "/deep/x.txt").status == 200


def test_another_program_is_run_by_another_worker(static):
    """A web.config that names another scriptProcessor recycles the pool, overlapped."""
    (old,) = static.workers(count=1)
    app = static.home / "sites" / "app"
    (app / "again.py").write_text((app / "hello.py").read_text().replace("hello", "again"))
    handler = wsgi_handler("again:application", name="again")
    _replace(app / "web.config", WEB.format(f"<handlers>{handler}</handlers>"))
    wait_for("the other program", lambda: get(static.port(), "/app/").text == "again\n")
    wait_for("another worker", lambda: static.workers() not in ([], [old]))
    wait_event(static, 5080)
    assert [e["app_pool"] for e in events(static, 5080)] == ["Pool"]


def test_what_is_remembered_of_paths_is_bounded(static):
    """Any number of different paths: the worker answers, and what it keeps is thrown away."""
    _web_config(static, "files/deep", 1)
    with Wire(static.port()) as wire:
        for number in range(9000):
            target = ("/none{}/x", "/none{}", "/deep/none{}")[number % 3].format(number)
            assert wire.request(target).status == 404
    _wait_for(static, "/deep/x.txt", "1")
