"""The samples of docs/samples/filters: each does its task for real requests.

Each filter has a site of its own, all of them in one worker process.
"""

import gzip
import hashlib
import hmac
import runpy
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from harness.home import (
    Application,
    Pool,
    Site,
    application_host_config,
    asgi_handler,
    wsgi_handler,
)
from harness.server import wait_for
from support.credentials import basic
from support.isapi import FILTERS, compile_extension
from support.running import run_server
from support.wire import Wire, get

from was.config.password_hash import hash_password

KEY = bytes(range(32))
PAGE = "<!doctype html><body>" + "a page " * 20_000 + "</body>"
# Says what it was told of the user.
TELLS = """import json

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    context = environ["iis.context"]
    told = {name: value for name, value in environ.items() if name.startswith("HTTP_X_USER")}
    told["path"] = environ["PATH_INFO"]
    told["language"] = environ.get("HTTP_ACCEPT_LANGUAGE")
    told["account"] = context.user.user_name
    told["sent"] = context.get_server_variable("UNMAPPED_REMOTE_USER")
    return [json.dumps(told).encode()]
"""
# Pages that come in parts.
STREAMS = """def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    for number in range(5):
        yield b"part %d " % number * 1000
    yield b"</body>"

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    head = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for part in wsgi({}, lambda *_: None):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})
"""
BASIC = (
    '<security><authentication><anonymousAuthentication enabled="false" />'
    '<basicAuthentication enabled="true" /></authentication></security>'
)
TEXT = '<staticContent><mimeMap fileExtension=".asp" mimeType="text/plain" /></staticContent>'
# Sample: what else its site needs, and whether an application answers there.
SAMPLES = {
    "language.py": ("", True),
    "aspx_from_asp.py": (TEXT, False),
    "by_host.py": ("", False),
    "by_host.c": ("", False),
    "partners.py": (BASIC, True),
    "signed_user.py": (BASIC, True),
    "footer.py": ("", False),
    "stamp.c": ("", False),
    "denied.py": (BASIC, False),
    "slow.py": ("", False),
    "visits.py": ("", False),
    "visits.c": ("", False),
    "private_log.py": ("", False),
    "own_users.py": ("", True),
    "compress.py": ("", False),
    "encrypt.c": ("", False),
}
VARIABLES = {
    "PARTNER_PASSWORD": "secret",
    "USER_KEY": "a key",
    "SLOW_MS": "0",
    "FILTER_KEY": KEY.hex(),
}
USERS = "".join(
    f'<add name="{name}" passwordHash="{hash_password("secret")}" />' for name in ("partner", "ana")
)


def site(sample: str) -> Site:
    """A site for one sample."""
    more, is_application = SAMPLES[sample]
    file = f"{{home}}/filters/{sample}".replace(".c", ".so")
    section = f'{more}<isapiFilters><filter name="{sample}" path="{file}" /></isapiFilters>'
    handlers = (wsgi_handler("tells:application"),) if is_application else ()
    folder = Path("{home}") / "sites" / "app"
    return Site(sample, (Application("/", folder, "Pool", handlers, section),))


def streams() -> Site:
    """A site of two filters, before applications that send a page in parts."""
    entries = "".join(
        f'<filter name="{name}" path="{{home}}/filters/{name}" />'
        for name in ("compress.py", "footer.py")
    )
    handlers = (
        wsgi_handler("streams:wsgi", path="/wsgi", name="wsgi"),
        asgi_handler("streams:asgi", path="/asgi", name="asgi"),
    )
    folder = Path("{home}") / "sites" / "app"
    sections = f"<isapiFilters>{entries}</isapiFilters>"
    return Site("streams", (Application("/", folder, "Pool", handlers, sections),))


def place(home) -> None:
    """The filters, and what there is to be served."""
    folder = home / "filters"
    folder.mkdir(mode=0o755)
    for sample in SAMPLES:
        if sample.endswith(".c"):
            compile_extension(FILTERS / sample, folder / sample.replace(".c", ".so"))
        else:
            (folder / sample).write_text((FILTERS / sample).read_text())
    runpy.run_path(str(folder / "own_users.py"))["add"]("ben", "s:cret")
    app = home / "sites" / "app"
    for name in (app, app / "data", app / "www.example.com"):
        name.mkdir(mode=0o755, parents=True)
    (app / "tells.py").write_text(TELLS)
    (app / "streams.py").write_text(STREAMS)
    (app / "page.html").write_text(PAGE)
    (app / "page.asp").write_text("from asp")
    (app / "www.example.com" / "page.html").write_text("of www")


@pytest.fixture(scope="module")
def running():
    """One server for the whole file."""
    variables = "".join(f'<add name="{n}" value="{v}" />' for n, v in VARIABLES.items())
    pool = Pool(
        "Pool",
        {},
        {"isolation": {"readable": "{home}/filters"}},
        f"<environmentVariables>{variables}</environmentVariables>",
    )
    users = f"<security><authentication><users>{USERS}</users></authentication></security>"
    extra = f"<system.webServer>{users}</system.webServer>"
    config = application_host_config([pool], [*map(site, SAMPLES), streams()], extra)
    with run_server(config, place) as server:
        yield server


def ask(running, sample: str, target: str = "/page.html", **fields: str):
    """One GET of a sample's site."""
    return get(running.port(sample), target, **fields)


def pool_log(running) -> str:
    """What the filters have printed."""
    return (running.home / "logs" / "pools" / "Pool.log").read_text()


def test_url_and_headers_of_a_request_are_changed(running):
    """/de/… is /… in German; .aspx is .asp."""
    for target, path, language in (("/de/a/b?c", "/a/b", "de"), ("/it/a", "/it/a", None)):
        told = ask(running, "language.py", target).json()
        assert (told["path"], told["language"]) == (path, language)
    assert ask(running, "aspx_from_asp.py", "/page.aspx?x").text == "from asp"


@pytest.mark.parametrize("sample", ["by_host.py", "by_host.c"])
def test_the_file_is_another_one(running, sample):
    """By the name of the host, which leads nowhere else."""
    assert ask(running, sample, Host="WWW.example.com:80").text == "of www"
    for host in ("other.example", "..", "localhost"):
        assert ask(running, sample, Host=host).text == PAGE


def test_a_user_is_mapped_to_an_account(running):
    """What the client sent is known as well; others are who they say they are."""
    word = basic("x@partner.example", "we are many")
    told = ask(running, "partners.py", "/", Authorization=word).json()
    assert (told["account"], told["sent"]) == ("partner", "x@partner.example")
    told = ask(running, "partners.py", "/", Authorization=basic("ana", "secret")).json()
    assert told["account"] == "ana"
    word = basic("y@partner.example", "?")
    assert ask(running, "partners.py", "/", Authorization=word).status == 401


def test_the_application_is_told_who_the_user_is(running):
    """Signed, once the user is known, whatever the client has sent."""
    fields = {"X-User": "root", "Authorization": basic("ana", "secret")}
    told = ask(running, "signed_user.py", "/", **fields).json()
    expected = hmac.new(b"a key", b"ana", hashlib.sha256).hexdigest()
    assert (told["HTTP_X_USER"], told["HTTP_X_USER_SIGNATURE"]) == ("ana", expected)


def test_the_response_is_changed(running):
    """Its head, and its body with the right length."""
    answer = ask(running, "footer.py")
    assert answer.text.endswith("</footer></body>")
    assert answer.field("content-length") == str(len(answer.body))
    assert answer.field("x-footer") == "yes"
    assert ask(running, "footer.py", "/nothing.html").field("x-footer") == ""
    assert ask(running, "stamp.c").field("x-made-in").endswith(" us")


def test_who_may_not_come_in_gets_a_page(running):
    """The filter's own, with the field that it has asked for, once."""
    answer = ask(running, "denied.py")
    assert (answer.status, answer.all("x-become-a-member")) == (401, ["/join"])
    assert "Members only</h1><p>/page.html: a name and a password are needed." in answer.text
    wrong = ask(running, "denied.py", Authorization=basic("ana", "?"))
    assert "the name or the password is not right" in wrong.text
    right = ask(running, "denied.py", Authorization=basic("ana", "secret"))
    assert (right.status, right.field("x-become-a-member")) == (200, "")


def test_the_end_of_a_request_is_heard(running):
    """Once each."""
    ask(running, "slow.py", "/page.html?slow")
    ask(running, "slow.py", "/none.html")
    for path in ("/none.html", "/page.html"):
        line = f"slow: {path} took "
        wait_for(line, lambda line=line: line in pool_log(running))
        assert pool_log(running).count(line) == 1


def test_the_end_of_a_connection_is_heard(running):
    """Once each, with what the filter has kept of it."""
    for sample in ("visits.py", "visits.c"):
        with Wire(running.port(sample)) as wire:
            for target in ("/page.html", "/none?x", "/page.html"):
                wire.request(target)
    lines = ("a visit: /page.html /none?x /page.html\n", "a visit of 3 requests\n")
    wait_for("both lines", lambda: all(pool_log(running).count(line) == 1 for line in lines))


def test_what_is_private_is_not_logged(running):
    """Neither secrets of the query nor the whole address."""
    ask(running, "private_log.py", "/page.html?a=1&Password=hush&b=2")
    number = list(SAMPLES).index("private_log.py") + 1

    def logged() -> str:
        return "".join(f.read_text() for f in (running.home / "logs").glob(f"W3SVC{number}/*.log"))

    wait_for("the line", lambda: "a=1&Password=***&b=2" in logged())
    assert "hush" not in logged()
    assert " 127.0.0.0 " in logged()


def test_users_may_be_the_filter_s_own(running):
    """Nobody else gets in, however the client names itself."""
    answer = ask(running, "own_users.py", "/", Authorization=basic("ben", "s:cret"))
    assert answer.json()["HTTP_X_USER"] == "ben"
    for word in ("", basic("ben", "?"), basic("x", "y"), "Basic !", "Bearer YmVuOnM6Y3JldA=="):
        fields = {"X-User": "ben", **({"Authorization": word} if word else {})}
        answer = ask(running, "own_users.py", "/", **fields)
        assert (answer.status, answer.text) == (401, "Who are you?\n")


def test_what_is_sent_is_compressed(running):
    """For clients that accept it."""
    packed = ask(running, "compress.py", Accept_Encoding="gzip")
    assert packed.field("content-encoding") == "gzip"
    assert packed.field("content-length") == str(len(packed.body))
    assert gzip.decompress(packed.body).decode() == PAGE
    assert ask(running, "compress.py").text == PAGE


@pytest.mark.parametrize("path", ["/wsgi", "/asgi"])
def test_what_comes_in_parts_is_changed_by_each_filter(running, path):
    """SEND_RAW_DATA for each part, in the reverse order of the filters: what is added is packed."""
    for _ in range(2):
        answer = ask(running, "streams", path, Accept_Encoding="gzip")
        page = gzip.decompress(answer.body).decode()
        assert page.startswith("part 0 part 0 ")
        assert page.endswith("part 4 <footer>Served with a footer.</footer></body>")


def test_what_is_sent_is_encrypted(running):
    """Every response with a nonce of its own, also on one connection; errors are in clear."""
    nonces = set()
    with Wire(running.port("encrypt.c")) as wire:
        for _ in range(2):
            answer = wire.request("/page.html")
            nonces.add(answer.field("x-nonce"))
            counter_and_nonce = bytes(4) + bytes.fromhex(answer.field("x-nonce"))
            cipher = Cipher(algorithms.ChaCha20(KEY, counter_and_nonce), mode=None)
            assert answer.body != PAGE.encode()
            assert cipher.decryptor().update(answer.body).decode() == PAGE
        assert b"404.0 - Not Found" in wire.request("/none.html").body
    assert len(nonces) == 2
