"""What modules attach to client connections lasts as long as the connection, whoever ends it."""

import os
import signal
from collections.abc import Callable

from harness.server import wait_for
from support.pools import calm_pool
from support.running import Running, place, simple_config
from support.wire import Wire

Start = Callable[..., Running]

MODULE = (
    "<system.webServer><globalModules>"
    '<add name="Visits" image="{home}/sites/app/visits.py" />'
    "</globalModules></system.webServer>"
)


def start(start_server: Start) -> Running:
    """One site with the module that counts the requests of each connection."""
    config = simple_config(
        "hello:application",
        pool=calm_pool(),
        sections='<modules><add name="Visits" /></modules>',
        extra=MODULE,
    )
    return start_server(config, place("hello.py", "visits.py"))


def notes(running: Running) -> list[str]:
    """How connections have ended."""
    file = running.folder() / "data" / "visits"
    return file.read_text().splitlines() if file.exists() else []


def ask(wire: Wire, **fields: str) -> str:
    """One request on the connection."""
    return wire.request(fields=fields).text


def test_contexts_of_connections(start_server):
    """Two requests of one connection share a context, another connection has its own. When the
    client goes, notify_disconnect comes, then the clean-up, each once; when the server closes, or
    the worker ends, the clean-up alone."""
    running = start(start_server)
    with Wire(running.port()) as first, Wire(running.port()) as second:
        assert [ask(first), ask(second), ask(first)] == ["1 1", "2 1", "1 2"]
        assert notes(running) == []
        first.socket.close()
        wait_for("its end", lambda: notes(running) == ["1 disconnect", "1 cleanup"])
        assert ask(second, Connection="close") == "2 2"
        wait_for("its end", lambda: notes(running)[2:] == ["2 cleanup"])
    with Wire(running.port()) as third:
        assert ask(third) == "3 1"
        assert running.server.command("recycle", "apppool", "Pool", "--wait").returncode == 0
        wait_for("the worker's end", lambda: notes(running)[3:] == ["3 cleanup"])
        assert ask(third) == "1 1"  # in the new worker nobody knows it


def test_a_listener_that_dies_takes_its_connections_along(start_server):
    """The client has gone, as far as the worker can tell."""
    running = start(start_server)
    running.allow("listener_died")
    with Wire(running.port()) as wire:
        assert ask(wire) == "1 1"
        os.kill(running.server.status()["listener_pid"], signal.SIGKILL)
        wait_for("its end", lambda: notes(running) == ["1 disconnect", "1 cleanup"])
