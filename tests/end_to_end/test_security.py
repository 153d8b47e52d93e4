"""The security modules together, by real requests to one server."""

import contextlib
import threading
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, wsgi_handler
from harness.server import wait_for
from support import credentials
from support.running import run_server
from support.wire import LIMIT_S, Answer, CutShortError, Wire

from was.config.password_hash import digest_hash, hash_password
from was.worker.security.host_names import look_up

WHO = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ.get('REMOTE_USER')} {environ.get('AUTH_TYPE')}".encode()]
"""
DIGEST = digest_hash("eve", "Digest", "secret", "md5")
ASGI = '<add name="asgi" path="*" verb="*" modules="AsgiModule" scriptProcessor="length:asgi" />'
SMALL = (
    "<security><requestFiltering>"
    '<requestLimits maxAllowedContentLength="100000" /></requestFiltering></security>'
)
LENGTH = """def wsgi(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(body)).encode()]

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})
"""
CGI = '<add name="cgi" path="*.cgi" verb="*" modules="CgiModule" />'
WHO_CGI = """#!/bin/sh
echo 'Content-Type: text/plain'
echo
echo "$REMOTE_USER $AUTH_TYPE ${HTTP_AUTHORIZATION-hidden} ${AUTH_PASSWORD-hidden}"
"""
HASH = hash_password("secret")
USERS = f"""<authentication>
  <basicAuthentication enabled="true" realm="test" />
  <users>
    <add name="Ana" passwordHash="{HASH}" roles="staff" />
    <add name="bob" passwordHash="{HASH}" />
    <add name="eve" digestRealm="Digest" digestMD5="{DIGEST}" />
  </users></authentication>"""
ONLY_STAFF = '<authorization><clear /><add accessType="Allow" roles="staff" /></authorization>'
NO_ANONYMOUS = '<authentication><anonymousAuthentication enabled="false" /></authentication>'
ONLY_ANA = '<authorization><clear /><add accessType="Allow" users="ana" /></authorization>'


def _location(path: str, security: str) -> str:
    return (
        f'<location path="{path}"><system.webServer><security>{security}</security>'
        "</system.webServer></location>"
    )


DIGESTS = (
    '<authentication><anonymousAuthentication enabled="false" />'
    '<digestAuthentication enabled="true" /></authentication>'
)
NAMED = (
    '<ipSecurity enableReverseDns="true" allowUnlisted="false">'
    '<add domainName="localhost" allowed="true" /></ipSecurity>'
)
RATE = (
    '<dynamicIpSecurity><denyByRequestRate enabled="true" maxRequests="3" '
    'requestIntervalInMilliseconds="600000" /></dynamicIpSecurity>'
)
# What leads from one URL to another within the server.
DETOURS = """<location path="Site"><system.webServer>
  <defaultDocument><files><clear /><add value="secret.html" /><add value="index.html" /></files>
  </defaultDocument>
  <rewrite><rules>
    <rule name="m"><match url="^to-members$" /><action type="Rewrite" url="members/index.html" />
    </rule>
    <rule name="f"><match url="^to-far$" /><action type="Rewrite" url="far/index.html" /></rule>
    <rule name="w"><match url="^to-staff$" /><action type="Rewrite" url="who/staff" /></rule>
  </rules></rewrite></system.webServer></location>"""
LOCATIONS = [
    DETOURS,
    _location("Site/documents/secret.html", ONLY_ANA),
    _location("Site/known/secret.html", NO_ANONYMOUS),
    _location("Site/busy", RATE),
    _location("Site/named", NAMED),
    _location("Site/digest", DIGESTS),
    _location("Site", USERS),
    _location("Site/members", ONLY_ANA),
    _location("Site/who/staff", ONLY_STAFF),
    _location("Site/one.txt", ONLY_ANA),
    _location("Site/closed", NO_ANONYMOUS),
    _location("Site/far", '<ipSecurity><add ipAddress="127.0.0.0" subnetMask="8" /></ipSecurity>'),
    _location("Site/cut", '<ipSecurity denyAction="AbortRequest" allowUnlisted="false" />'),
]


FOLDERS = ". members closed far cut who busy digest documents known named"


def _prepare(home: Path) -> None:
    root = home / "sites" / "files"
    for folder in FOLDERS.split():
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "index.html").write_text(f"<h1>{folder}</h1>")
    (root / "one.txt").write_text("one")
    for folder in ("documents", "known"):
        (root / folder / "secret.html").write_text("secret")
    (home / "sites" / "who").mkdir()
    (home / "sites" / "who" / "who.py").write_text(WHO)
    (home / "sites" / "length").mkdir()
    (home / "sites" / "length" / "length.py").write_text(LENGTH)
    (home / "sites" / "cgi").mkdir()
    (home / "sites" / "cgi" / "who.cgi").write_text(WHO_CGI)
    (home / "sites" / "cgi" / "who.cgi").chmod(0o755)


@pytest.fixture(scope="module")
def site():
    folder = Path("{home}") / "sites"
    applications = (
        Application("/", folder / "files", "Pool"),
        Application("/who", folder / "who", "Pool", (wsgi_handler("who:application"),)),
        Application("/cgi", folder / "cgi", "Pool", (CGI,)),
        Application("/wsgi", folder / "length", "Streaming", (wsgi_handler("length:wsgi"),), SMALL),
        Application("/asgi", folder / "length", "Streaming", (ASGI,), SMALL),
    )
    config = application_host_config(
        [Pool("Pool"), Pool("Streaming", {}, {"requests": {"streaming": "true"}})],
        [Site("Site", applications)],
        "\n".join(LOCATIONS),
    )
    with run_server(config, _prepare) as running:
        yield running


def ask(site, target: str, fields: dict[str, str] | None = None, method: str = "GET") -> Answer:
    with Wire(site.port()) as wire:
        return wire.request(target, method, fields=fields)


def basic(name: str, password: str = "secret") -> dict[str, str]:
    return {"Authorization": credentials.basic(name, password)}


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
    told = ask(site, "/cgi/who.cgi", fields=basic("Ana"))
    assert told.text == "Ana Basic hidden hidden\n"


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


def test_names_of_addresses(site):
    """A worker finds out what the machine calls its own address, in its sandbox too."""
    is_named = "localhost" in look_up("127.0.0.1")
    assert ask(site, "/named/").status == (200 if is_named else 403)


AROUND = """
    /members /MEMBERS/ /members/index.html /Members/index.html //members/ /./members/
    /x/../members/ /%6dembers/ /m%65mbers/index.html /members%2f /members%2findex.html
    \\members\\index.html /members/./index.html /%2e/members/ /members/%2e%2e/members/
    /members/index.html;x=1 /one.txt /one.txt/ /One.txt /one.txt?x /one%2etxt
    /%u006dembers/ /%u006D%65mbers/index.html /to-members /TO-MEMBERS /to-staff
    /documents/secret.html http://other/members/ http://x:1/one.txt
    /who/%73taff /who/STAFF /who//staff /who/staff/%2e%2e/staff
"""


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PROPFIND"])
def test_ways_around(site, method):
    """No spelling, no verb and no way within the server gets more than 401 (or no such URL)."""
    answers = {path: ask(site, path, method=method).status for path in AROUND.split()}
    assert not {path: s for path, s in answers.items() if s not in (301, 400, 401, 404)}


def test_ways_for_who_may(site):
    """The same ways are open to those who are meant."""
    ana = basic("ana")
    assert [ask(site, "/documents/", method=m).status for m in ("GET", "HEAD")] == [401] * 2
    assert ask(site, "/documents/", fields=ana).text == "secret"
    assert ask(site, "/known/").status == 401
    assert ask(site, "/known/", fields=ana).text == "secret"
    assert ask(site, "/to-members", fields=ana).text == "<h1>members</h1>"
    assert ask(site, "/to-staff", fields=ana).text == "Ana Basic"
    assert ask(site, "/to-far", fields=ana).status == 403


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize(("pieces", "status"), [(10, 200), (15, 413)])
def test_a_body_in_pieces(site, kind, pieces, status):
    """maxAllowedContentLength holds for a body that nobody knows the length of."""
    site.allow("application_error")
    head = f"POST /{kind}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    piece = b"2710\r\n" + b"x" * 10000 + b"\r\n"
    with Wire(site.port()) as wire:
        with contextlib.suppress(ConnectionError):
            wire.send(head + piece * pieces + b"0\r\n\r\n")
        assert wire.read("POST").status == status


def test_old_clients(site):
    """HTTP/1.0, with and without Host, and a request line that names another host."""
    for head in (
        b"GET /members/ HTTP/1.0\r\n\r\n",
        b"GET /one.txt HTTP/1.0\r\nHost: x\r\n\r\n",
        b"GET http://x/one.txt HTTP/1.1\r\nHost: y\r\n\r\n",
    ):
        with Wire(site.port()) as wire:
            wire.send(head)
            assert wire.read().status in (400, 401), head


def test_fields_that_claim_a_user(site):
    """Nothing a client says but Authorization makes a user."""
    claims = {"REMOTE_USER": "Ana", "Remote-User": "Ana", "X-Remote-User": "Ana"}
    claims |= {"LOGON_USER": "Ana", "Auth-User": "Ana", "X-Original-URL": "/index.html"}
    assert ask(site, "/who", fields=claims).text == "None None"
    assert ask(site, "/members/", fields=claims).status == 401


def test_digest(site):
    """A client that answers a challenge is let in, once for each count."""
    refused = ask(site, "/digest/")
    assert refused.status == 401
    digest, basics = refused.all("www-authenticate")
    assert basics.startswith("Basic ")
    said = {"Authorization": credentials.digest(digest, "eve", "secret", "/digest/")}
    assert ask(site, "/digest/", fields=said).text == "<h1>digest</h1>"
    again = ask(site, "/digest/", fields=said)
    assert again.status == 401
    assert "stale=true" in again.field("www-authenticate")


def test_rate(site):
    """denyByRequestRate: beyond the limit 403, for this part of the site."""
    assert [ask(site, "/busy/").status for _ in range(5)] == [200] * 3 + [403] * 2
    assert ask(site, "/").status == 200


def test_what_the_log_says(site):
    """Status, sub-status, win32 status and the user's name in the request log."""
    ask(site, "/members/?logged", fields=basic("ana", "wrong"))
    ask(site, "/members/?logged", fields=basic("ana"))
    ask(site, "/far/?logged")

    def lines() -> list[list[str]]:
        texts = [f.read_text() for f in (site.home / "logs").glob("W3SVC1/*.log")]
        return [line.split() for text in texts for line in text.splitlines() if " logged " in line]

    found = wait_for("three lines", lambda: got if len(got := lines()) == 3 else [])
    # s-port cs-username c-ip; sc-status sc-substatus sc-win32-status time-taken
    assert [(line[7], line[-4:-1]) for line in found] == [
        ("-", ["401", "1", "1326"]),
        ("Ana", ["200", "0", "0"]),
        ("-", ["403", "6", "5"]),
    ]


def test_guesses_hold_up_nobody(site):
    """While passwords are being checked, other requests are answered."""
    left = threading.Semaphore(0)

    def guess(number: int) -> None:
        ask(site, "/members/", fields=basic("ana", f"guess {number}"))
        left.release()

    threads = [threading.Thread(target=guess, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    assert left.acquire(timeout=LIMIT_S)
    assert all(ask(site, "/index.html").status == 200 for _ in range(10))
    before = sum(left.acquire(blocking=False) for _ in threads)
    assert before < len(threads) - 1
    for thread in threads:
        thread.join(LIMIT_S)
