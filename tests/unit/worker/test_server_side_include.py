"""Server-side includes: what each directive leaves in the page."""

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rewriting_site import Site

from was.worker.static.ssi_page import Directive, parse_page

APP = """
def app(environ, start_response):
    status = "500 No" if "fail" in environ["QUERY_STRING"] else "200 OK"
    start_response(status, [("Content-Type", "text/plain"), ("X-Of", "app")])
    path = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
    return [f"<{path}?{environ['QUERY_STRING']}>".encode()]
"""
HANDLER = (
    '<handlers><add name="app" path="/run*" verb="*" modules="WsgiModule" '
    'scriptProcessor="run_app:app" /></handlers>'
)
WENT_WRONG = "Error processing SSI file"


@pytest.fixture
def site(tmp_path):
    def make(pages, more="", **parts):
        root = tmp_path / "site"
        for name, text in {"run_app.py": APP, **pages}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
            os.utime(root / name, (86400, 86400))
        return Site(tmp_path, HANDLER + more, **parts)

    return make


def page(site, text, query="", more="", **pages):
    return site({"a.shtml": text, **pages}, more).ask("/a.shtml", query).body.decode()


INCLUDES = [
    ('<!--#include file="b.inc"-->', "[b]"),
    ('<!-- #INCLUDE FILE = "sub/c.inc" -->', "[c sub]"),
    ('<!--#include virtual="/sub/c.inc" -->', "[c sub]"),
    ('<!--#include virtual="sub/c.inc" -->', "[c sub]"),
    ("<!--#include virtual='/run/x?q=1' -->", "</run/x?q=1>"),
    ("<!--#exec cgi='/run/x' -->", "</run/x?own=1>"),
    ("<!--#exec CGI=/run/x?z -->", "</run/x?z>"),
    ('<!--#include virtual="/run/x?fail" -->', WENT_WRONG),
    ('<!--#include file="none.inc" -->', WENT_WRONG),
    ('<!--#include virtual="/none.inc" -->', WENT_WRONG),
    ('<!--#include file="/b.inc" -->', WENT_WRONG),
    ('<!--#include file="../b.inc" -->', WENT_WRONG),
    ('<!--#include file="sub" -->', WENT_WRONG),
    ("<!--#include -->", WENT_WRONG),
    ("<!--#exec cmd='echo no' -->", WENT_WRONG),
    ('<!--#config errmsg="oh"--><!--#include file="none.inc"-->', "oh"),
    ('<!--#fsize file="sub/c.inc" -->', "1K"),
    ('<!--#config sizefmt="bytes"--><!--#fsize virtual="/large.bin" -->', "12,345"),
    ('<!--#fsize virtual="/large.bin" -->', "13K"),
    ('<!--#config timefmt="%Y-%m-%d"--><!--#flastmod file="b.inc"-->', "1970-01-02"),
    ("<!--#flastmod file='none'-->", WENT_WRONG),
    ("<!--#echo var='DOCUMENT_URI'-->", "/a.shtml"),
    ("<!--#echo var='query_string_unescaped'-->", "own=1"),
    ("<!--#echo var='HTTP_HOST'-->", "localhost:8080"),
    ("<!--#echo var='NOTHING'-->", ""),
    ("<!--#echo file='x'-->", WENT_WRONG),
    ("<!--#other x='y'-->", "<!--#other x='y'-->"),
    ("<!--#echo var='URL'", "<!--#echo var='URL'"),
    ("<!-- words -->", "<!-- words -->"),
]


@pytest.mark.parametrize(("text", "expected"), INCLUDES)
def test_directives(site, text, expected):
    """Each directive with what it leaves; one that cannot be followed does not end the page."""
    pages = {
        "b.inc": "[b]",
        "sub/c.inc": '[c <!--#include file="d.inc"-->]',
        "sub/d.inc": "sub",
        "large.bin": "x" * 12345,
    }
    assert page(site, f"1{text}2", "own=1", **pages) == f"1{expected}2"


def test_the_answer_is_the_pages(site):
    """Type and status are the page's, not those of what it includes; nothing is kept for long."""
    answer = site({"a.stm": "<!--#include virtual='/run'-->"}).ask("/a.stm")
    assert answer.status == 200
    assert answer.headers()["content-type"] == "text/html"
    assert "x-of" not in answer.headers()
    assert answer.length == len(answer.body)
    assert site({}).ask("/b.stm").status == 404
    assert site({}).ask("/a.stm", method="HEAD").body == b""


def test_what_a_client_sends_is_no_markup(site):
    """An echoed variable is escaped."""
    text = "<!--#echo var='QUERY_STRING_UNESCAPED'--><!--#echo var='HTTP_USER_AGENT'-->"
    served = site({"a.shtml": text})
    fields = [("Host", "h"), ("User-Agent", "<b>")]
    assert served.ask("/a.shtml", "%3Cscript%3E", fields=fields).body == (
        b"&lt;script&gt;&lt;b&gt;"
    )


def test_dates(site):
    """DATE_LOCAL, DATE_GMT and LAST_MODIFIED by timefmt."""
    text = (
        "<!--#config timefmt='%Y'--><!--#echo var='DATE_GMT'--> "
        "<!--#echo var='LAST_MODIFIED'--> <!--#echo var='DATE_LOCAL'-->"
    )
    year = time.strftime("%Y")
    assert page(site, text) == f"{year} 1970 {year}"


def test_exec_can_be_turned_off(site):
    """ssiExecDisable is about every #exec."""
    text = "<!--#exec cgi='/run'--> <!--#exec cmd='echo no'--> <!--#include virtual='/run'-->"
    more = '<serverSideInclude ssiExecDisable="true" cmdDirectiveEnabled="true" />'
    assert page(site, text, more=more) == f"{WENT_WRONG} {WENT_WRONG} </run?>"


def test_the_file_of_an_include_that_fails_is_closed(site, tmp_path):
    """What runs has answered 404 with a file: that is not part of the page, and not kept open."""
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    app = f"""
def app(environ, start_response):
    start_response("404 No", [])
    return environ["wsgi.file_wrapper"](open({str(tmp_path / "large")!r}, "rb"))
"""
    assert page(site, '<!--#include virtual="/run/x" -->', **{"run_app.py": app}) == WENT_WRONG
    with os.scandir("/proc/self/fd") as entries:
        assert str(tmp_path / "large") not in [os.path.realpath(entry.path) for entry in entries]


def test_pages_that_include_each_other_end(site):
    """Levels are counted, and directives: a page that doubles itself stays bounded."""
    assert page(site, "a<!--#include file='a.shtml'-->").count("a") <= 12
    twice = "<!--#include file='b.shtml'-->" * 8
    answer = site({"b.shtml": twice, "a.shtml": twice}).ask("/a.shtml")
    assert answer.status == 200
    assert len(answer.body) < 1 << 20


def test_links_out_of_the_site_are_not_followed(site, tmp_path):
    """A file elsewhere on the machine is not to be had through a link."""
    (tmp_path / "secret").write_text("secret")
    served = site({"a.shtml": "<!--#include file='s'-->"})
    (tmp_path / "site" / "s").symlink_to(tmp_path / "secret")
    assert served.ask("/a.shtml").body.decode() == WENT_WRONG


def test_other_methods(site):
    """PUT finds no handler of pages; what is there is not changed."""
    served = site({"a.shtml": "x"})
    assert served.ask("/a.shtml", method="PUT").status == 405


@given(st.text(alphabet="<!-#echo var='x\"> \n", max_size=60).map(str.encode))
def test_no_page_breaks_the_parser(text):
    """The pieces of bytes are those of the page, in order, with directives between them."""
    rest = text
    for piece in parse_page(text):
        if isinstance(piece, bytes):
            assert piece
            assert piece in rest
            rest = rest[rest.index(piece) + len(piece) :]
        else:
            assert isinstance(piece, Directive)


@pytest.mark.parametrize("piece", [b"<!--#echo ", b"<!--", b"<!--#echo x='", b"<!--#echo-->"])
def test_the_parser_is_linear(piece):
    """A page four times as long takes about four times as long."""
    times = []
    for count in (5_000, 20_000):
        tries = []
        for _ in range(3):  # others on the machine make one slower, never faster
            start = time.process_time()
            parse_page(piece * count)
            tries.append(time.process_time() - start)
        times.append(min(tries))
    assert times[1] < 0.05 + times[0] * 10
