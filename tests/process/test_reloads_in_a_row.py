"""What a configuration takes away and the next one gives back, or gives to somebody else."""

import contextlib
import os
import signal

import pytest
from harness.home import Application, Pool, Site, application_host_config, make_home, wsgi_handler
from harness.server import ServerError, WasServer, wait_for
from support.ports import unused_port
from support.running import STEADY, place
from support.wire import Wire, get

HANDLERS = (wsgi_handler("gates:application"),)
# A worker runs one request at a time.
ELEMENTS = {**STEADY["elements"], "python": {"threads": "2"}}


class Home:
    """A server whose sites are written as (name, pool, binding)."""

    def __init__(self, start_server, *sites, **options):
        def prepare(home):
            place("gates.py")(home)
            make_home(home, self._config(home, sites))

        self.running = start_server(None, prepare, **options)
        self.server = self.running.server
        self.data = self.running.folder() / "data"

    def reload(self, *sites):
        """These are all sites now; the pools are theirs."""
        self.write(*sites)
        done = self.server.command("reload")
        assert done.returncode == 0, done.stderr

    def write(self, *sites):
        """They are in the file now."""
        make_home(self.running.home, self._config(self.running.home, sites))

    def sites(self):
        """Their states as `was list` gives them."""
        return {row["name"]: row["state"] for row in self.server.rows("site")}

    @staticmethod
    def _config(home, sites):
        names = dict.fromkeys(pool for _, pool, _ in sites)
        pools = [Pool(name, STEADY["attributes"], ELEMENTS) for name in names]
        return application_host_config(
            pools,
            [
                Site(name, (Application("/", home / "sites" / "app", pool, HANDLERS),), (binding,))
                for name, pool, binding in sites
            ],
        )


@pytest.fixture
def main():
    """A site that is always there."""
    return ("Main", "Alpha", f"127.0.0.1:{unused_port()}:")


@pytest.fixture
def port():
    """The other site's."""
    return unused_port()


def _held(wire, home, method):
    wire.send_request("/held?gate=one", method, b"" if method == "POST" else None)
    wait_for("the request", (home.data / "one.reached").exists)


def test_a_pool_that_comes_back_while_its_old_worker_finishes_serves(start_server, main, port):
    """It was removed with a request in it, and starts again though that worker is still there."""
    binding = f"127.0.0.1:{port}:"
    home = Home(start_server, main, ("Side", "Beta", binding))
    with Wire(port) as wire:
        _held(wire, home, "GET")
        home.reload(main, ("Side", "Alpha", binding))
        assert get(port).status == 200
        home.reload(main, ("Side", "Beta", binding))
        assert get(port).status == 200
        (home.data / "one.open").touch()
        assert wire.read().status == 200
    assert {row["state"] for row in home.server.rows("apppool")} == {"started"}


@pytest.mark.parametrize("is_kept", [True, False])
def test_what_waits_for_an_application_that_moves_is_served(start_server, main, port, is_kept):
    """Neither a request in a queue nor one whose body still comes is refused: they move along.

    Whether the pool that had it is kept or removed.
    """
    binding = f"127.0.0.1:{port}:"
    main = main if not is_kept else (main[0], "Beta", main[2])
    home = Home(start_server, main, ("Side", "Beta", binding))
    with Wire(port) as wire, Wire(port) as waiting, Wire(port) as sending:
        _held(wire, home, "POST")
        waiting.send_request("/", "POST", b"")
        wait_for("the queue", lambda: _states(home) == ["started", "queued"])
        sending.send_request("/", "POST", None, {"Content-Length": "4", "Expect": "100-continue"})
        assert b" 100 " in sending.read_until(b"\r\n\r\n")
        home.reload(main, ("Side", "Gamma", binding))
        assert waiting.read("POST").status == 200
        sending.send(b"half")
        assert sending.read("POST").status == 200
        (home.data / "one.open").touch()
        assert wire.read("POST").status == 200


def test_what_waits_for_a_pool_that_is_gone_when_a_manager_comes_is_served(
    start_server, main, port
):
    """No worker of it is left either: what waits moves all the same."""
    binding = f"127.0.0.1:{port}:"
    home = Home(start_server, main, ("Side", "Beta", binding), launch=WasServer.start_detached)
    before = home.server.status()["manager_pid"]
    (worker,) = home.running.workers("Beta", count=1)
    os.kill(before, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    with Wire(port) as waiting:
        waiting.send_request("/", "POST", b"")
        home.write(main, ("Side", "Gamma", binding))
        os.kill(before, signal.SIGKILL)
        assert waiting.read("POST").status == 200
    wait_for("the next manager", lambda: _ready_manager(home.server) not in (None, before))


def test_a_worker_of_a_removed_pool_outlives_the_manager(start_server, main, port):
    """Its pool is no more; it finishes what it has under the next manager too, and goes."""
    binding = f"127.0.0.1:{port}:"
    sites = main, ("Side", "Beta", binding)
    home = Home(start_server, *sites, launch=WasServer.start_detached)
    before = home.server.status()["manager_pid"]
    with Wire(port) as wire:
        _held(wire, home, "POST")
        home.reload(main, ("Side", "Alpha", binding))
        os.kill(before, signal.SIGKILL)
        wait_for("the next manager", lambda: _ready_manager(home.server) not in (None, before))
        assert get(port).status == 200
        (home.data / "one.open").touch()
        assert wire.read("POST").status == 200
    wait_for("its end", lambda: {row["app_pool"] for row in home.server.rows("wp")} == {"Alpha"})
    wait_for("the pool's", lambda: len(home.server.rows("apppool")) == 1)


@pytest.mark.parametrize("is_busy", [True, False])
def test_a_pool_comes_back_with_the_next_manager(start_server, main, port, is_busy):
    """It was removed, not stopped: when the next manager finds it in the configuration it serves.

    Whether the worker that it had has gone by then or still finishes.
    """
    binding = f"127.0.0.1:{port}:"
    sites = main, ("Side", "Beta", binding)
    home = Home(start_server, *sites, launch=WasServer.start_detached)
    before = home.server.status()["manager_pid"]
    with Wire(port) as wire:
        if is_busy:
            _held(wire, home, "GET")
        home.reload(main, ("Side", "Alpha", binding))
        if not is_busy:
            wait_for("the pool's end", lambda: len(home.server.rows("apppool")) == 1)
        os.kill(before, signal.SIGKILL)
        home.write(*sites)
        wait_for("the next manager", lambda: _ready_manager(home.server) not in (None, before))
        assert get(port).status == 200
        (home.data / "one.open").touch()
        if is_busy:
            assert wire.read().status == 200


@pytest.mark.parametrize(("before", "after"), [("127.0.0.1", "*"), ("*", "127.0.0.1")])
def test_a_binding_changes_its_address_and_keeps_its_port(start_server, main, port, before, after):
    """The kernel has one of both at a time: the new one is bound when the old one is closed."""
    home = Home(start_server, main, ("Side", "Alpha", f"{before}:{port}:"))
    with Wire(port) as wire:
        assert wire.request("/").status == 200
        home.reload(main, ("Side", "Alpha", f"{after}:{port}:"))
        wait_for("the site", lambda: home.sites()["Side"] == "started")
        assert wire.request("/").status == 200
    assert get(port).status == 200


def test_a_further_site_on_all_addresses_of_a_port(start_server, main, port):
    """The one that had one address of that port answers on, and so does the new one."""
    side = ("Side", "Alpha", f"127.0.0.1:{port}:")
    home = Home(start_server, main, side)
    home.reload(main, side, ("Wide", "Alpha", f"*:{port}:"))
    wait_for("both sites", lambda: set(home.sites().values()) == {"started"})
    assert get(port).status == 200


def test_a_port_that_comes_back_before_the_listener_has_closed_it(start_server, main, port):
    """Both reloads come while the listener is stopped: the second one finds the port taken."""
    side = ("Side", "Alpha", f"127.0.0.1:{port}:")
    home = Home(start_server, main, side)
    assert get(port).status == 200
    listener = home.server.status()["listener_pid"]
    os.kill(listener, signal.SIGSTOP)
    try:
        home.reload(main)
        home.reload(main, side)
        assert home.sites()["Side"] == "started"
    finally:
        os.kill(listener, signal.SIGCONT)
    assert get(port).status == 200


def _states(home):
    """How far the requests are that the listener has, in the order in which they came."""
    rows = sorted(home.server.rows("request"), key=lambda row: row["id"])
    return [row["state"] for row in rows]


def _ready_manager(server):
    with contextlib.suppress(ServerError):
        status = server.status()
        return status["manager_pid"] if status.get("is_ready") else None
    return None
