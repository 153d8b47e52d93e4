"""StaticFile, DefaultDocument, DirectoryListing, RequestFiltering, CustomError, ProtocolSupport."""

import os
import time
from datetime import datetime

import pytest
from fake_exchange import FakeExchange, ask, make_request, make_server

from was.worker.http_dates import format_date, parse_date
from was.worker.static.representation import parse_ranges


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"0123456789")
    os.utime(folder / "a.txt", (1_000_000_000, 1_000_000_000))
    (folder / "dir").mkdir()
    (folder / "dir" / "b & c.txt").write_text("b")
    return folder


def get(tmp_path, path, web_server="", **changes):
    return ask(make_server(tmp_path, web_server), path=path, **changes)


def outcome(exchange):
    return f"{exchange.status}.{exchange.sub_status}"


def test_a_file(site, tmp_path):
    """Type by mimeMap, validators, length; nothing of the listener's fields."""
    exchange = get(tmp_path, "/a.txt")
    headers = exchange.headers()
    assert (exchange.status, exchange.body, exchange.length) == (200, b"0123456789", 10)
    assert headers["content-type"] == "text/plain"
    assert headers["last-modified"] == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert headers["etag"].startswith('"')
    assert headers["accept-ranges"] == "bytes"
    assert exchange.calls == ["finish"]
    head = get(tmp_path, "/a.txt", method="HEAD")
    assert (head.length, head.body, head.headers()) == (10, b"", headers)


def test_a_large_file_goes_by_descriptor(site, tmp_path):
    """Above 64 KiB the bytes never enter the worker; the descriptor is closed afterwards."""
    (site / "big.txt").write_bytes(b"x" * 70000)
    server = make_server(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    exchange = ask(server, path="/big.txt")
    assert exchange.file is not None
    assert exchange.length == 70000
    assert ask(server, path="/big.txt", method="HEAD").file is None
    ranges = [("Range", "bytes=0-69000,69990-")]
    parts = ask(server, path="/big.txt", fields=ranges)
    assert parts.calls[0] == "start"
    assert "send_file" in parts.calls
    gone = FakeExchange(make_request(path="/big.txt", fields=ranges), gone_after=100)
    assert ask(server, gone).calls[-1] == "abort"
    assert len(os.listdir("/proc/self/fd")) == before


def _shorten_at_each_read(monkeypatch, file, contents):
    """Have somebody write the file anew whenever it is about to be read, while there is more."""
    real = os.pread

    def pread(fd, length, offset):
        if contents:
            file.write_bytes(contents.pop(0))
        return real(fd, length, offset)

    monkeypatch.setattr(os, "pread", pread)


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [(None, 200, b"abc"), ("bytes=1-9", 206, b"bc"), ("bytes=5-", 416, None)],
)
def test_a_file_that_becomes_shorter_is_sent_as_it_is_then(
    site, tmp_path, monkeypatch, wanted, status, body
):
    """Length, range and validators are those of the bytes that are sent."""
    server = make_server(tmp_path)
    _shorten_at_each_read(monkeypatch, site / "a.txt", [b"abcdefgh", b"abc"])
    fields = [("Range", wanted)] if wanted else []
    exchange = ask(server, path="/a.txt", fields=fields)
    monkeypatch.undo()
    now = get(tmp_path, "/a.txt", fields=fields)
    assert exchange.status == now.status == status
    assert sorted(exchange.block.splitlines()) == sorted(now.block.splitlines())
    if body is not None:
        assert (exchange.body, exchange.length) == (body, len(body))


def test_a_file_that_becomes_shorter_again_and_again_is_500(site, tmp_path, monkeypatch):
    """Nobody waits for its writer for ever."""
    server = make_server(tmp_path)
    contents = [bytes(n) for n in range(9, 0, -1)]
    _shorten_at_each_read(monkeypatch, site / "a.txt", contents)
    assert ask(server, path="/a.txt").status == 500


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/none.txt", "404.0"),
        ("/a.txt/", "404.0"),
        ("/a.txt/x", "404.0"),
        ("/A.TXT", "404.0"),
        ("/a.txt ", "404.0"),
        ("/" + "x" * 300, "404.0"),
        ("/a\0.txt", "404.0"),
        ("/unknown.zzz", "404.3"),
        ("/bare", "404.3"),
        ("/out.txt", "404.0"),
        ("/inside.txt", "200.0"),
        ("/outside/secret.txt", "404.0"),
        ("/loop", "404.0"),
        ("/fifo.txt", "404.0"),
        ("/.env", "404.9"),
        ("/.git/x.txt", "404.9"),
        ("/.well-known/x.txt", "200.0"),
        ("/web.config", "404.8"),
        ("/WEB.config/x", "404.8"),
        ("/dir/../../secret.txt", "404.0"),
        ("/a%2etxt", "404.11"),
    ],
)
def test_what_is_not_served(site, tmp_path, path, expected):
    """Missing, outside by link, not regular, hidden, without a type; a link inside is followed."""
    (tmp_path / "secret.txt").write_text("secret")
    (site / "out.txt").symlink_to(tmp_path / "secret.txt")
    (site / "inside.txt").symlink_to("a.txt")
    (site / "outside").symlink_to(tmp_path)
    (site / "loop").symlink_to("loop")
    os.mkfifo(site / "fifo.txt")
    for folder in (".git", ".well-known"):
        (site / folder).mkdir()
        (site / folder / "x.txt").write_text("x")
    for name in (".env", "web.config", "unknown.zzz", "bare"):
        (site / name).write_text("<configuration />")
    exchange = get(tmp_path, path)
    assert outcome(exchange) == expected
    assert exchange.body.startswith(b"<!DOCTYPE") or exchange.status == 200


def test_the_folder_may_be_a_link_that_is_turned(tmp_path):
    """A deployment that switches `site` to another release needs no restart."""
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "a.txt").write_text(release)
    (tmp_path / "site").symlink_to("one")
    server = make_server(tmp_path)
    assert ask(server, path="/a.txt").body == b"one"
    (tmp_path / "site").unlink()
    (tmp_path / "site").symlink_to("two")
    assert ask(server, path="/a.txt").body == b"two"


def test_an_unreadable_file_is_401_3(site, tmp_path, monkeypatch):
    """The file system's refusal, which root would not get from a mode."""
    wanted = str(site / "a.txt")
    real_open = os.open

    def refusing_open(path, *arguments, **options):
        if path == wanted:
            raise PermissionError(13, "Permission denied", path)
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refusing_open)
    assert outcome(get(tmp_path, "/a.txt")) == "401.3"


def test_other_methods_are_405_with_allow(site, tmp_path):
    """A file is not changed through the static handler."""
    exchange = get(tmp_path, "/a.txt", method="POST")
    assert outcome(exchange) == "405.0"
    assert "GET" in exchange.headers()["allow"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("If-None-Match", "{etag}", 304),
        ("If-None-Match", "W/{etag}", 304),
        ("if-none-match", '"x", {etag}', 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", '"x"', 200),
        ("If-Modified-Since", "Sun, 09 Sep 2001 01:46:40 GMT", 304),
        ("If-Modified-Since", "Sunday, 09-Sep-01 01:46:40 GMT", 304),
        ("If-Modified-Since", "Sun Sep  9 01:46:40 2001", 304),
        ("If-Modified-Since", "Sun, 09 Sep 2001 01:46:39 GMT", 200),
        ("If-Modified-Since", "nonsense", 200),
        ("If-Match", "{etag}", 200),
        ("If-Match", "W/{etag}", 412),
        ("If-Match", '"x"', 412),
        ("If-Unmodified-Since", "Sun, 09 Sep 2001 01:46:39 GMT", 412),
        ("If-Unmodified-Since", "Sun, 09 Sep 2001 01:46:40 GMT", 200),
    ],
)
def test_conditional_requests(site, tmp_path, name, value, expected):
    """RFC 9110, 13; 304 has the validator by which the client's cache knows what it has."""
    etag = get(tmp_path, "/a.txt").headers()["etag"]
    exchange = get(tmp_path, "/a.txt", fields=[(name, value.format(etag=etag))])
    assert exchange.status == expected
    if expected == 304:
        weakness = "W/" if value.startswith("W/") else ""
        assert (exchange.body, exchange.headers()["etag"]) == (b"", weakness + etag)


@pytest.mark.parametrize(
    ("value", "status", "body", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-3,2-5", 206, b"012345", "bytes 0-5/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=3-1", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 40, 2)), 200, b"0123456789", None),
    ],
)
def test_ranges(site, tmp_path, value, status, body, content_range):
    """One range, a merged one, an unsatisfiable one, and what is ignored."""
    exchange = get(tmp_path, "/a.txt", fields=[("Range", value)])
    assert exchange.status == status
    assert exchange.headers().get("content-range") == content_range
    if body is not None:
        assert (exchange.body, exchange.length) == (body, len(body))
    else:
        assert b"<p>The resource is shorter than the range" in exchange.body


def test_several_ranges_are_multipart(site, tmp_path):
    """Each part with its type and Content-Range, between boundaries."""
    exchange = get(tmp_path, "/a.txt", fields=[("Range", "bytes=0-1, 5-6")])
    boundary = exchange.headers()["content-type"].partition("boundary=")[2].encode()
    assert exchange.length == len(exchange.body)
    parts = exchange.body.split(b"--" + boundary)
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    assert b"Content-Range: bytes 0-1/10\r\n\r\n01\r\n" in parts[1]
    assert b"Content-Range: bytes 5-6/10\r\n\r\n56\r\n" in parts[2]


@pytest.mark.parametrize("value", ["bytes=2-5", "bytes=0-1, 5-6", "bytes=0-70000, 70010-70011", ""])
def test_a_file_that_becomes_shorter_as_it_is_read_is_500(site, tmp_path, monkeypatch, value):
    """Nothing is said of more bytes than are sent; and no descriptor is closed twice."""
    (site / "a.txt").write_bytes(b"x" * 80_000 if "70000" in value else b"0123456789")
    server = make_server(tmp_path)
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: b"x" * (length - 1))
    exchange = ask(server, path="/a.txt", fields=[("Range", value)] if value else [])
    assert (exchange.status, exchange.file) == (500, None)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(("match", "status"), [("{etag}", 206), ('"x"', 200), ("W/{etag}", 200)])
def test_if_range(site, tmp_path, match, status):
    """A changed file is sent whole; a weak tag never fits."""
    etag = get(tmp_path, "/a.txt").headers()["etag"]
    fields = [("Range", "bytes=0-1"), ("If-Range", match.format(etag=etag))]
    assert get(tmp_path, "/a.txt", fields=fields).status == status


def test_client_cache(site, tmp_path):
    """clientCache: max-age, no-cache, Expires, no ETag."""
    form = "<staticContent><clientCache {} /></staticContent>"
    headers = get(tmp_path, "/a.txt", form.format('cacheControlMode="UseMaxAge"')).headers()
    assert headers["cache-control"] == "max-age=86400"
    text = 'cacheControlMode="DisableCache" cacheControlCustom="private" setEtag="false"'
    headers = get(tmp_path, "/a.txt", form.format(text)).headers()
    assert headers["cache-control"] == "no-cache,private"
    assert "etag" not in headers


def test_a_date_on_which_it_expires(site, tmp_path):
    """clientCache: httpExpires, as it is written."""
    date = "Wed, 01 Jan 2031 12:00:00 GMT"
    text = f'cacheControlMode="UseExpires" httpExpires="{date}"'
    form = f"<staticContent><clientCache {text} /></staticContent>"
    assert get(tmp_path, "/a.txt", form).headers()["expires"] == date


def test_a_footer_of_pages(site, tmp_path, capfd):
    """A text or a file, behind HTML files only; whole answers, with a tag that knows the footer."""
    (site / "page.html").write_text("<p>page")
    (site / "large.html").write_text("x" * 70000)
    (tmp_path / "footer.txt").write_text("<p>end")
    form = '<staticContent enableDocFooter="{}" isDocFooterFileName="{}" defaultDocFooter="{}" />'
    server = make_server(tmp_path, form.format("true", "false", "&lt;hr&gt;"))
    page = ask(server, path="/page.html", fields=[("Range", "bytes=0-1")])
    assert (page.status, page.body, page.length) == (200, b"<p>page<hr>", 11)
    assert page.headers()["accept-ranges"] == "none"
    head = ask(server, path="/page.html", method="HEAD")
    assert (head.length, head.body) == (11, b"")
    etag = page.headers()["etag"]
    assert ask(server, path="/page.html", fields=[("If-None-Match", etag)]).status == 304
    assert ask(server, path="/large.html").body == b"x" * 70000 + b"<hr>"
    assert ask(server, path="/a.txt").body == b"0123456789"
    other = make_server(tmp_path, form.format("true", "true", tmp_path / "footer.txt"))
    page = ask(other, path="/page.html", fields=[("If-None-Match", etag)])
    assert page.body == b"<p>page<p>end"
    off = make_server(tmp_path, form.format("false", "false", "x"))
    assert ask(off, path="/page.html").body == b"<p>page"
    missing = make_server(tmp_path, form.format("true", "true", tmp_path / "none.txt"))
    capfd.readouterr()
    assert [ask(missing, path="/page.html").body for _ in range(2)] == [b"<p>page"] * 2
    assert capfd.readouterr().err.count("footer_unreadable") == 1


def test_a_folder_without_its_slash_is_redirected(site, tmp_path):
    """Courtesy redirect, with the query, escaped, never to another host."""
    assert get(tmp_path, "/dir", query="q=1").headers()["location"] == "/dir/?q=1"
    (site / "ä").mkdir()
    assert get(tmp_path, "/ä").headers()["location"] == "/%C3%A4/"
    assert get(tmp_path, "//dir").headers().get("location") in ("/dir/", None)


def test_default_documents_in_order(site, tmp_path):
    """The first that exists; none: 403.14; switched off: 403.14."""
    assert outcome(get(tmp_path, "/dir/")) == "403.14"
    (site / "dir" / "index.html").write_text("second")
    assert get(tmp_path, "/dir/").body == b"second"
    (site / "dir" / "Default.htm").write_text("first")
    exchange = get(tmp_path, "/dir/")
    assert exchange.body == b"first"
    assert exchange.headers()["content-type"] == "text/html"
    off = '<defaultDocument enabled="false" />'
    assert outcome(get(tmp_path, "/dir/", off)) == "403.14"


@pytest.mark.parametrize(
    ("flags", "columns"),
    [
        ("None", "{name}"),
        ("Extension", "{name}.txt"),
        ("Size, Extension", "{size} {name}.txt"),
        ("Date", "{date} {name}"),
        ("Time, Date", "{date} {time} {name}"),
        ("Date, LongDate, Size", "{long} {size} {name}"),
        ("Date, Time, Size, Extension", "{date} {time} {size} {name}.txt"),
    ],
)
def test_columns_of_a_listing(site, tmp_path, flags, columns):
    """showFlags, whatever their order; LongDate in place of Date."""
    file = site / "dir" / "b & c.txt"
    os.utime(file, (1_000_000_000, 1_000_000_000))
    moment = datetime.fromtimestamp(1_000_000_000)
    expected = columns.format(
        name='<A HREF="/dir/b%20&amp;%20c.txt">b &amp; c',
        size="1".rjust(11),
        date=f"{moment.month}/{moment.day}/{moment.year}".rjust(10),
        time=moment.strftime("%I:%M %p").lstrip("0").rjust(8),
        long=moment.strftime("%A, %d %B %Y"),
    )
    settings = f'<directoryBrowse enabled="true" showFlags="{flags}" />'
    lines = get(tmp_path, "/dir/", settings).body.decode().split("<br>")
    assert [line for line in lines if "c.txt" in line] == [expected + "</A>"]


def test_a_listing_is_escaped_and_leaves_out_what_is_hidden(site, tmp_path):
    """Names are data; web.config and dot names do not show."""
    (site / "dir" / ".hidden").write_text("x")
    (site / "dir" / "web.config").write_text("<configuration />")
    (site / "dir" / "<b>.txt").write_text("x")
    (site / "dir" / "sub").mkdir()
    os.mkfifo(site / "dir" / "pipe.txt")
    (site / "dir" / "dead.txt").symlink_to("nowhere")
    exchange = get(tmp_path, "/dir/", '<directoryBrowse enabled="true" />')
    page = exchange.body.decode()
    assert exchange.headers()["content-type"].startswith("text/html")
    assert '<A HREF="/dir/b%20&amp;%20c.txt">b &amp; c.txt</A>' in page
    assert "&lt;b&gt;.txt" in page
    assert "&lt;dir&gt;" in page
    assert "[To Parent Directory]" in page
    assert "hidden" not in page
    assert "web.config" not in page
    assert "pipe.txt" not in page
    assert "dead.txt" not in page
    # A browser shows each line end within <pre>: one more than <br> says is an empty line.
    assert "\n" not in page.partition("<pre>")[2]


def test_a_listing_links_only_what_a_url_reaches(site, tmp_path):
    """No UTF-8, a backslash, an escape as part of the name: shown, without a link."""
    for name in (
        b"odd\xff.txt",
        b"back\\slash.txt",
        b"escape%41.txt",
        b"100%.txt",
        b"n\xc2\xa0b.txt",
    ):
        (site / "dir" / os.fsdecode(name)).touch()
    listing = '<directoryBrowse enabled="true" />'
    page = get(tmp_path, "/dir/", listing).body.decode()
    for shown in ("odd?.txt<br>", "back\\slash.txt<br>", "escape%41.txt<br>"):
        assert f" {shown}" in page
    assert '<A HREF="/dir/100%25.txt">100%.txt</A>' in page
    assert '<A HREF="/dir/n%C2%A0b.txt">' in page
    escaping = '<security><requestFiltering allowDoubleEscaping="true" /></security>'
    page = get(tmp_path, "/dir/", listing + escaping).body.decode()
    assert '<A HREF="/dir/escape%2541.txt">escape%41.txt</A>' in page


def filtering(inner, **attributes):
    text = " ".join(f'{k}="{v}"' for k, v in attributes.items())
    return f"<security><requestFiltering {text}>{inner}</requestFiltering></security>"


@pytest.mark.parametrize(
    ("inner", "changes", "expected"),
    [
        ('<requestLimits maxUrl="5" />', {"path": "/123456"}, "404.14"),
        ('<requestLimits maxQueryString="2" />', {"path": "/a.txt", "query": "abc"}, "404.15"),
        (
            '<requestLimits maxAllowedContentLength="2" />',
            {"path": "/a.txt", "method": "POST", "body": b"abc"},
            "413.1",
        ),
        (
            '<requestLimits><headerLimits><add header="X-A" sizeLimit="1" /></headerLimits>'
            "</requestLimits>",
            {"path": "/a.txt", "fields": [("x-a", "ab")]},
            "431.0",
        ),
        ('<verbs><add verb="PUT" allowed="false" /></verbs>', {"method": "PUT"}, "404.6"),
        (
            '<verbs allowUnlisted="false"><add verb="GET" allowed="true" /></verbs>',
            {"method": "POST"},
            "404.6",
        ),
        (
            '<fileExtensions><add fileExtension=".txt" allowed="false" /></fileExtensions>',
            {"path": "/a.TXT"},
            "404.7",
        ),
        ('<denyUrlSequences><add sequence="dIr" /></denyUrlSequences>', {"path": "/dir/"}, "404.5"),
        (
            '<denyQueryStringSequences><add sequence="drop" /></denyQueryStringSequences>',
            {"path": "/a.txt", "query": "x=%64rop"},
            "404.18",
        ),
        (
            '<filteringRules><filteringRule name="r" scanQueryString="true"><denyStrings>'
            '<add string="evil" /></denyStrings></filteringRule></filteringRules>',
            {"path": "/a.txt", "query": "EVIL"},
            "404.19",
        ),
    ],
)
def test_request_filtering(site, tmp_path, inner, changes, expected):
    """Each rule has its sub-status; without the rule the same request passes it."""
    changes.setdefault("path", "/a.txt")
    assert outcome(get(tmp_path, web_server=filtering(inner), **changes)) == expected
    assert outcome(get(tmp_path, **changes)) != expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/" + "a/" * 31 + "a", "404.0"),
        ("/" + "a/" * 32, "404.0"),
        ("/" + "a/" * 32 + "a", "404.20"),
    ],
)
def test_more_segments_than_the_site_allows_are_404_20(site, tmp_path, path, expected):
    """limits/maxUrlSegments of the site, 32 by default; a slash at the end begins none."""
    assert outcome(get(tmp_path, path)) == expected


def test_double_escaping_may_be_allowed(site, tmp_path):
    """allowDoubleEscaping lets a path through that is still escaped after decoding."""
    allowed = filtering("", allowDoubleEscaping="true")
    assert outcome(get(tmp_path, "/a%2etxt", allowed)) == "404.0"


REMOTE = {"remote_addr": "192.0.2.1"}


def test_detailed_errors_are_for_local_requests_only(site, tmp_path):
    """Physical paths are no business of others; nothing from outside is markup."""
    page = get(tmp_path, "/<b>.txt").body
    assert b"404.0" in page
    assert b"Physical Path" in page
    assert b"<b>" not in page
    page = get(tmp_path, "/none.txt", **REMOTE).body
    assert b"Physical Path" not in page
    assert b"404" in page


def test_custom_pages(site, tmp_path):
    """File in the client's language, redirect, and detailed for all where it is asked for.

    A file of the application may be written with Windows' slashes.
    """
    (tmp_path / "pages" / "de").mkdir(parents=True)
    (tmp_path / "pages" / "en-US").mkdir()
    (tmp_path / "pages" / "de" / "404.htm").write_text("weg")
    (tmp_path / "pages" / "en-US" / "404.htm").write_text("gone")
    form = (
        '<httpErrors errorMode="{}"><remove statusCode="404" /><error statusCode="404" {} />'
        "</httpErrors>"
    )
    file = f'prefixLanguageFilePath="{tmp_path}/pages" path="404.htm"'
    custom = form.format("Custom", file)
    assert get(tmp_path, "/none", custom).body == b"gone"
    fields = [("Accept-Language", "de;q=0.9, en")]
    assert get(tmp_path, "/none", custom, fields=fields).body == b"weg"
    fields = [("Accept-Language", "../../..")]
    assert get(tmp_path, "/none", custom, fields=fields).body == b"gone"
    (site / "errors").mkdir()
    (site / "errors" / "404.htm").write_text("of the site")
    windows = form.format("Custom", 'path="errors\\404.htm"')
    assert get(tmp_path, "/none", windows).body == b"of the site"
    redirect = form.format("Custom", 'path="http://x/" responseMode="Redirect"')
    exchange = get(tmp_path, "/none", redirect)
    assert (exchange.status, exchange.headers()["location"]) == (302, "http://x/")
    detailed = '<httpErrors errorMode="Detailed" />'
    assert b"Physical Path" in get(tmp_path, "/none", detailed, **REMOTE).body


def test_options_trace_and_added_fields(site, tmp_path):
    """OPTIONS is answered, TRACE is 501 unless allowed, custom fields go with everything."""
    exchange = get(tmp_path, "/", method="OPTIONS")
    assert exchange.status == 200
    assert exchange.headers()["allow"] == exchange.headers()["public"] == "OPTIONS, GET, HEAD, POST"
    assert outcome(get(tmp_path, "/", method="TRACE")) == "501.0"
    allowed = '<httpProtocol allowTrace="true" />'
    fields = [("Host", "h"), ("Cookie", "secret"), ("X-A", "1")]
    exchange = get(tmp_path, "/", allowed, method="TRACE", fields=fields)
    assert exchange.body == b"TRACE / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n"
    added = (
        '<httpProtocol><customHeaders><add name="X-By" value="us" /></customHeaders></httpProtocol>'
    )
    assert get(tmp_path, "/a.txt", added).headers()["x-by"] == "us"
    assert get(tmp_path, "/none.txt", added).headers()["x-by"] == "us"


def test_a_field_that_cannot_be_sent_costs_no_response(site, tmp_path):
    """`was config validate` says it; the others are there."""
    added = """<httpProtocol><customHeaders>
      <add name="A B" value="1" /><add name="X" value="&#10;" />
      <add name="Connection" value="close" /><add name="Y" value="2" />
      </customHeaders></httpProtocol>"""
    exchange = get(tmp_path, "/a.txt", added)
    assert (exchange.status, exchange.headers()["y"]) == (200, "2")
    assert exchange.headers().keys().isdisjoint({"a b", "x", "connection"})


def test_virtual_directories(site, tmp_path):
    """The longest path wins; letter case of the virtual directory does not matter."""
    (tmp_path / "media" / "deep").mkdir(parents=True)
    (tmp_path / "media" / "m.txt").write_text("m")
    vdirs = f'<virtualDirectory path="/Media" physicalPath="{tmp_path}/media" />'
    server = make_server(tmp_path, vdirs=vdirs)
    assert ask(server, path="/media/m.txt").body == b"m"
    assert outcome(ask(server, path="/mediax/m.txt")) == "404.0"
    assert ask(server, path="/media").status == 301


def test_log_selection(site, tmp_path):
    """dontLog and selectiveLogging: an empty text means no line."""
    assert get(tmp_path, "/a.txt").log
    assert get(tmp_path, "/a.txt", '<httpLogging dontLog="true" />').log == ""
    errors = '<httpLogging selectiveLogging="LogError" />'
    assert get(tmp_path, "/a.txt", errors).log == ""
    assert get(tmp_path, "/none.txt", errors).log


@pytest.mark.parametrize(("wanted", "statuses"), [("LogSuccessful", [200]), ("LogError", [404])])
@pytest.mark.parametrize("path", ["/a.txt", "/none.txt"])
def test_what_is_logged_is_decided_by_the_status_that_is_sent(
    site, tmp_path, path, wanted, statuses
):
    """An error whose page is answered 200 by ExecuteURL is a 200 of the log, too."""
    page = '<error statusCode="404" path="/a.txt" responseMode="ExecuteURL" />'
    selected = f'<httpLogging selectiveLogging="{wanted}" />'
    bare = f'<httpErrors errorMode="Custom"><clear /></httpErrors>{selected}'
    exchange = get(tmp_path, path, bare)
    assert bool(exchange.log) == (exchange.status in statuses)
    exchange = get(tmp_path, path, bare.replace("<clear />", f"<clear />{page}"))
    assert exchange.status == 200
    assert bool(exchange.log) == (200 in statuses)


def test_dates_survive_the_round_trip():
    """Every date we write we read again."""
    for seconds in (0, 951782400, 951868799, 1_000_000_000, 4102444800, 1709164800):
        assert parse_date(format_date(seconds)) == seconds
    assert parse_date("Sun, 09 Xxx 2001 01:46:40 GMT") is None


def test_ranges_of_nothing():
    """An empty file satisfies none."""
    assert parse_ranges("bytes=0-", 0) == []
    assert parse_ranges("bytes=-1", 0) == []


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("bytes=0-4,,6-7", [(0, 5), (6, 2)]),
        ("bytes=,0-1 , ", [(0, 2)]),
        ("bytes=", None),
        ("bytes=, ,", None),
        ("bytes=,x", None),
        ("bytes=0-1" + "," * 16, None),
    ],
)
def test_empty_elements_of_a_list_of_ranges_are_passed_over(text, ranges):
    """RFC 9110, 5.6.1; but there is one at least, and not more commas than ranges may be."""
    assert parse_ranges(text, 10) == ranges


def test_no_date_of_a_file_is_later_than_the_answer(site, tmp_path):
    """RFC 9110, 8.8.2.1: a file from the future is told to be of now, and is never unmodified."""
    os.utime(site / "a.txt", (4_000_000_000, 4_000_000_000))
    begin = int(time.time())
    headers = get(tmp_path, "/a.txt").headers()
    told = parse_date(headers["last-modified"])
    assert told is not None
    assert begin <= told <= time.time()
    since = [("If-Modified-Since", headers["last-modified"])]
    assert get(tmp_path, "/a.txt", fields=since).status == 200
