"""Applications of every kind side by side in one server, each in a pool of its own."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from harness.home import (
    Application,
    Pool,
    Site,
    application_host_config,
    asgi_handler,
    place_application,
    wsgi_handler,
)
from harness.server import wait_for
from support.isapi import ALLOW_ALL, FILTERS, SAMPLES, compile_extension
from support.php import PHP_ARGUMENTS, PHP_CGI, php_fpm
from support.running import APPS, Running, run_server
from support.web_socket import connect
from support.wire import LIMIT_S, Wire, get, post

FORM = "application/x-www-form-urlencoded"
STATIC = '<add name="static" path="static/*" verb="*" modules="StaticFileModule" />'
CGI = (
    '<add name="cgi" path="*.cgi,count" verb="*" modules="CgiModule" resourceType="File" '
    'allowPathInfo="true" />'
)
FAST_CGI = (
    f'<system.webServer><fastCgi><application fullPath="/usr/bin/php-cgi" '
    f'arguments="{PHP_ARGUMENTS}" /></fastCgi></system.webServer>'
)
DJANGO = ("settings.py", "site_wsgi.py", "notes", "static")


def _php(processor: str) -> str:
    return (
        '<add name="php" path="*.php" verb="*" modules="FastCgiModule" resourceType="File" '
        f'allowPathInfo="true" scriptProcessor="{processor}" />'
    )


def _isapi(path: str, file: str) -> str:
    return (
        f'<add name="{path}" path="{path}" verb="*" modules="IsapiModule" '
        f'scriptProcessor="{{home}}/sites/{file}" />'
    )


def _config(fpm: str) -> str:
    handlers = {
        "flask": (STATIC, wsgi_handler("shop:app")),
        "django": (STATIC, wsgi_handler("site_wsgi:application")),
        "fast": (asgi_handler("fast_site:app"),),
        "cgi": (CGI,),
        "php": (_php(PHP_CGI),),
        "fpm": (_php(fpm),),
        "python": (_isapi("luhn", "python/luhn.py"),),
        "c": (_isapi("luhn", "c/luhn.so"), _isapi("crash", "c/crash.so")),
    }
    sites = Path("{home}") / "sites"
    steady = {"failure": {"rapidFailProtection": "false"}}
    applications = [Application("/", sites / "root", "root")]
    applications += [
        Application(f"/{name}", sites / name, name, given) for name, given in handlers.items()
    ]
    filters = '<isapiFilters><filter name="aspx" path="{home}/sites/filter/aspx_from_asp.py" />'
    typed = '<staticContent><mimeMap fileExtension=".asp" mimeType="text/plain" /></staticContent>'
    applications.append(
        Application("/filter", sites / "filter", "filter", (), f"{filters}</isapiFilters>{typed}")
    )
    pools = [Pool(application.pool, {}, steady) for application in applications]
    site = Site("Site", tuple(applications))
    return application_host_config(pools, [site], ALLOW_ALL + FAST_CGI)


def _place(home: Path) -> None:
    sites = home / "sites"
    place_application(sites / "root")
    (sites / "root" / "index.html").write_text("all kinds")
    place_application(sites / "flask", *(APPS / "flask_shop" / n for n in ("shop.py", "static")))
    place_application(sites / "django", *(APPS / "django_site" / name for name in DJANGO))
    place_application(sites / "fast", APPS / "fast_site.py")
    place_application(sites / "python", SAMPLES / "luhn.py")
    filtered = place_application(sites / "filter", FILTERS / "aspx_from_asp.py")
    (filtered / "page.asp").write_text("what the filter serves")
    php = place_application(sites / "php", *(APPS / "php_shop").iterdir())
    shutil.copytree(php, sites / "fpm")
    cgi = place_application(sites / "cgi", APPS / "cgi_bin" / "tell.cgi")
    for name, interpreter, line in (
        ("perl", "/usr/bin/perl", 'print "Content-Type: text/plain\\n\\nperl $ENV{QUERY_STRING}";'),
        ("shell", "/bin/sh", 'printf "Content-Type: text/plain\\n\\nshell $QUERY_STRING"'),
    ):
        (cgi / f"{name}.cgi").write_text(f"#!{interpreter}\n{line}\n")
    for file in cgi.glob("*.cgi"):
        file.chmod(0o755)
    compiled = place_application(sites / "c")
    compile_extension(SAMPLES / "luhn.c", compiled / "luhn.so")
    compile_extension(SAMPLES / "crash.c", compiled / "crash.so")


@pytest.fixture(scope="module")
def running():
    with php_fpm() as fpm, run_server(_config(fpm), _place) as running:
        yield running


def _ask_all(running: Running) -> None:
    """One real request of each kind, with what is particular about it."""
    port = running.port()
    assert get(port, "/").text == "all kinds"
    _ask_flask(port)
    _ask_django(port)
    assert get(port, "/fast/items/7").json() == {"number": 7}
    assert post(port, "/fast/upload", b"x" * 200_000).json() == {"bytes": 200_000}
    with connect(f"ws://127.0.0.1:{port}/fast/echo") as socket:
        socket.send("hello")
        assert socket.recv(LIMIT_S) == "/fast hello"
    assert get(port, "/cgi/tell.cgi?x").status == 200
    assert get(port, "/cgi/perl.cgi?x").text == "perl x"
    assert get(port, "/cgi/shell.cgi?x").text == "shell x"
    for kind in ("php", "fpm"):
        server = get(port, f"/{kind}/tell.php/more?a=1").json()["server"]
        assert server["PATH_INFO"] == "/more"
    assert get(port, "/filter/page.aspx").text == "what the filter serves"
    for kind in ("python", "c"):
        assert get(port, f"/{kind}/luhn?number=4111111111111111").text == "valid\n"
        assert get(port, f"/{kind}/luhn?number=4111111111111112").text == "not valid\n"


def _ask_flask(port: int) -> None:
    with Wire(port) as wire:
        answer = wire.request("/flask/basket", "POST", b"item=tea", {"Content-Type": FORM})
        assert answer.status == 302
        cookies = "; ".join(v.partition(";")[0] for v in answer.all("set-cookie"))
        assert "Basket: tea" in wire.request("/flask/", fields={"Cookie": cookies}).text


def _ask_django(port: int) -> None:
    assert get(port, "/django/").status == 200
    name = next(p.name for p in (APPS / "django_site" / "static").iterdir() if p.is_file())
    assert get(port, f"/django/static/{name}").status == 200


def test_every_kind_answers_in_a_pool_of_its_own(running):
    """Real clients, one server, ten pools, ten processes that share nothing."""
    _ask_all(running)
    rows = running.server.rows("wp")
    assert len({row["app_pool"] for row in rows}) == len(rows) == 10


def test_what_kills_one_kind_is_no_others_affair(running):
    """A compiled extension that crashes costs its own pool a worker; the others keep theirs."""
    _ask_all(running)
    before = {row["app_pool"]: row["pid"] for row in running.server.rows("wp")}
    with Wire(running.port()) as wire:
        # A POST that has begun is not repeated.
        assert wire.request("/c/crash?null", "POST", b"x").status == 502

    def replaced() -> bool:
        get(running.port(), "/c/luhn?number=1")
        now = {row["app_pool"]: row["pid"] for row in running.server.rows("wp")}
        return now.get("c", before["c"]) != before["c"] and len(now) == len(before)

    wait_for("another worker", replaced)
    _ask_all(running)
    after = {row["app_pool"]: row["pid"] for row in running.server.rows("wp")}
    assert {name for name in after if after[name] != before[name]} == {"c"}


def test_every_worker_may_be_killed(running):
    """Each kind is back with the next request, that of a sleeping WebSocket server too."""
    _ask_all(running)
    for row in running.server.rows("wp"):
        os.kill(row["pid"], signal.SIGKILL)
    _ask_all(running)
