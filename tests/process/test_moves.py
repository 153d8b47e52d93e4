"""Applications that come to a pool at work: nobody is answered by a worker that cannot run them."""

import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.home import (
    Application,
    Pool,
    Site,
    application_host_config,
    place_application,
    wsgi_handler,
)
from harness.server import WasServer, wait_for
from support.files import replace_text
from support.running import STEADY
from support.wire import Wire, get

from was import faults

CODE = """
import os

def application(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["POOL"].encode()]
"""
POOLS = ("One", "Two")
REQUESTS = (("{}.run", "GET", None), ("x.txt", "GET", None), ("{}.run", "POST", b"x" * 100_000))
MOVED = '<application path="/moved" applicationPool="{}">'


def _handler(module):
    # Each of its own name: an application has those of the root as well.
    return wsgi_handler(f"{module}:application", path=f"{module}.run", name=module)


def _config(size=1):
    """A site with / and /moved, both of pool One; pool Two has nothing to run."""
    pools = [
        Pool(
            name,
            STEADY["attributes"],
            {"isolation": {}, "processModel": {"maxProcesses": str(size)}, **STEADY["elements"]},
            f'<environmentVariables><add name="POOL" value="{name}" /></environmentVariables>',
        )
        for name in POOLS
    ]
    folder = Path("{home}") / "sites"
    applications = tuple(
        Application(path, folder / module, "One", (_handler(module),))
        for path, module in (("/", "root"), ("/moved", "moved"))
    )
    return application_host_config(pools, [Site("Site", applications)])


def _prepare(home):
    for module in ("root", "moved", "new"):
        folder = place_application(home / "sites" / module)
        (folder / f"{module}.py").write_text(CODE)
        (folder / "x.txt").write_text("static")


def _file(running):
    return running.home / "config" / "applicationHost.config"


@pytest.fixture(params=[1, 2])
def garden(request, start_server):
    """A server whose pools have one worker each, or two."""
    running = start_server(_config(request.param), _prepare)
    for pool in POOLS:
        running.workers(pool, count=request.param)
    return running


@contextmanager
def asked(port, name, first=200, file=""):
    """GETs and POSTs, of code and of files, one after the other on each of four connections.

    For the application `name`, by its handler of the same name or of `file`; "root" is that of /.
    All are 200; until a connection's first one `first` may be the answer as well.
    """
    over, refused = threading.Event(), []
    path = "" if name == "root" else f"/{name}"

    def ask():
        expected = {200, first}
        with Wire(port) as wire:
            while not over.is_set():
                for pattern, method, body in REQUESTS:
                    target = f"{path}/{pattern.format(file or name)}"
                    answer = wire.request(target, method, body)
                    if answer.status not in expected:
                        refused.append((target, answer.status, answer.text))
                    if answer.status == 200:
                        expected = {200}

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert refused == []


def test_an_application_that_moves_is_answered_throughout(garden):
    """To and fro between two pools: no worker of either refuses it, or runs it in vain."""
    port, text = garden.port(), _file(garden).read_text()
    assert MOVED.format("One") in text
    with asked(port, "moved"):
        for pool in ("Two", "One", "Two"):
            replace_text(_file(garden), text.replace(MOVED.format("One"), MOVED.format(pool)))
            wait_for(f"an answer of {pool}", lambda p=pool: _pool_that_answers(port) == p)


def _pool_that_answers(port):
    return get(port, "/moved/moved.run").text


def test_an_application_that_is_new_in_a_pool_at_work(garden):
    """Till then there is nothing at its URL; from then on it answers."""
    port, text = garden.port(), _file(garden).read_text()
    begin, end = text.index("<application "), text.index("</application>") + len("</application>")
    added = text[begin:end].replace('path="/"', 'path="/new"', 1)
    added = added.replace("sites/root", "sites/new").replace('"One"', '"Two"')
    location = (
        f'<location path="Site/new"><system.webServer><handlers>{_handler("new")}</handlers>'
        "</system.webServer></location></configuration>"
    )
    with asked(port, "new", first=404), asked(port, "moved"):
        new = text[:end] + added + text[end:]
        replace_text(_file(garden), new.replace("</configuration>", location))
        wait_for("the new application", lambda: get(port, "/new/new.run").text == "Two")


def test_an_application_comes_with_a_module_that_its_pool_must_load(garden):
    """globalModules and a move at once: whom no worker knows yet waits for those that will."""
    port, text = garden.port(), _file(garden).read_text()
    module = '<add name="More" image="was.worker.modules.static_file" />'
    section = f"<system.webServer><globalModules>{module}</globalModules></system.webServer>"
    with asked(port, "moved"), asked(port, "root"):
        text = text.replace(MOVED.format("One"), MOVED.format("Two"))
        text = text.replace("</configuration>", f"{section}</configuration>")
        replace_text(_file(garden), text)
        wait_for("an answer of Two", lambda: _pool_that_answers(port) == "Two")


@pytest.mark.parametrize("point", ["manager.spawned", "manager.reloading", "manager.activating"])
def test_the_next_manager_ends_what_the_last_one_began(start_server, point):
    """It is killed in the midst of a move: nobody is refused before or after, and it is done."""

    def prepare(home):
        _prepare(home)
        (home / "run").mkdir()
        (home / "run" / "faults").touch()

    running = start_server(_config(), prepare, launch=WasServer.start_detached)
    for pool in POOLS:
        running.workers(pool, count=1)
    port, text = running.port(), _file(running).read_text()
    points = faults.map_points(running.home)
    with asked(port, "moved"), asked(port, "root"):
        points[faults.POINTS.index(point)] = 1
        replace_text(_file(running), text.replace(MOVED.format("One"), MOVED.format("Two")))
        wait_for("the end at that point", lambda: not points[faults.POINTS.index(point)])
        wait_for("an answer of Two", lambda: _pool_that_answers(port) == "Two")
    points.release()


def test_applications_change_places_in_pools_without_a_sandbox(start_server):
    """Each has a module of the name that the other one's workers have imported another of."""
    elements = {**STEADY["elements"], "processModel": {"identityType": "LocalSystem"}}
    pools = [Pool(name, STEADY["attributes"], elements) for name in POOLS]

    def prepare(home):
        for name in ("root", "moved"):
            folder = place_application(home / "sites" / name)
            (folder / "root.py").write_text(CODE.replace('os.environ["POOL"]', repr(name)))
            (folder / "x.txt").write_text("static")

    folder = Path("{home}") / "sites"
    applications = (
        Application("/", folder / "root", "One", (_handler("root"),)),
        Application("/moved", folder / "moved", "Two", ()),
    )
    running = start_server(application_host_config(pools, [Site("Site", applications)]), prepare)
    port, text = running.port(), _file(running).read_text()
    old = {pool: running.workers(pool, count=1) for pool in POOLS}
    swapped = text.replace('Pool="One"', 'Pool="-"').replace('Pool="Two"', 'Pool="One"')
    with asked(port, "root"), asked(port, "moved", file="root"):
        replace_text(_file(running), swapped.replace('Pool="-"', 'Pool="Two"'))
        for pool in POOLS:
            wait_for("another worker", lambda p=pool: running.workers(p, count=1) != old[p])
    assert get(port, "/root.run").text == "root"
    assert get(port, "/moved/root.run").text == "moved"
