"""Applications whose handler names the module for those of the other kind."""

from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config
from support.running import run_server
from support.wire import get

APPS = """
def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"hi"]

class Asgi:
    async def __call__(self, scope, receive, send):
        pass

asgi = Asgi()

def mistaken(environ, start_response):
    return int(None)
"""
HANDLERS = {
    "/a": ("AsgiModule", "apps:wsgi"),
    "/w": ("WsgiModule", "apps:asgi"),
    "/m": ("WsgiModule", "apps:mistaken"),
}


@pytest.fixture(scope="module")
def running():
    handlers = tuple(
        f'<add name="{path[1:]}" path="{path}" verb="*" modules="{module}" '
        f'scriptProcessor="{reference}" />'
        for path, (module, reference) in HANDLERS.items()
    )
    folder = Path("{home}") / "sites" / "app"
    site = Site("Site", (Application("/", folder, "Pool", handlers),))

    def place(home):
        (home / "sites" / "app").mkdir(parents=True)
        (home / "sites" / "app" / "apps.py").write_text(APPS)

    with run_server(application_host_config([Pool("Pool")], [site]), place) as running:
        running.allow("application_error")
        yield running


def _errors(running, path: str) -> list[str]:
    """What the worker logged of its application's failures."""
    log = (running.home / "logs" / "pools" / "Pool.log").read_text()
    marks = " application_error ", f"application={HANDLERS[path][1]} "
    return [line for line in log.splitlines() if all(mark in line for mark in marks)]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/a", "if it is a WSGI application, its handler is to have modules='WsgiModule'"),
        ("/w", "if it is an ASGI application, its handler is to have modules='AsgiModule'"),
    ],
)
def test_the_module_that_would_serve_it_is_named(running, path, says):
    """In the line of the log, beside what Python says; 500 as for any other error."""
    assert get(running.port(), path).status == 500
    (error,) = _errors(running, path)
    assert says in error


def test_an_application_s_own_error_is_left_as_it_is(running):
    """A TypeError from within it says nothing of its kind."""
    assert get(running.port(), "/m").status == 500
    (error,) = _errors(running, "/m")
    assert "is to have modules" not in error
