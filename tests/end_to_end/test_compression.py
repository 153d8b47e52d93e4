"""Compression, the output cache and custom log fields, as clients of a real server see them."""

import gzip
import zlib
from pathlib import Path

import pytest
from harness.home import (
    Application,
    Pool,
    Site,
    application_host_config,
    asgi_handler,
    wsgi_handler,
)
from harness.server import wait_for
from support.files import whole_lines
from support.running import APPS, place_application, run_server
from support.wire import Wire, get

TEXT = b"".join(b"line %d\n" % number for number in range(50_000))
DYNAMIC = """<urlCompression doDynamicCompression="true" />
<httpCompression dynamicCompressionDisableCpuUsage="100" />"""
CACHED = """<caching><profiles>
  <add extension="*" policy="CacheForTimePeriod" duration="01:00:00" /></profiles></caching>"""
CGI = '<add name="text" path="*.cgi" verb="*" modules="CgiModule" resourceType="File" />'
SCRIPT = """#!/bin/sh
printf 'Content-Type: text/html\\n\\n'
seq 1 30000
"""
FIELDS = """<logFile><customFields>
  <add logFieldName="coding" sourceName="Content-Encoding" sourceType="ResponseHeader" />
  <add logFieldName="trace id" sourceName="X-Trace" sourceType="RequestHeader" />
  <add logFieldName="pool" sourceName="APP_POOL_ID" sourceType="ServerVariable" />
</customFields></logFile>"""


def _prepare(home: Path) -> None:
    files = home / "sites" / "files"
    files.mkdir(parents=True)
    (files / "big.txt").write_bytes(TEXT)
    place_application(home / "sites" / "app", APPS / "streams.py")
    place_application(home / "sites" / "async", APPS / "asgi_text.py")
    script = home / "sites" / "cgi" / "text.cgi"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    script.chmod(0o755)
    place_application(home / "sites" / "gates", APPS / "gates.py")


@pytest.fixture(scope="module")
def server():
    def application(path, name, *handlers, sections=""):
        return Application(path, Path("{home}") / "sites" / name, "Pool", handlers, sections)

    applications = (
        application("/", "files"),
        application("/app", "app", wsgi_handler("streams:application"), sections=DYNAMIC),
        application("/async", "async", asgi_handler("asgi_text:application"), sections=DYNAMIC),
        application("/cgi", "cgi", CGI, sections=DYNAMIC),
        application("/held", "gates", wsgi_handler("gates:application"), sections=DYNAMIC),
        application("/cached", "gates", wsgi_handler("gates:application"), sections=CACHED),
    )
    config = application_host_config([Pool("Pool")], [Site("Site", applications)])
    config = config.replace("</site>", FIELDS + "</site>")
    with run_server(config, _prepare) as running:
        yield running


def test_a_file_that_is_hit_frequently(server):
    """Two hits make the compressed form; descriptors bring it to the client whole."""
    fields = {"Accept_Encoding": "gzip"}
    answers = [get(server.port(), "/big.txt", **fields) for _ in range(3)]
    assert answers[0].body == TEXT
    for answer in answers[1:]:
        assert answer.field("content-encoding") == "gzip"
        assert int(answer.field("content-length")) == len(answer.body)
        assert gzip.decompress(answer.body) == TEXT
        assert answer.field("etag") == "W/" + answers[0].field("etag")
    plain = get(server.port(), "/big.txt")
    assert plain.body == TEXT
    assert plain.field("vary") == "Accept-Encoding"


def test_what_an_application_sends(server):
    """As a whole with a length, block by block in chunks."""
    fields = {"Accept_Encoding": "gzip"}
    whole = get(server.port(), "/app/several", **fields)
    assert whole.text == "one two three"  # not worth it
    blocks = get(server.port(), "/app/blocks?n=500", **fields)
    assert blocks.field("content-encoding") == "gzip"
    assert blocks.field("transfer-encoding") == "chunked"
    assert gzip.decompress(blocks.body) == b"".join(b"block %d\n" % n for n in range(500))


@pytest.mark.parametrize("path", ["/async/whole", "/async/pieces", "/cgi/text.cgi"])
def test_applications_of_other_kinds(server, path):
    """ASGI in one message or many, and CGI, which has more to say than is kept in memory."""
    plain = get(server.port(), path)
    answer = get(server.port(), path, Accept_Encoding="gzip")
    assert plain.field("content-encoding") == ""
    assert answer.field("content-encoding") == "gzip"
    assert gzip.decompress(answer.body) == plain.body
    assert len(answer.body) < len(plain.body)


def test_a_block_reaches_the_client_before_the_next_one_is_made(server):
    """Compression holds nothing back that the application has sent."""
    with Wire(server.port()) as wire:
        wire.send_request("/held/parts?gate=g", fields={"Accept-Encoding": "gzip"})
        got = wire.read_until(b"\r\n\r\n")
        decoder, text = zlib.decompressobj(31), b""
        got = got.partition(b"\r\n\r\n")[2]
        while text != b"first\n":
            while got.count(b"\r\n") < 2:
                got += wire.read_some()
            size, _, rest = got.partition(b"\r\n")
            text += decoder.decompress(rest[: int(size, 16)])
            got = rest[int(size, 16) + 2 :]
        (server.folder("gates") / "data" / "g.open").touch()
        assert wire.read_until(b"0\r\n\r\n")


def test_the_output_cache(server):
    """One answer for all, given by the worker that has made it."""
    first = get(server.port(), "/cached/page")
    assert [get(server.port(), "/cached/page").body for _ in range(3)] == [first.body] * 3


def test_custom_fields_are_columns_of_the_log(server):
    """Of the request, of the response and of the server variables; "-" for what there is not."""
    fields = {"Accept_Encoding": "gzip", "X_Trace": "a b"}
    get(server.port(), "/app/blocks?n=500", **fields)
    get(server.port(), "/cached/logged")

    def lines():
        files = (server.home / "logs" / "W3SVC1").glob("*_x.log")
        return [line for file in files for line in whole_lines(file)]

    wait_for("both lines", lambda: any("/cached/logged" in line for line in lines()))
    header = next(line for line in lines() if line.startswith("#Fields:"))
    assert header.endswith(" coding trace+id pool")
    line = next(line for line in lines() if "a+b" in line)
    assert line.endswith(" gzip a+b Pool")
    line = next(line for line in lines() if "/cached/logged" in line)
    assert line.endswith(" - - Pool")
