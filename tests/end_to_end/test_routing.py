"""Which site answers: host names, addresses and ports of the bindings."""

from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from support.ports import unused_port
from support.running import run_server
from support.wire import get

APP = """def application(environ, start_response):
    body = b"{name}"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def _prepare(home: Path) -> None:
    for name in ("alpha", "beta", "rest"):
        folder = home / "sites" / name
        folder.mkdir(parents=True)
        (folder / f"{name}_app.py").write_text(APP.format(name=name))


def _site(name: str, binding: str) -> Site:
    folder = Path("{home}") / "sites" / name
    handler = wsgi_handler(f"{name}_app:application")
    return Site(name, (Application("/", folder, "Pool", (handler,)),), (binding,))


@pytest.fixture(scope="module")
def port():
    number = unused_port()
    sites = [
        _site("alpha", f"127.0.0.1:{number}:alpha.test"),
        _site("beta", f"127.0.0.1:{number}:*.beta.test"),
        _site("rest", f"127.0.0.1:{number}:"),
    ]
    with run_server(application_host_config([Pool("Pool")], sites), _prepare):
        yield number


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("alpha.test", "alpha"),
        ("ALPHA.test:80", "alpha"),
        ("x.beta.test", "beta"),
        ("other.test", "rest"),
        ("127.0.0.1", "rest"),
    ],
)
def test_the_host_field_chooses_the_site(port, host, site):
    """An exact host name goes before a wildcard, a wildcard before none; case is ignored."""
    assert get(port, Host=host).text == site


def test_a_host_without_a_site_is_refused():
    """Where every binding has a host name, any other name is refused by the listener."""
    number = unused_port()
    sites = [_site("alpha", f"127.0.0.1:{number}:alpha.test")]
    with run_server(application_host_config([Pool("Pool")], sites), _prepare):
        assert get(number, Host="alpha.test").text == "alpha"
        answer = get(number, Host="other.test")
        assert answer.status in {400, 404}
