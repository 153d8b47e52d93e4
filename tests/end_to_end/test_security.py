"""The security modules together, by real requests to one server."""

import base64
import contextlib
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from support.running import run_server
from support.wire import Answer, CutShortError, Wire

from was.config.password_hash import hash_password

WHO = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ.get('REMOTE_USER')} {environ.get('AUTH_TYPE')}".encode()]
"""
HASH = hash_password("secret")
USERS = f"""<authentication>
  <basicAuthentication enabled="true" realm="test" />
  <users>
    <add name="Ana" passwordHash="{HASH}" roles="staff" />
    <add name="bob" passwordHash="{HASH}" />
  </users></authentication>"""
ONLY_STAFF = '<authorization><clear /><add accessType="Allow" roles="staff" /></authorization>'
NO_ANONYMOUS = '<authentication><anonymousAuthentication enabled="false" /></authentication>'
ONLY_ANA = '<authorization><clear /><add accessType="Allow" users="ana" /></authorization>'


def _location(path: str, security: str) -> str:
    return (
        f'<location path="{path}"><system.webServer><security>{security}</security>'
        "</system.webServer></location>"
    )


LOCATIONS = [
    _location("Site", USERS),
    _location("Site/members", ONLY_ANA),
    _location("Site/who/staff", ONLY_STAFF),
    _location("Site/one.txt", ONLY_ANA),
    _location("Site/closed", NO_ANONYMOUS),
    _location("Site/far", '<ipSecurity><add ipAddress="127.0.0.0" subnetMask="8" /></ipSecurity>'),
    _location("Site/cut", '<ipSecurity denyAction="AbortRequest" allowUnlisted="false" />'),
]


def _prepare(home: Path) -> None:
    root = home / "sites" / "files"
    for folder in ("", "members", "closed", "far", "cut", "who"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "index.html").write_text(f"<h1>{folder}</h1>")
    (root / "one.txt").write_text("one")
    (home / "sites" / "who").mkdir()
    (home / "sites" / "who" / "who.py").write_text(WHO)


@pytest.fixture(scope="module")
def site():
    folder = Path("{home}") / "sites"
    applications = (
        Application("/", folder / "files", "Pool"),
        Application("/who", folder / "who", "Pool", (wsgi_handler("who:application"),)),
    )
    config = application_host_config(
        [Pool("Pool")], [Site("Site", applications)], "\n".join(LOCATIONS)
    )
    with run_server(config, _prepare) as running:
        yield running


def ask(site, target: str, fields: dict[str, str] | None = None, method: str = "GET") -> Answer:
    with Wire(site.port()) as wire:
        return wire.request(target, method, fields=fields)


def basic(name: str, password: str = "secret") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def test_members(site):
    """401.2 and a challenge without credentials, 401.1 with wrong ones, the page for whom it is."""
    refused = ask(site, "/members/")
    assert refused.status == 401
    assert refused.field("www-authenticate") == 'Basic realm="test", charset="UTF-8"'
    assert ask(site, "/members/", fields=basic("ana", "wrong")).status == 401
    assert ask(site, "/members/", fields=basic("bob")).status == 401
    assert ask(site, "/members/", fields=basic("ana")).text == "<h1>members</h1>"


def test_who(site):
    """An application is told who it is; nobody for the anonymous user."""
    assert ask(site, "/who").text == "None None"
    assert ask(site, "/who", fields=basic("ANA")).text == "Ana Basic"
    assert ask(site, "/who/staff", fields=basic("ana")).text == "Ana Basic"
    assert ask(site, "/who/staff/x", fields=basic("bob")).status == 401


def test_no_anonymous_user(site):
    """anonymousAuthentication off: 401.2, and the page for any user."""
    assert ask(site, "/closed/").status == 401
    assert ask(site, "/closed/", fields=basic("bob")).status == 200


def test_addresses(site):
    """403 by address, whatever X-Forwarded-For says; a connection that is cut."""
    assert ask(site, "/far/").status == 403
    assert ask(site, "/far/", fields={"X-Forwarded-For": "8.8.8.8"}).status == 403
    with contextlib.suppress(CutShortError):
        pytest.fail(f"answered {ask(site, '/cut/').status}")


AROUND = """
    /members /MEMBERS/ /members/index.html /Members/index.html //members/ /./members/
    /x/../members/ /%6dembers/ /m%65mbers/index.html /members%2f /members%2findex.html
    \\members\\index.html /members/./index.html /%2e/members/ /members/%2e%2e/members/
    /members/index.html;x=1 /one.txt /one.txt/ /One.txt /one.txt?x /one%2etxt
    /who/%73taff /who/STAFF /who//staff /who/staff/%2e%2e/staff
"""


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PROPFIND"])
def test_ways_around(site, method):
    """No spelling of a protected path, and no verb, gets more than 401 (or no such URL)."""
    answers = {path: ask(site, path, method=method).status for path in AROUND.split()}
    assert not {path: s for path, s in answers.items() if s not in (400, 401, 404)}
