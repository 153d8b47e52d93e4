"""Static content: types, validators, ranges, large files by descriptor."""

import hashlib
import os
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config
from support.running import run_server
from support.wire import Wire, get

LARGE = os.urandom(1 << 20) * 8


def _prepare(home: Path) -> None:
    root = home / "sites" / "files"
    (root / "sub").mkdir(parents=True)
    (root / "index.html").write_text("<h1>home</h1>")
    (root / "sub" / "index.html").write_text("<h1>sub</h1>")
    (root / "style.css").write_text("p {}")
    (root / "data.json").write_text("{}")
    (root / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "text.txt").write_text("0123456789")
    (root / "empty.txt").write_text("")
    (root / "with space.txt").write_text("space")
    (root / "thing.unknown").write_text("?")
    (root / "web.config").write_text("<configuration />")
    (root / "large.bin").write_bytes(LARGE)
    (root / "bare").mkdir()


@pytest.fixture(scope="module")
def site(engine):
    application = Application("/", Path("{home}") / "sites" / "files", "Pool")
    config = application_host_config([Pool("Pool")], [Site("Site", (application,))])
    with run_server(config, _prepare, engine=engine) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/index.html", "text/html"),
        ("/style.css", "text/css"),
        ("/data.json", "application/json"),
        ("/picture.png", "image/png"),
        ("/text.txt", "text/plain"),
        ("/with%20space.txt", "text/plain"),
    ],
)
def test_types_follow_the_extension(site, path, kind):
    """A file has the MIME type of its extension, its length, a validator and a date."""
    answer = get(site.port(), path)
    assert answer.status == 200
    assert answer.field("content-type").partition(";")[0] == kind
    assert int(answer.field("content-length")) == len(answer.body)
    assert answer.field("etag").strip("W/").startswith('"')
    assert answer.field("last-modified").endswith(" GMT")


def test_default_documents(site):
    """A folder is answered with its default document, or with a redirect to its slash."""
    assert get(site.port(), "/").text == "<h1>home</h1>"
    assert get(site.port(), "/sub/").text == "<h1>sub</h1>"
    answer = get(site.port(), "/sub")
    assert answer.status in {301, 302}
    assert answer.field("location").endswith("/sub/")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/missing.html", 404),
        ("/thing.unknown", 404),
        ("/web.config", 404),
        ("/bare/", 403),
        ("/../web.config", 404),
        ("/%2e%2e/config/applicationHost.config", 404),
    ],
)
def test_what_is_not_served(site, path, status):
    """Missing files, unknown types, web.config and folders without a document are refused."""
    assert get(site.port(), path).status == status


def test_only_read_methods(site):
    """A static file can be got, not posted to."""
    with Wire(site.port()) as wire:
        assert wire.request("/text.txt", "HEAD").body == b""
        assert wire.request("/text.txt", "POST", b"x").status == 405


def test_validators_answer_304(site):
    """A client that has the current version gets 304 and no body."""
    with Wire(site.port()) as wire:
        first = wire.request("/text.txt")
        tag, date = first.field("etag"), first.field("last-modified")
        for fields in ({"If-None-Match": tag}, {"If-Modified-Since": date}):
            answer = wire.request("/text.txt", fields=fields)
            assert (answer.status, answer.body) == (304, b"")
            assert answer.field("content-length") == ""  # "0" would speak of the file
        assert wire.request("/text.txt", fields={"If-None-Match": '"other"'}).status == 200


@pytest.mark.parametrize(
    ("wanted", "status", "body", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=4-100", 206, b"456789", "bytes 4-9/10"),
        ("bytes=20-", 416, None, "bytes */10"),
    ],
)
def test_ranges(site, wanted, status, body, content_range):
    """A range gets exactly its bytes; one beyond the end gets 416 with the length."""
    answer = get(site.port(), "/text.txt", Range=wanted)
    assert answer.status == status
    assert answer.field("content-range") == content_range
    if body is not None:
        assert answer.body == body


def test_an_empty_file(site):
    """A file without a byte is a response without a byte."""
    with Wire(site.port()) as wire:
        answer = wire.request("/empty.txt")
        assert (answer.status, answer.field("content-length")) == (200, "0")
        assert wire.request("/text.txt").status == 200


def test_a_large_file_arrives_byte_for_byte(site):
    """A file too large for a message, sent from its descriptor, is exact; so is a range of it."""
    with Wire(site.port()) as wire:
        for _ in range(2):
            answer = wire.request("/large.bin")
            assert answer.status == 200
            assert hashlib.sha256(answer.body).digest() == hashlib.sha256(LARGE).digest()
        answer = wire.request("/large.bin", fields={"Range": "bytes=1000000-5999999"})
        assert (answer.status, len(answer.body)) == (206, 5_000_000)
        assert answer.body == LARGE[1_000_000:6_000_000]


def test_an_aborted_download_leaves_the_server_as_it_was(site):
    """Clients that leave in the midst of a large file cost nobody else anything."""
    for _ in range(10):
        with Wire(site.port()) as wire:
            wire.send_request("/large.bin")
            assert wire.read_some()
    answer = get(site.port(), "/large.bin")
    assert len(answer.body) == len(LARGE)
