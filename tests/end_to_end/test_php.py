"""PHP through php-cgi, whose processes are ours, and through php-fpm, whose are not."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, place_application
from support.php import PHP_ARGUMENTS as ARGUMENTS
from support.php import PHP_CGI, php_fpm
from support.running import APPS, Running, run_server
from support.wire import Wire, get, post

SECTION = (
    f'<fastCgi><application fullPath="/usr/bin/php-cgi" arguments="{ARGUMENTS}" /></fastCgi>'
    '<defaultDocument><files><add value="index.php" /></files></defaultDocument>'
)
REWRITE = """<rewrite><rules>
  <rule name="front controller" stopProcessing="true">
    <match url=".*" />
    <conditions><add input="{REQUEST_FILENAME}" matchType="IsFile" negate="true" /></conditions>
    <action type="Rewrite" url="index.php" />
  </rule>
</rules></rewrite>"""


def _config(processor: str) -> str:
    handler = (
        '<add name="php" path="*.php" verb="*" modules="FastCgiModule" resourceType="File" '
        f'allowPathInfo="true" scriptProcessor="{processor}" />'
    )
    pool = Pool("Pool", {}, {"failure": {"rapidFailProtection": "false"}})
    folder = Path("{home}") / "sites" / "app"
    sites = [Site("Site", (Application("/", folder, "Pool", (handler,)),))]
    site = Site("Front", (Application("/", folder, "Pool", (handler,), REWRITE),))
    streaming = Pool("Streaming", {}, {**pool.elements, "requests": {"streaming": "true"}})
    streamed = Site("Streamed", (Application("/", folder, "Streaming", (handler,)),))
    extra = f"<system.webServer>{SECTION}</system.webServer>"
    return application_host_config([pool, streaming], [*sites, site, streamed], extra)


def _place(home: Path) -> None:
    folder = place_application(home / "sites" / "app")
    for file in (APPS / "php_shop").iterdir():
        shutil.copy(file, folder / file.name)


@pytest.fixture(scope="module", params=["php-cgi", "php-fpm"])
def php(request) -> Iterator[Running]:
    """PHP's two ways in turn."""
    with ExitStack() as stack:
        is_ours = request.param == "php-cgi"
        processor = PHP_CGI if is_ours else stack.enter_context(php_fpm())
        yield stack.enter_context(run_server(_config(processor), _place))


def test_a_script_sees_its_request(php):
    """$_SERVER, $_POST, $_FILES; headers of its own, two cookies."""
    answer = get(php.port(), "/tell.php/more?a=1", X_Thing="v")
    server = answer.json()["server"]
    assert server["SCRIPT_NAME"] == "/tell.php"
    assert server["PATH_INFO"] == "/more"
    assert server["QUERY_STRING"] == "a=1"
    assert server["HTTP_X_THING"] == "v"
    assert answer.all("set-cookie") == ["a=1", "b=2"]
    assert answer.field("x-one") == "1"


def test_forms_and_uploads_arrive(php):
    """A form, and a file beyond what is held in memory."""
    answer = post(php.port(), "/tell.php", b"a=1&b=2", "application/x-www-form-urlencoded")
    assert answer.json()["post"] == {"a": "1", "b": "2"}
    part = b'--X\r\nContent-Disposition: form-data; name="f"; filename="g"\r\n\r\n'
    body = part + b"x" * 1_000_000 + b"\r\n--X--\r\n"
    answer = post(php.port(), "/tell.php", body, "multipart/form-data; boundary=X")
    assert answer.json()["files"] == {"f": ["g", 1_000_000]}


def test_what_a_script_does_not_read_is_in_nobody_elses_way(php):
    """A streamed body without a length is left by PHP: the next POST is not taken for its rest."""
    port = php.port("Streamed")
    head = b"POST /moved.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ in range(3):
        with Wire(port) as wire:
            wire.send(head + b"5\r\nun=rd\r\n0\r\n\r\n")
            assert wire.read("POST").status == 302
        answer = post(port, "/tell.php", b"a=1", "application/x-www-form-urlencoded")
        assert (answer.status, answer.json()["post"]) == (200, {"a": "1"})


def test_a_front_controller_answers_paths_that_are_no_files(php):
    """By a rewrite rule, by PATH_INFO, and as the default document of the root."""
    front = php.port("Front")
    assert get(front, "/goods/1?x=y").json() == {"goods": "tea", "query": {"x": "y"}}
    assert get(front, "/goods/9").status == 404
    assert get(php.port(), "/index.php/goods/2").json()["goods"] == "cups"
    assert get(php.port(), "/").json()["path"] == "/"


def test_output_is_sent_as_it_comes(php):
    """What a script has flushed is sent though it goes on."""
    gate = php.folder() / "data" / "gate"
    with Wire(php.port()) as wire:
        wire.send_request("/stream.php?gate=gate")
        assert b"first" in wire.read_until(b"first")
        gate.touch()
        assert b"second" in wire.read_until(b"second")
    gate.unlink()


def test_a_redirect_with_a_path_is_the_clients(php):
    """PHP says 302 itself where a script sets Location."""
    answer = get(php.port(), "/moved.php")
    assert (answer.status, answer.field("location")) == (302, "/tell.php?moved")


def test_head_has_no_body(php):
    """A connection goes on after a HEAD; PHP leaves the body out, which is no length of 0."""
    with Wire(php.port()) as wire:
        answer = wire.request("/tell.php", "HEAD")
        assert (answer.status, answer.field("content-length")) == (200, "")
        assert wire.request("/tell.php").status == 200
