"""StaticCompressionModule and DynamicCompressionModule, attribute by attribute."""

import gzip
import os
import threading
import zlib

import pytest
from fake_exchange import WSGI, FakeExchange, ask, make_request, make_server

from was.worker.compression.compressed_files import CompressedFiles
from was.worker.compression.cpu_gate import CpuGate
from was.worker.compression.encoders import Coding

TEXT = b"".join(b"line %d\n" % number for number in range(2000))
GZIP = [("Accept-Encoding", "gzip, deflate, br")]


@pytest.fixture(autouse=True)
def _temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.txt").write_bytes(TEXT)
    (folder / "small.txt").write_bytes(TEXT[:2699])
    (folder / "a.png").write_bytes(TEXT)
    (folder / "large.txt").write_bytes(os.urandom(200_000).hex().encode())
    return folder


def static(attributes="", inner="", url=""):
    return f"""<httpCompression staticCompressionIgnoreHitFrequency="true" {attributes}>{inner}
      </httpCompression><urlCompression {url} />"""


def cached(tmp_path):
    return sorted(tmp_path.rglob("*.gzip"))


def test_a_file_goes_out_compressed(site, tmp_path):
    """Coding, length, weak validator, Vary; the second answer comes from the disk cache."""
    server = make_server(tmp_path, static())
    plain = ask(server, path="/a.txt")
    assert plain.body == TEXT
    assert plain.headers()["vary"] == "Accept-Encoding"
    first = ask(server, path="/a.txt", fields=GZIP)
    assert first.headers()["content-encoding"] == "gzip"
    assert gzip.decompress(first.body) == TEXT
    assert first.length == len(first.body)
    assert first.headers()["vary"] == "Accept-Encoding"
    assert first.headers()["etag"] == "W/" + plain.headers()["etag"]
    (file,) = cached(tmp_path)
    assert file.stat().st_mode & 0o077 == 0
    file.write_bytes(gzip.compress(b"from the cache"))
    assert gzip.decompress(ask(server, path="/a.txt", fields=GZIP).body) == b"from the cache"
    head = ask(server, path="/a.txt", method="HEAD", fields=GZIP)
    assert (head.body, head.length) == (b"", file.stat().st_size)
    assert head.headers()["content-encoding"] == "gzip"
    for has in (first, plain):  # the validator of a 304 finds what the client has (RFC 9111 4.3.4)
        etag = has.headers()["etag"]
        fresh = ask(server, path="/a.txt", fields=[*GZIP, ("If-None-Match", etag)])
        assert (fresh.status, fresh.headers()["vary"]) == (304, "Accept-Encoding")
        assert fresh.headers()["etag"] == etag


def test_a_large_compressed_file_goes_by_descriptor(site, tmp_path):
    """Bytes beyond 64 KiB never enter the worker again; no descriptor stays open."""
    server = make_server(tmp_path, static())
    before = len(os.listdir("/proc/self/fd"))
    exchange = ask(server, path="/large.txt", fields=GZIP)
    assert exchange.file is not None
    assert gzip.decompress(exchange.body) == (site / "large.txt").read_bytes()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("settings", "path", "changes"),
    [
        (static(), "/small.txt", {}),
        (static('minFileSizeForComp="50000"'), "/a.txt", {}),
        (static(), "/a.png", {}),
        (static(), "/a.txt", {"version": 10}),
        (static(), "/a.txt", {"fields": [*GZIP, ("Via", "1.1 proxy")]}),
        (static(), "/a.txt", {"fields": [*GZIP, ("Range", "lines=1-2")]}),
        (static(), "/a.txt", {"fields": [("Accept-Encoding", "gzip;q=0")]}),
        (static(url='doStaticCompression="false"'), "/a.txt", {}),
        (static(inner='<clear /><scheme name="unknown" />'), "/a.txt", {}),
        (
            static(inner='<clear /><scheme name="gzip" doStaticCompression="false" />'),
            "/a.txt",
            {},
        ),
        (
            static(
                inner='<staticTypes><add mimeType="text/plain" enabled="false" /></staticTypes>'
            ),
            "/a.txt",
            {},
        ),
    ],
)
def test_what_goes_as_it_is(site, tmp_path, settings, path, changes):
    """Too small, another type, an old client, a proxy, a range, a refused coding, switched off."""
    exchange = ask(make_server(tmp_path, settings), path=path, **{"fields": GZIP, **changes})
    assert exchange.status == 200
    assert exchange.body == (site / path[1:]).read_bytes()
    assert "content-encoding" not in exchange.headers()


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (static('noCompressionForHttp10="false"'), {"version": 10}),
        (
            static('noCompressionForProxies="false"'),
            {"fields": [*GZIP, ("Via", "1.1 proxy")]},
        ),
        (
            static('noCompressionForRange="false"'),
            {"fields": [*GZIP, ("Range", "lines=1-2")]},
        ),
        (
            static(inner='<staticTypes><add mimeType="text/plain" enabled="true" /></staticTypes>'),
            {},
        ),
    ],
)
def test_what_goes_compressed_when_allowed(site, tmp_path, settings, changes):
    """Each of the three refusals can be switched off."""
    exchange = ask(make_server(tmp_path, settings), path="/a.txt", **{"fields": GZIP, **changes})
    assert gzip.decompress(exchange.body) == TEXT


def test_a_default_document_goes_out_compressed(site, tmp_path):
    """It is a child request of the folder's, whose answer it becomes."""
    (site / "index.html").write_bytes(TEXT)
    exchange = ask(make_server(tmp_path, static()), path="/", fields=GZIP)
    assert exchange.headers()["content-encoding"] == "gzip"
    assert gzip.decompress(exchange.body) == TEXT
    assert exchange.length == len(exchange.body)


def test_a_part_of_a_file_is_never_compressed(site, tmp_path):
    """206 says which bytes of the file it holds."""
    server = make_server(tmp_path, static('noCompressionForRange="false"'))
    exchange = ask(server, path="/a.txt", fields=[*GZIP, ("Range", "bytes=0-3")])
    assert (exchange.status, exchange.body) == (206, TEXT[:4])
    assert "content-encoding" not in exchange.headers()


@pytest.mark.parametrize(
    ("status", "field"),
    [
        (206, ("Range", "bytes=0-3")),
        (206, ("Range", "bytes=0-1,-1")),
        (304, ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")),
    ],
)
def test_a_part_and_an_unmodified_file_say_vary_as_the_whole_does(site, tmp_path, status, field):
    """RFC 9110, 15.3.7 and 15.4.5: else a cache gives what it has to every client."""
    exchange = ask(make_server(tmp_path, static()), path="/a.txt", fields=[field])
    assert exchange.status == status
    assert exchange.headers()["vary"] == "Accept-Encoding"


def test_only_what_is_hit_frequently_is_compressed(site, tmp_path):
    """The second hit within the period, as serverRuntime says; then from the cache."""
    server = make_server(tmp_path, '<serverRuntime frequentHitThreshold="3" />')
    codings = [
        ask(server, path="/a.txt", fields=GZIP).headers().get("content-encoding") for _ in range(4)
    ]
    assert codings == [None, None, "gzip", "gzip"]
    again = make_server(tmp_path, '<serverRuntime frequentHitThreshold="3" />')
    assert ask(again, path="/a.txt", fields=GZIP).headers()["content-encoding"] == "gzip"


def test_send_cache_headers(site, tmp_path):
    """cacheControlHeader and expiresHeader go with compressed answers only."""
    settings = static('sendCacheHeaders="true" cacheControlHeader="max-age=5" expiresHeader="0"')
    server = make_server(tmp_path, settings)
    headers = ask(server, path="/a.txt", fields=GZIP).headers()
    assert (headers["cache-control"], headers["expires"]) == ("max-age=5", "0")
    assert "expires" not in ask(server, path="/a.txt").headers()


def test_a_changed_file_is_compressed_anew(site, tmp_path):
    """And its older form is gone from the cache."""
    server = make_server(tmp_path, static())
    ask(server, path="/a.txt", fields=GZIP)
    (site / "a.txt").write_bytes(TEXT * 2)
    assert gzip.decompress(ask(server, path="/a.txt", fields=GZIP).body) == TEXT * 2
    assert len(cached(tmp_path)) == 1


def test_the_cache_keeps_to_its_limit(site, tmp_path):
    """maxDiskSpaceUsage; what is unused for longest goes; not with doDiskSpaceLimiting=false."""
    for number in range(12):
        (site / f"{number}.txt").write_bytes(os.urandom(100_000).hex().encode())

    def usage(folder, attributes):
        server = make_server(tmp_path, static(f'directory="{tmp_path}/{folder}" {attributes}'))
        for number in range(12):
            ask(server, path=f"/{number}.txt", fields=GZIP)
        files = [path for path in (tmp_path / folder).rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files)

    assert usage("one", 'maxDiskSpaceUsage="1"') <= 1 << 20
    assert usage("two", 'maxDiskSpaceUsage="1" doDiskSpaceLimiting="false"') > 1 << 20
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["pool-pool"]


def test_files_of_others_in_the_cache_are_not_sent(site, tmp_path, monkeypatch):
    """A folder that others can write to must not let them choose what clients get."""
    server = make_server(tmp_path, static())
    ask(server, path="/a.txt", fields=GZIP)
    (file,) = cached(tmp_path)
    file.write_bytes(gzip.compress(b"planted"))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    other = make_server(tmp_path, static())
    assert gzip.decompress(ask(other, path="/a.txt", fields=GZIP).body) == TEXT


def test_a_folder_that_cannot_be_written_costs_compression_only(site, tmp_path, capfd):
    """The file goes out as it is, and the log says once why."""
    (tmp_path / "file").write_text("")
    (tmp_path / "tmp" / "compressed").write_text("")
    server = make_server(tmp_path, static(f'directory="{tmp_path}/file"'))
    for _ in range(2):
        assert ask(server, path="/a.txt", fields=GZIP).body == TEXT
    assert capfd.readouterr().err.count("compression_failed") == 1


# ── what applications answer ────────────────────────────────────────────────────────────────────

APP = """
BODY = b"".join(b"line %d\\n" % number for number in range(2000))
def application(environ, start_response):
    path = environ["PATH_INFO"]
    fields = [("Content-Type", "text/html; charset=utf-8")]
    if path == "/json":
        fields = [("Content-Type", "application/json")]
    if path == "/coded":
        fields.append(("Content-Encoding", "br"))
    if path == "/fixed":
        fields.append(("Cache-Control", "no-transform"))
    if path == "/tagged":
        fields += [("ETag", '"x"'), ("Vary", "Cookie")]
    if path == "/tiny":
        start_response("200 OK", fields)
        return [b"x"]
    if path == "/none":
        start_response("204 No Content", fields)
        return []
    if path == "/length":
        fields.append(("Content-Length", str(len(BODY))))
    start_response("404 Not Found" if path == "/missing" else "200 OK", fields)
    if path == "/stream":
        return (BODY[at:at + 5000] for at in range(0, len(BODY), 5000))
    if path == "/file":
        return environ["wsgi.file_wrapper"](open(environ["app.file"], "rb"))
    return [BODY]
"""


def dynamic(attributes="", inner="", url=""):
    return f"""<httpCompression dynamicCompressionDisableCpuUsage="100" {attributes}>{inner}
      </httpCompression><urlCompression doDynamicCompression="true" {url} />"""


@pytest.fixture
def app(tmp_path):
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "compressed_app.py").write_text(APP)

    def make(settings=None):
        settings = dynamic() if settings is None else settings
        return make_server(tmp_path, WSGI.format("compressed_app:application") + settings)

    return make


def test_an_answer_goes_out_compressed(app):
    """One message with its own length; with no coding accepted it stays as it is, but says Vary."""
    server = app()
    for path in ("/", "/length"):
        exchange = ask(server, path=path, fields=GZIP)
        assert exchange.calls == ["finish"]
        assert gzip.decompress(exchange.body) == TEXT
        assert exchange.length == len(exchange.body)
        assert exchange.headers()["vary"] == "Accept-Encoding"
    plain = ask(server, path="/")
    assert (plain.body, plain.headers()["vary"]) == (TEXT, "Accept-Encoding")
    tagged = ask(server, path="/tagged", fields=GZIP).headers()
    assert (tagged["etag"], tagged["vary"]) == ('W/"x"', "Cookie, Accept-Encoding")


def test_each_flush_reaches_the_client(app):
    """What the application has sent can be decoded when it has sent it; the length is unknown."""
    exchange = ask(app(), path="/stream", fields=GZIP)
    assert exchange.length == -1
    decoder = zlib.decompressobj(31)
    lengths = [len(decoder.decompress(piece)) for piece in exchange.writes]
    assert lengths == [5000] * (len(TEXT) // 5000) + (
        [len(TEXT) % 5000] if len(TEXT) % 5000 else []
    )
    assert gzip.decompress(exchange.body) == TEXT
    assert exchange.calls[-1] == "end"


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/json", {}),
        ("/coded", {}),
        ("/fixed", {}),
        ("/tiny", {}),
        ("/none", {}),
        ("/missing", {}),
        ("/", {"version": 10}),
        ("/", {"fields": [*GZIP, ("Via", "1.1 proxy")]}),
        ("/", {"fields": [*GZIP, ("Range", "bytes=0-3")]}),
        ("/", {"method": "HEAD"}),
    ],
)
def test_what_an_application_sends_as_it_is(app, path, changes):
    """Other types, coded already, no-transform, not worth it, no body, an error, clients unfit."""
    exchange = ask(app(), path=path, **{"fields": GZIP, **changes})
    assert exchange.headers().get("content-encoding") in (None, "br")
    assert not exchange.body.startswith(b"\x1f\x8b")


@pytest.mark.parametrize("path", ["/", "/length", "/stream"])
def test_head_is_told_no_length_that_get_would_not_have(app, path):
    """RFC 9110 8.6: the coded body's or none; who takes no coding is told that of the content."""
    server = app()
    assert ask(server, path=path, method="HEAD", fields=GZIP).length == -1
    if path != "/stream":
        assert ask(server, path=path, method="HEAD").length == len(TEXT)


def test_dynamic_compression_is_off_unless_switched_on(app):
    """As in IIS where the feature is not installed; then its call lists are empty."""
    server = app("")
    exchange = ask(server, path="/", fields=GZIP)
    assert (exchange.body, "vary" in exchange.headers()) == (TEXT, False)
    (application,) = server.applications
    assert len(application.calls.send_response) == 1  # CustomErrorModule


def test_beyond_the_buffer_limit_the_coded_body_is_kept_in_a_file(app, tmp_path):
    """dynamicCompressionBufferLimit bounds memory; nothing is left open or lying about."""
    server = app(dynamic('dynamicCompressionBufferLimit="1000"'))
    before = len(os.listdir("/proc/self/fd"))
    exchange = ask(server, path="/", fields=GZIP)
    assert exchange.file is not None
    assert gzip.decompress(exchange.body) == TEXT
    streamed = ask(server, path="/stream", fields=GZIP)
    assert gzip.decompress(streamed.body) == TEXT
    assert len(os.listdir("/proc/self/fd")) == before
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(("before", "encodings"), [("true", 1), ("false", 2)])
def test_before_or_after_the_output_cache(app, monkeypatch, before, encodings):
    """dynamicCompressionBeforeCache: the cache keeps the coded form, or each answer is coded; who
    does not take the coding gets the content as it is."""
    made = []
    encoder = Coding.encoder
    monkeypatch.setattr(Coding, "encoder", lambda self: made.append(self) or encoder(self))
    caching = """<caching><profiles><add extension="*" policy="CacheForTimePeriod" /></profiles>
      </caching>"""
    server = app(dynamic(url=f'dynamicCompressionBeforeCache="{before}"') + caching)
    for _ in range(2):
        exchange = ask(server, path="/", fields=GZIP)
        assert gzip.decompress(exchange.body) == TEXT
        assert exchange.headers()["vary"] == "Accept-Encoding"
        assert ask(server, path="/", fields=[]).body == TEXT
    assert len(made) == encodings


def test_busy_processors_compress_nothing_more(app, tmp_path, monkeypatch):
    """Neither answers nor files; what is in the disk cache is sent all the same."""
    both = dynamic('staticCompressionIgnoreHitFrequency="true"')
    handler = WSGI.format("compressed_app:application").replace('path="*"', 'path="/"')
    server = make_server(tmp_path, handler + both)
    (tmp_path / "site" / "files").mkdir()
    (tmp_path / "site" / "files" / "a.txt").write_bytes(TEXT)
    ask(server, path="/files/a.txt", fields=GZIP)
    monkeypatch.setattr(CpuGate, "is_open", lambda self: False)
    assert ask(server, path="/", fields=GZIP).body == TEXT
    (tmp_path / "site" / "files" / "b.txt").write_bytes(TEXT)
    assert ask(server, path="/files/b.txt", fields=GZIP).body == TEXT
    assert gzip.decompress(ask(server, path="/files/a.txt", fields=GZIP).body) == TEXT


@pytest.mark.parametrize(
    ("inner", "coding"),
    [
        ('<scheme name="br" />', "br"),
        ('<scheme name="br" doDynamicCompression="false" />', "gzip"),
        ('<clear /><scheme name="br" /><scheme name="gzip" />', "br"),
        ('<clear /><scheme name="zstd" />', "zstd"),
        ('<clear /><scheme name="deflate" />', "deflate"),
    ],
)
def test_schemes_of_applications(app, inner, coding):
    """Those that the configuration has and the client takes."""
    accepted = [("Accept-Encoding", "gzip;q=0.5, br, zstd;q=0.9, deflate;q=0.1")]
    exchange = ask(app(dynamic(inner=inner)), path="/", fields=accepted)
    assert exchange.headers()["content-encoding"] == coding


def test_levels(app):
    """dynamicCompressionLevel: from fast to small."""
    sizes = []
    for level in (0, 10):
        inner = f'<clear /><scheme name="gzip" dynamicCompressionLevel="{level}" />'
        sizes.append(len(ask(app(dynamic(inner=inner)), path="/", fields=GZIP).body))
    assert sizes[0] > sizes[1]


def test_a_client_that_leaves_costs_nothing_more(app):
    """The encoder goes with the request."""
    exchange = FakeExchange(make_request(path="/stream", fields=GZIP), gone_after=50)
    assert ask(app(), exchange).calls[-1] == "abort"


def test_a_file_is_never_compressed_twice(site, tmp_path):
    """Files are StaticCompressionModule's, also before they are hit frequently."""
    server = make_server(tmp_path, dynamic())
    assert ask(server, path="/a.txt", fields=GZIP).body == TEXT
    assert gzip.decompress(ask(server, path="/a.txt", fields=GZIP).body) == TEXT


@pytest.mark.parametrize("directory", ["%SystemDrive%\\inetpub\\temp", "{}/file"])
def test_the_pools_own_folder_is_used_where_the_other_cannot_be(site, tmp_path, directory):
    """IIS's own file names a drive; a pool's identity may not write to the server's folders."""
    (tmp_path / "file").write_text("")
    server = make_server(tmp_path, static(f'directory="{directory.format(tmp_path)}"'))
    assert gzip.decompress(ask(server, path="/a.txt", fields=GZIP).body) == TEXT
    (file,) = cached(tmp_path)
    assert file.parent == tmp_path / "tmp" / "compressed" / "pool-pool"


def test_two_that_find_the_first_folder_closed_leave_it_once(site, tmp_path, monkeypatch, capfd):
    """The second of them took the next folder for broken: nothing was compressed any more."""
    (tmp_path / "file").write_text("")
    files = CompressedFiles([f"{tmp_path}/file/pool", f"{tmp_path}/good"], 0)
    both, make_folders = threading.Barrier(2, timeout=10), os.makedirs

    def make_together(name, **how):
        if name.startswith(f"{tmp_path}/file"):
            both.wait()
        make_folders(name, **how)

    monkeypatch.setattr(os, "makedirs", make_together)
    made = []

    def make(name):
        with (site / name).open("rb") as file:
            status = os.fstat(file.fileno())
            made.append(files.make(name, status, Coding("gzip", 6, "zlib"), file.fileno()))

    threads = [threading.Thread(target=make, args=(name,)) for name in ("a.txt", "a.png")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(made) >= 0
    for fd in made:
        os.close(fd)
    said = capfd.readouterr().err
    assert (said.count("compression_elsewhere"), said.count("compression_failed")) == (1, 0)
