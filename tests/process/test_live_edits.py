"""Edits while the server runs: in force, kept, and secrets only where they are needed."""

import hashlib
import os
from pathlib import Path

from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from harness.server import wait_for
from support.running import STEADY, place, simple_config
from support.wire import get

from was.config.changes import AddItem, Place
from was.config.writing import change_server
from was.ipc.endpoints import Home

HEADERS = "system.webServer/httpProtocol"
FOLDER = Path("{home}") / "sites" / "app"
USERS = "system.webServer/security/authentication/users"


def _file(running):
    return running.home / "config" / "applicationHost.config"


def _wait_for_header(running, value):
    wait_for(
        f"X-Edited: {value}",
        lambda: get(running.port()).field("x-edited") == value,
    )


def test_an_edit_is_in_force_and_kept(start_server):
    """The server sees it by itself, and both versions are in the history; no worker goes."""
    running = start_server(
        simple_config("hello:application", pool=Pool("Pool", **STEADY)), place("hello.py")
    )
    pids = running.workers(count=1)
    before = _file(running).read_bytes()
    headers = Place(HEADERS, "", ("customHeaders",))
    change_server(_file(running), [AddItem(headers, {"name": "X-Edited", "value": "server"})])
    _wait_for_header(running, "server")
    kept = sorted((running.home / "config" / "history").glob("*/applicationHost.config"))
    assert [path.read_bytes() for path in kept[-2:]] == [before, _file(running).read_bytes()]
    assert running.workers(count=1) == pids


def _secret_of(name):
    return hashlib.md5(name.encode()).hexdigest()


def test_a_worker_is_given_its_own_secrets_alone(start_server):
    """In plain text in its pool's file, which is the pool's; encrypted in the server's."""
    sites = [
        Site(
            name,
            (Application("/", FOLDER, name, (wsgi_handler("hello:application"),)),),
        )
        for name in ("one", "two")
    ]
    pools = [Pool(name, **STEADY) for name in ("one", "two")]
    running = start_server(application_host_config(pools, sites), place("hello.py"))
    for name in ("one", "two"):
        running.workers(name, count=1)
        user = {"name": "ana", "digestRealm": "r", "digestMD5": _secret_of(name)}
        change_server(_file(running), [AddItem(Place(USERS, name), user)])
    home = Home(running.home)
    for name, other in (("one", "two"), ("two", "one")):
        file = home.pool_config(name)
        assert _secret_of(name) not in _file(running).read_text()
        wait_for(f"the secret of {name}", lambda f=file, n=name: _secret_of(n) in f.read_text())
        assert _secret_of(other) not in file.read_text()
        assert os.stat(file).st_mode & 0o777 == 0o440
    assert os.stat(running.home / "config" / "secrets.key").st_mode & 0o777 == 0o600
