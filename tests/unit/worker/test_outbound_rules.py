"""Outbound rules: headers and bodies of responses, through a whole worker."""

import gzip
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rewriting_site import Site

from was.worker.rewriting.html_tags import replace_attributes

APP = """
import gzip
def app(environ, start_response):
    q = environ["QUERY_STRING"]
    body = PAGE
    headers = [("Content-Type", "text/html; charset=utf-8"), ("X-Old", "one"),
               ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("ETag", '"e"')]
    if "moved" in q:
        headers.append(("Location", "http://inner:81/x?y"))
    if "plain" in q:
        headers[0] = ("Content-Type", "image/png")
    if "packed" in q:
        headers.append(("Content-Encoding", "gzip"))
    start_response("302 Found" if "moved" in q else "200 OK", headers)
    if "pieces" in q:
        return iter([body[:20], body[20:30], body[30:]])
    return [body]
"""
PAGE = (
    '<html><head><title>t</title></head><body><a href="/article.aspx?id=1&amp;title=some">x</a>'
    "<A class=k HREF='/article.aspx?id=2&amp;title=other'>y</A><img src=/logo.png alt=\"a>b\">"
    '<!-- <a href="/article.aspx?id=3&amp;title=no"> --><x-tag data-u="/u"/></body></html>'
)


def outbound(rules: str, more: str = "", attributes: str = "") -> str:
    return f"<rewrite><outboundRules {attributes}>{rules}{more}</outboundRules></rewrite>"


def rule(match: str, value: str, *, name="r", more="", action="", **attributes) -> str:
    extra = "".join(f' {key}="{text}"' for key, text in attributes.items())
    return (
        f'<rule name="{name}"{extra}><match {match} />{more}'
        f'<action type="Rewrite" value="{value}" {action} /></rule>'
    )


@pytest.fixture
def site(tmp_path):
    def make(rules, **parts):
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "page_app.py").write_text(APP.replace("PAGE", repr(PAGE.encode())))
        handler = (
            '<handlers><add name="app" path="/app" verb="*" modules="WsgiModule" '
            'scriptProcessor="page_app:app" /></handlers>'
        )
        return Site(tmp_path, rules + handler, **parts)

    return make


LINKS = rule(
    'filterByTags="A" pattern="^/article\\.aspx\\?id=([0-9]+)(?:&amp;|&amp;amp;)title=([a-z]+)$"',
    "/article/{R:1}/{R:2}",
)


@pytest.mark.parametrize("query", ["", "pieces"])
def test_links(site, query):
    """A link's whole address is replaced, whatever its quotes; comments stay as they are."""
    answer = site(outbound(LINKS)).ask("/app", query)
    text = answer.body.decode()
    assert '<a href="/article/1/some">' in text
    assert "<A class=k HREF='/article/2/other'>" in text
    assert "id=3&amp;title=no" in text
    assert answer.length in (len(answer.body), -1)
    assert answer.headers()["etag"] == 'W/"e"'


BODIES = [
    (rule('pattern="&lt;/head&gt;"', "&lt;x/&gt;{R:0}"), "<x/></head>"),
    (rule('pattern="/article" occurrences="1"', "/b"), '"/b.aspx?id=1'),
    (rule('filterByTags="Img" pattern="^/(.*)$"', "//cdn/{R:1}"), '<img src="//cdn/logo.png" alt'),
    (rule('filterByTags="A, Img" pattern="^" occurrences="1"', "#"), '<a href="#">'),
    (rule('filterByTags="Img" pattern="^/l" negate="true"', "#"), "<img src=/logo.png alt"),
    (rule('filterByTags="Img" pattern="none" negate="true"', "#"), '<img src="#" alt'),
    (rule('pattern="none" negate="true"', "all of it"), "all of it"),
    (rule('pattern="some"', "{ToLower:{HTTP_HOST}}{RESPONSE_X_Old}{RESPONSE_STATUS}"),
     "title=localhost:8080one200"),
    (rule('pattern="&gt;y&lt;"', "&gt;z&lt;", patternSyntax="ExactMatch"), ">z<"),
    (rule('filterByTags="Img" pattern="/*.png"', "{R:1}", patternSyntax="Wildcard"),
     '<img src="logo" alt'),
    (rule('filterByTags="A" pattern="^/.*id=1.*$"', "say &quot;no&quot;"),
     '<a href="say &quot;no&quot;">'),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "expected"), BODIES)
def test_bodies(site, rules, expected):
    """Patterns over the whole body or over attributes of tags."""
    assert expected in site(outbound(rules)).ask("/app").body.decode()


def test_custom_tags(site):
    """A collection of tags of one's own."""
    tags = (
        '<customTags><tags name="mine"><tag name="X-Tag" attribute="data-u" /></tags></customTags>'
    )
    rules = rule('filterByTags="CustomTags" customTags="Mine" pattern=".*"', "/v")
    answer = site(outbound(rules, tags)).ask("/app")
    assert b'<x-tag data-u="/v"/>' in answer.body


def test_rules_in_order(site):
    """What one rule has left is what the next one sees, until one stops."""
    rules = (
        rule('filterByTags="Img" pattern="^/logo"', "/1{R:0}", name="1")
        + rule('filterByTags="Img, A" pattern="^/1"', "/2", name="2", stopProcessing="true")
        + rule('filterByTags="Img" pattern="^/2"', "/3", name="3")
    )
    assert b'<img src="/2" ' in site(outbound(rules)).ask("/app").body


def test_headers(site):
    """RESPONSE_ variables: changed, added, removed, each line of a header by itself."""
    rules = (
        rule('serverVariable="RESPONSE_LOCATION" pattern="^http://inner:81/(.*)"',
             "https://{HTTP_HOST}/{R:1}", name="1")
        + rule('serverVariable="RESPONSE_X_Custom" pattern=".*"', "new", name="2")
        + rule('serverVariable="RESPONSE_X-Old" pattern=".+"', "", name="3")
        + rule('serverVariable="RESPONSE_Server" pattern=".+"', "", name="6")
        + rule('serverVariable="RESPONSE_Set-Cookie" pattern=".+"', "{R:0}; Secure", name="4")
        + rule('serverVariable="RESPONSE_ETag" pattern=".*"', "no", name="5",
               action='replace="false"')
    )  # fmt: skip
    answer = site(outbound(rules)).ask("/app", "moved")
    head = answer.headers()
    assert head["location"] == "https://localhost:8080/x?y"
    assert head["x-custom"] == "new"
    assert "x-old" not in head
    assert head["etag"] == '"e"'
    assert head["server"] == ""  # none at all, when the listener has sent it
    assert answer.block.count(b"; Secure") == 2


PRE_CONDITION = (
    '<preConditions><preCondition name="Htm"><add input="{RESPONSE_CONTENT_TYPE}" '
    'pattern="^text/html" /></preCondition></preConditions>'
)


def test_pre_conditions_and_conditions(site):
    """A rule is for the responses that its pre-condition admits, and places its conditions do."""
    named = (
        '<preConditions><preCondition name="Image">'
        '<add input="{RESPONSE_CONTENT_TYPE}" pattern="^image/" /></preCondition></preConditions>'
    )
    conditions = '<conditions><add input="{R:0}-{URL}" pattern="^x-/app$" /></conditions>'
    rules = rule('serverVariable="RESPONSE_X" pattern=".*"', "y", preCondition="image") + rule(
        'serverVariable="RESPONSE_Y" pattern="^"', "z", name="2", more=conditions
    )
    served = site(outbound(rules, named))
    assert "x" not in served.ask("/app").headers()
    answer = served.ask("/app", "plain")
    assert answer.headers()["x"] == "y"
    assert "y" not in answer.headers()


def test_what_is_no_text_is_left_alone(site):
    """A picture goes out byte for byte, with its own validator."""
    answer = site(outbound(rule('pattern="a"', "b"))).ask("/app", "plain")
    assert answer.body == PAGE.encode()
    assert answer.headers()["etag"] == '"e"'


@pytest.mark.parametrize(
    ("attributes", "sub_status"), [("", 52), ('rewriteBeforeCache="true"', 53)]
)
def test_encoded_content(site, attributes, sub_status):
    """500.52, or 500.53 before the cache, with the error page of a request of its own."""
    answer = site(outbound(rule('pattern="a"', "b"), attributes=attributes)).ask("/app", "packed")
    assert (answer.status, answer.sub_status) == (500, sub_status)
    assert b"gzip" in answer.body
    assert "content-encoding" not in answer.headers()


def test_encoded_content_in_pieces(site):
    """What the application sends after the failure is not part of the error page."""
    answer = site(outbound(rule('pattern="a"', "b"))).ask("/app", "packed&pieces")
    assert (answer.status, answer.sub_status) == (500, 52)
    assert b"logo.png" not in answer.body
    assert answer.body.endswith(b"</html>\n")


def test_before_the_cache(site):
    """rewriteBeforeCache gives the same response."""
    served = site(outbound(LINKS, attributes='rewriteBeforeCache="true"'))
    assert b"/article/1/some" in served.ask("/app").body
    assert b"/article/1/some" in served.ask("/app", "pieces").body


def test_a_header_that_cannot_be_set(site):
    """500.52, and not another response's head."""
    rules = rule('serverVariable="RESPONSE_X" pattern=".*"', "{UrlDecode:{QUERY_STRING}}")
    answer = site(outbound(rules)).ask("/app", "a%0d%0aSet-Cookie:x")
    assert (answer.status, answer.sub_status) == (500, 52)


def test_a_pre_condition_that_is_not_there(site):
    """Rules that cannot be compiled refuse every request of the path: 500.52."""
    answer = site(outbound(rule('pattern="a"', "b", preCondition="no"))).ask("/app")
    assert (answer.status, answer.sub_status) == (500, 52)
    assert b"preCondition" in answer.body


def test_static_files(site):
    """A file, small or large, is rewritten, and not offered in ranges."""
    served = site(outbound(rule('pattern="AA"', "B")))
    root = next(iter(served.server.applications)).physical_path
    for name, size in (("small.htm", 10), ("large.htm", 200_000)):
        with open(f"{root}/{name}", "w") as file:
            file.write("A" * size)
        answer, head = served.ask(f"/{name}"), served.ask(f"/{name}", method="HEAD")
        assert answer.body == b"B" * (size // 2)
        assert "accept-ranges" not in answer.headers()
        assert answer.headers() == head.headers()
        ranged = served.ask(f"/{name}", fields=[("Host", "h"), ("Range", "bytes=0-3")])
        assert (ranged.status, ranged.body) == (206, b"AAAA")


def test_head(site):
    """HEAD does not promise a length that GET would not have; headers are rewritten."""
    rules = rule('pattern="a"', "b") + rule(
        'serverVariable="RESPONSE_X" pattern=".*"', "y", name="2"
    )
    answer = site(outbound(rules)).ask("/app", method="HEAD")
    assert (answer.status, answer.length, answer.body) == (200, -1, b"")
    assert answer.headers()["x"] == "y"


def test_compressed_files(site):
    """A file that rules look into is compressed after them; others as files are."""
    text = b"<p>" + b"AA" * 5000
    served = site(outbound(rule('pattern="AA"', "B", preCondition="Htm"), PRE_CONDITION))
    root = next(iter(served.server.applications)).physical_path
    for name in ("a.htm", "a.txt"):
        with open(f"{root}/{name}", "wb") as file:
            file.write(text)
    fields = [("Host", "h"), ("Accept-Encoding", "gzip")]
    for _ in range(3):  # frequentHitThreshold
        for name, body in (("a.htm", text.replace(b"AA", b"B")), ("a.txt", text)):
            answer = served.ask(f"/{name}", fields=fields)
            packed = answer.headers().get("content-encoding") == "gzip"
            assert answer.status == 200
            assert (gzip.decompress(answer.body) if packed else answer.body) == body


def test_a_compressed_default_document(site):
    """Nor is the default document that they look into compressed before them: no 500.52."""
    text = b"<p>" + b"AA" * 5000
    served = site(outbound(rule('pattern="AA"', "B")))
    with open(f"{next(iter(served.server.applications)).physical_path}/index.htm", "wb") as file:
        file.write(text)
    fields = [("Host", "h"), ("Accept-Encoding", "gzip")]
    for method in ("GET", "GET", "GET", "HEAD"):  # frequentHitThreshold
        answer = served.ask("/", fields=fields, method=method)
        assert "content-encoding" not in answer.headers()
        body = text.replace(b"AA", b"B") if method == "GET" else b""
        assert (answer.status, answer.body) == (200, body)


def test_a_kept_response_is_rewritten_once(site):
    """With rewriteBeforeCache the output cache has what the rules have made, and it stays so."""
    rules = rule('pattern="a"', "aa") + rule(
        'serverVariable="RESPONSE_X" pattern=".*"', "{R:0}y", name="2"
    )
    caching = (
        '<caching><profiles><add extension="*" policy="CacheForTimePeriod" /></profiles></caching>'
    )
    served = site(outbound(rules, attributes='rewriteBeforeCache="true"') + caching)
    with open(f"{next(iter(served.server.applications)).physical_path}/a.htm", "w") as file:
        file.write("a")
    answers = [served.ask("/a.htm") for _ in range(2)]
    assert [(a.body, a.headers()["x"]) for a in answers] == [(b"aa", "y")] * 2


def test_errors_have_their_pages(site):
    """Rules about bodies leave an error without one to CustomErrorModule."""
    answer = site(outbound(LINKS)).ask("/none")
    assert (answer.status, answer.sub_status) == (404, 0)
    assert b"404" in answer.body
    assert answer.headers()["content-type"].startswith("text/html")


def test_a_body_may_be_rewritten_to_nothing(site):
    """What is left is a response of no bytes that says so."""
    answer = site(outbound(rule('pattern="[\\s\\S]+"', ""))).ask("/app")
    assert (answer.status, answer.body, answer.length) == (200, b"", 0)


def test_inbound_and_outbound(site):
    """Rules of both kinds at one path."""
    both = (
        '<rewrite><rules><rule name="r"><match url="^b$" /><action type="Rewrite" url="app" />'
        f"</rule></rules><outboundRules>{LINKS}</outboundRules></rewrite>"
    )
    assert b"/article/1/some" in site(both).ask("/b").body


def test_bytes_that_are_no_utf8_stay(site):
    """What cannot be decoded comes out as it went in."""
    served = site(outbound(rule('pattern="zz"', "y")))
    body = bytes(range(256)) + b"zz" + "é".encode()
    with open(f"{next(iter(served.server.applications)).physical_path}/a.htm", "wb") as file:
        file.write(body)
    assert served.ask("/a.htm").body == body.replace(b"zz", b"y")


@given(st.text(alphabet="<>a=\"'/ h!-", max_size=60))
def test_no_page_breaks_the_scanner(page):
    """Where nothing is replaced the page is the same; else what is around it is."""
    assert replace_attributes(page, {"a": {"h"}}, lambda *_: None) == page
    seen = []
    replace_attributes(page, {"a": {"h"}}, lambda tag, name, value: seen.append(value))
    assert all(value in page for value in seen)


@pytest.mark.parametrize("piece", ["<a '", '<a h="', "<a ", "<!--", "<", "<a/h=", "<a h = "])
def test_the_scanner_is_linear(piece):
    """A page four times as long takes about four times as long, whatever it is made of."""
    times = []
    for count in (5_000, 20_000):
        tries = []
        for _ in range(3):  # others on the machine make one slower, never faster
            start = time.process_time()
            replace_attributes(piece * count, {"a": {"h"}}, lambda *_: None)
            tries.append(time.process_time() - start)
        times.append(min(tries))
    assert times[1] < 0.05 + times[0] * 10
