"""Extensions and filters that use pywin32's `isapi` as its own samples do, in a real worker."""

import shutil
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from harness.server import wait_for
from support.isapi import ALLOW_ALL, SOURCES, isapi_handler
from support.running import run_server
from support.wire import Wire, get

UPSTREAM = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-From", "upstream")])
    for number in range(5):
        yield f"{environ['PATH_INFO']} {number} ".encode() * 1000
"""
FILTER = '<isapiFilters><filter name="f" path="{home}/sites/moves/moves_in.py" /></isapiFilters>'
QUERIES = (
    '<security><requestFiltering><requestLimits maxQueryString="9000" /></requestFiltering>'
    "</security>"
)


def config() -> str:
    """A site for each file, in one pool; what is passed on goes to another pool."""
    home = Path("{home}") / "sites"
    pools = [Pool("Pool", {}, {"failure": {"rapidFailProtection": "false"}}), Pool("Upstream")]
    kinds = {"Passes": "passes_on.py", "Reloads": "reloads.py", "Moves": "moves_in.py"}
    sites = [
        Site(
            "Upstream",
            (Application("/", home / "up", "Upstream", (wsgi_handler("up:application"),)),),
        )
    ]
    for name, file in kinds.items():
        folder = home / name.lower()
        handler = isapi_handler("*", file, 'requireAccess="None"').replace(
            "sites/app", f"sites/{name.lower()}"
        )
        sections = FILTER + QUERIES if name == "Moves" else ""
        sites.append(Site(name, (Application("/", folder, "Pool", (handler,), sections),)))
    return application_host_config(pools, sites, ALLOW_ALL)


def place(home: Path) -> None:
    """Each file in its site's folder."""
    for source in (SOURCES / "pywin32").glob("*.py"):
        folder = home / "sites" / source.stem.partition("_")[0]
        (folder / "data").mkdir(parents=True)
        shutil.copy(source, folder)
    (home / "sites" / "up" / "data").mkdir(parents=True)
    (home / "sites" / "up" / "up.py").write_text(UPSTREAM)
    (home / "sites" / "passes" / "plain.txt").write_text("a file")


@pytest.fixture(scope="module")
def running():
    """One server for the whole file."""
    with run_server(config(), place) as server:
        yield server


def pool_log(running) -> str:
    """What the extensions have printed."""
    return (running.home / "logs" / "pools" / "Pool.log").read_text()


@pytest.mark.parametrize("path", ["/quickly", "/slowly"])
def test_what_another_server_says_is_passed_on(running, path):
    """In one write, or each block when the one before has gone; the coding is not passed on."""
    port = str(running.port("Upstream"))
    expected = get(running.port("Upstream"), path)
    answer = get(running.port("Passes"), path, X_Port=port)
    assert (answer.status, answer.field("x-from")) == (200, "upstream")
    # What the other server says of its connection is said of this one.
    assert (answer.body == expected.body, answer.will_close) == (True, True)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/plain.txt", 200, "200.0 ERROR_SUCCESS"),
        ("/none.txt", 404, "404.0 ERROR_FILE_NOT_FOUND"),
    ],
)
def test_what_is_not_wanted_goes_to_the_next_handler(running, path, status, said):
    """ExecURL from a pool's thread; its callback is told what came of it."""
    answer = get(running.port("Passes"), path)
    assert answer.status == status
    assert status != 200 or answer.text == "a file"
    wait_for("the callback", lambda: f"{path} {said}\n" in pool_log(running))


def test_an_error_in_dispatch_is_shown(running):
    """No X-Port: the exception's text for who asks from the machine itself."""
    answer = get(running.port("Passes"), "/quickly")
    assert (answer.status, "HTTP_X_PORT" in answer.text) == (500, True)


def test_a_changed_file_is_loaded_anew(running):
    """Its own watcher sees it; the module keeps what it had; the first object is terminated."""
    port, file = running.port("Reloads"), running.folder("reloads") / "reloads.py"
    assert get(port, "/").text == f"1 {file.parent}/\n"
    transmitted = get(port, "/source")
    assert (transmitted.body, transmitted.will_close) == (file.read_bytes(), True)
    file.write_text(file.read_text() + "# changed\n")
    wait_for("the second load", lambda: get(port, "/").text.startswith("2 "))
    assert pool_log(running).count("the watcher ends") == 1
    assert get(port, "/source").body.endswith(b"# changed\n")


def test_a_filter_moves_requests_to_the_extension_of_its_file(running):
    """One module for both; counted for each connection."""
    with Wire(running.port("Moves")) as wire:
        for number in ("1", "2"):
            answer = wire.request("/unknown")
            assert (answer.text, answer.field("x-moved")) == ("True", number)
        assert wire.request("/text").text == "True"
        moved = wire.request("/long")
        assert moved.status == 301
        location = moved.field("location")
        assert wire.request(location).text == "8500"
        assert wire.request("/inner/again").text == "2"


def test_an_ill_extension_has_its_worker_replaced(running):
    """The request is answered first; the last test of this server."""
    before = running.workers("Pool", 1)
    assert get(running.port("Reloads"), "/ill").status == 200
    wait_for("another worker", lambda: (now := running.workers("Pool")) and now != before)
    assert get(running.port("Reloads"), "/").status == 200
