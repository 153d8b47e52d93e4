"""The samples of docs/samples/modules on a real server, and the tutorial's three stories."""

import shutil
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config
from harness.server import wait_for
from support.running import run_server
from support.wire import get

SAMPLES = Path(__file__).resolve().parents[2] / "docs" / "samples" / "modules"
NAMES = ("hello", "counter", "later", "farewell", "answering")
FOLDERS = (*NAMES, "unlisted", "behind")
LISTED = """<configuration><system.webServer><modules><add name="Answering" /></modules>
{}</system.webServer></configuration>"""
BEHIND = """<handlers><add name="answering" path="*" verb="*" requireAccess="Read"
  modules="StaticFileModule,DefaultDocumentModule,DirectoryListingModule,Answering" /></handlers>"""


def prepare(home):
    for name in FOLDERS:
        folder = home / "sites" / name
        if name in NAMES:
            shutil.copytree(SAMPLES / name, folder)
        else:
            folder.mkdir(parents=True)
        (folder / "a.txt").write_text("a file")
    (home / "sites" / "unlisted" / "web.config").write_text(LISTED.format(""))
    (home / "sites" / "behind" / "web.config").write_text(LISTED.format(BEHIND))


@pytest.fixture(scope="module")
def running():
    """One server with an application for each sample; the module is in globalModules only there."""
    pool = Pool("Pool", {"startMode": "AlwaysRunning"}, {})
    sites = Path("{home}") / "sites"
    applications = tuple(
        Application("/" if name == "farewell" else f"/{name}", sites / name, "Pool", (), "")
        for name in FOLDERS
    )
    images = "".join(
        f'<add name="{name.title()}" image="{{home}}/sites/{name}/{name}.py" />' for name in NAMES
    )
    config = application_host_config(
        [pool],
        [Site("Site", applications)],
        f"<system.webServer><globalModules>{images}</globalModules></system.webServer>",
    )
    with run_server(config, prepare) as server:
        yield server


def text(running, path):
    answer = get(running.port(), path)
    return answer.status, answer.text


def test_hello(running):
    """BEGIN_REQUEST is answered; no handler is asked."""
    assert text(running, "/hello/nothing/here") == (200, "Hello")


def test_counter(running):
    """Each response has its number, a file and a 404 alike; other applications have none."""
    numbers = [
        get(running.port(), path).field("x-request-number")
        for path in ("/counter/a.txt", "/counter/missing", "/counter/a.txt", "/a.txt")
    ]
    assert numbers == ["1", "2", "3", ""]


def test_later(running):
    """PENDING, and the completion of another thread."""
    assert text(running, "/later/") == (200, "42, later")


def test_a_handler_in_front(running):
    """`Answering,StaticFileModule,…`: the handler answers, also where there is a file."""
    assert text(running, "/answering/a.txt") == (200, "from the handler")
    assert text(running, "/answering/missing") == (200, "from the handler")


def test_a_handler_needs_its_entry(running):
    """Listed in `modules` alone, a module that only handles is never asked."""
    assert text(running, "/unlisted/a.txt") == (200, "a file")
    assert text(running, "/unlisted/missing")[0] == 404


def test_a_handler_behind_the_file_handler(running):
    """`StaticFileModule,…,Answering`: it is never reached."""
    assert text(running, "/behind/a.txt") == (200, "a file")
    assert text(running, "/behind/missing")[0] == 404


def test_a_global_module_needs_no_entry_in_modules(running):
    """It says when the worker stops listening; requests go their usual way."""
    assert text(running, "/a.txt") == (200, "a file")
    log = running.home / "logs" / "pools" / "Pool.log"
    assert "stop listening" not in log.read_text()
    running.server.command("recycle", "apppool", "Pool")
    wait_for("the farewell", lambda: "stop listening, draining" in log.read_text())
