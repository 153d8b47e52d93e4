"""RequestFilteringModule: each attribute of requestFiltering, what it refuses and with what."""

import pytest
from fake_exchange import WSGI, FakeExchange, ask, make_request, make_server
from waiting import outcome

APP = """def application(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Server", "mine")])
    return [str(len(body)).encode()]
"""


@pytest.fixture
def ask_with(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "echo.py").write_text(APP)

    def ask_with(inner, attributes="", exchange=None, **changes):
        changes.setdefault("path", "/a.txt")
        section = f"<security><requestFiltering {attributes}>{inner}</requestFiltering></security>"
        handler = section + WSGI.format("echo:application")
        return ask(make_server(tmp_path, handler), exchange, **changes)

    return ask_with


def rule(inner="", attributes="", strings=("evil",)):
    denied = "".join(f'<add string="{text}" />' for text in strings)
    return (
        f'<filteringRules><filteringRule name="r" {attributes}>{inner}'
        f"<denyStrings>{denied}</denyStrings></filteringRule></filteringRules>"
    )


ROOT = [
    ("", {"path": "/a%2etxt"}, "404.11"),
    ('allowDoubleEscaping="true"', {"path": "/a%2etxt"}, "200.0"),
    ("", {"path": "/é.txt"}, "200.0"),
    ('allowHighBitCharacters="false"', {"path": "/é.txt"}, "404.12"),
    ('allowHighBitCharacters="false"', {"path": "/e.txt"}, "200.0"),
]


@pytest.mark.parametrize(("attributes", "changes", "expected"), ROOT)
def test_the_section_itself(ask_with, attributes, changes, expected):
    """allowDoubleEscaping and allowHighBitCharacters."""
    assert outcome(ask_with("", attributes, **changes)) == expected


def limits(attributes="", inner=""):
    return f"<requestLimits {attributes}>{inner}</requestLimits>"


HEADERS = '<headerLimits><add header="X-A" sizeLimit="10" /></headerLimits>'
LIMITS = [
    (limits('maxAllowedContentLength="5"'), {"method": "POST", "body": b"123456"}, "413.1"),
    (limits('maxAllowedContentLength="5"'), {"method": "POST", "body": b"12345"}, "200.0"),
    (limits('maxUrl="6"'), {"path": "/12345"}, "200.0"),
    (limits('maxUrl="6"'), {"path": "/123456"}, "404.14"),
    (limits('maxUrl="6"'), {"path": "/ééé"}, "404.14"),
    (limits('maxUrl="6"'), {"path": "/1", "query": "x" * 99}, "200.0"),
    (limits('maxQueryString="3"'), {"query": "abc"}, "200.0"),
    (limits('maxQueryString="3"'), {"query": "abcd"}, "404.15"),
    (limits("", HEADERS), {"fields": [("x-a", "1234567890")]}, "200.0"),
    (limits("", HEADERS), {"fields": [("x-a", "12345678901")]}, "431.0"),
    (limits("", HEADERS), {"fields": [("X-A", "12345"), ("x-a", "12345")]}, "431.0"),
    (limits("", HEADERS), {"fields": [("X-B", "1" * 99)]}, "200.0"),
    ("", {"path": "/1" * 32}, "200.0"),
    ("", {"path": "/1" * 33}, "404.20"),
]


@pytest.mark.parametrize(("inner", "changes", "expected"), LIMITS)
def test_limits(ask_with, inner, changes, expected):
    """requestLimits, headerLimits, and the site's maxUrlSegments."""
    assert outcome(ask_with(inner, **changes)) == expected


def test_a_body_of_unknown_length(ask_with):
    """It is limited while it is read: what comes in pieces must not be a way around."""
    inner = limits('maxAllowedContentLength="100000"')
    for length, expected in ((100000, "200.0"), (100001, "413.1")):
        request = make_request(
            method="POST", path="/a", body=b"x" * length, body_length=-1, pull=True
        )
        answer = ask_with(inner, exchange=FakeExchange(request))
        assert outcome(answer) == expected
        assert answer.close is (expected == "413.1")


def extensions(*entries, unlisted="true"):
    added = "".join(f'<add fileExtension="{e}" allowed="{a}" />' for e, a in entries)
    return f'<fileExtensions allowUnlisted="{unlisted}"><clear />{added}</fileExtensions>'


def verbs(*entries, unlisted="true"):
    added = "".join(f'<add verb="{v}" allowed="{a}" />' for v, a in entries)
    return f'<verbs allowUnlisted="{unlisted}"><clear />{added}</verbs>'


TXT, ONLY_TXT = extensions((".txt", "false")), extensions((".txt", "true"), unlisted="false")
LISTS = [
    (TXT, {"path": "/a.txt"}, "404.7"),
    (TXT, {"path": "/a.TXT"}, "404.7"),
    (TXT, {"path": "/a.txt/more"}, "404.7"),
    (TXT, {"path": "/a.txt.b"}, "200.0"),
    (TXT, {"path": "/txt"}, "200.0"),
    (ONLY_TXT, {"path": "/a.txt"}, "200.0"),
    (ONLY_TXT, {"path": "/a.py"}, "404.7"),
    (ONLY_TXT, {"path": "/a.py/b.txt"}, "404.7"),
    (ONLY_TXT, {"path": "/bare"}, "404.7"),
    (ONLY_TXT, {"path": "/"}, "404.7"),
    (ONLY_TXT, {"path": "/a."}, "404.7"),
    (extensions((".", "true"), unlisted="false"), {"path": "/"}, "200.0"),
    (extensions((".", "true"), unlisted="false"), {"path": "/a.py"}, "404.7"),
    (verbs(("POST", "false")), {"method": "POST"}, "404.6"),
    (verbs(("POST", "false")), {"method": "post"}, "200.0"),
    (verbs(("GET", "true"), unlisted="false"), {"method": "GET"}, "200.0"),
    (verbs(("GET", "true"), unlisted="false"), {"method": "get"}, "404.6"),
    (verbs(("GET", "true"), unlisted="false"), {"method": "HEAD"}, "404.6"),
]


@pytest.mark.parametrize(("inner", "changes", "expected"), LISTS)
def test_lists(ask_with, inner, changes, expected):
    """fileExtensions in any case and any segment, "." for none; verbs in their own case."""
    assert outcome(ask_with(inner, **changes)) == expected


BIN = '<hiddenSegments><add segment="bin" /></hiddenSegments>'
DOTS = '<denyUrlSequences><add sequence="..x" /></denyUrlSequences>'
ALLOWED = DOTS + '<alwaysAllowedUrls><add url="/a..x" /></alwaysAllowedUrls>'
QUERY = '<denyQueryStringSequences><add sequence="a b" /></denyQueryStringSequences>'
FREE = (
    QUERY + '<alwaysAllowedQueryStrings><add queryString="q=a%20b" /></alwaysAllowedQueryStrings>'
)
SEQUENCES = [
    (BIN, {"path": "/bin"}, "404.8"),
    (BIN, {"path": "/x/Bin/y"}, "404.8"),
    (BIN, {"path": "/binary/cabin"}, "200.0"),
    ("", {"path": "/x/WEB.config"}, "404.8"),
    ("<hiddenSegments><clear /></hiddenSegments>", {"path": "/web.config"}, "200.0"),
    (DOTS, {"path": "/A..X"}, "404.5"),
    (DOTS, {"path": "/ok", "target": "/y/..x/../ok"}, "404.5"),
    (DOTS, {"path": "/ok", "query": "a..x"}, "200.0"),
    (ALLOWED, {"path": "/A..x"}, "200.0"),
    (ALLOWED, {"path": "/a..xb"}, "404.5"),
    (QUERY, {"query": "q=A%20b"}, "404.18"),
    (QUERY, {"query": "q=a+b"}, "404.18"),
    (QUERY, {"query": "q=ab"}, "200.0"),
    (FREE, {"query": "q=a%20B"}, "200.0"),
    (FREE, {"query": "q=a%20b&x"}, "404.18"),
]


@pytest.mark.parametrize(("inner", "changes", "expected"), SEQUENCES)
def test_sequences(ask_with, inner, changes, expected):
    """hiddenSegments, denyUrlSequences, denyQueryStringSequences and what is always allowed."""
    assert outcome(ask_with(inner, **changes)) == expected


def test_queries_that_are_not_unescaped(ask_with):
    """unescapeQueryString="false": only the text as it was sent is looked at."""
    attributes = 'unescapeQueryString="false"'
    assert outcome(ask_with(QUERY, attributes, query="q=a%20b")) == "200.0"
    assert outcome(ask_with(QUERY, attributes, query="q=a b")) == "404.18"
    scanning = rule("", 'scanQueryString="true"')
    assert outcome(ask_with(scanning, attributes, query="ev%69l")) == "200.0"
    assert outcome(ask_with(scanning, query="ev%69l")) == "404.19"


APPLIES = '<appliesTo><add fileExtension=".PHP" /></appliesTo>'
SCAN_A = '<scanHeaders><add requestHeader="x-a" /></scanHeaders>'
QUERIES, URLS = 'scanQueryString="true"', 'scanUrl="true"'
RULES = [
    (rule("", URLS), {"path": "/EVIL"}, "404.19"),
    (rule("", URLS), {"query": "evil"}, "200.0"),
    (rule("", URLS, ["%65"]), {"path": "/e", "target": "/%65"}, "404.19"),
    (rule("", QUERIES), {"query": "EVil"}, "404.19"),
    (rule("", QUERIES), {"path": "/evil"}, "200.0"),
    (rule("", QUERIES, ["é"]), {"query": "%C3%A9"}, "404.19"),
    (rule("", QUERIES, ["É".lower()]), {"query": "%c3%89"}, "404.19"),
    (rule(SCAN_A), {"fields": [("X-A", "some Evil")]}, "404.19"),
    (rule(SCAN_A), {"fields": [("X-B", "evil")], "query": "evil"}, "200.0"),
    (rule("", 'scanAllRaw="true"'), {"fields": [("X-B", "evil")]}, "404.19"),
    (rule("", 'scanAllRaw="true"'), {"fields": [("X-Evil", "b")]}, "404.19"),
    (rule("", 'scanAllRaw="true"'), {"query": "evil"}, "404.19"),
    (rule(APPLIES, QUERIES), {"path": "/a.php", "query": "evil"}, "404.19"),
    (rule(APPLIES, QUERIES), {"path": "/a.php/x", "query": "evil"}, "404.19"),
    (rule(APPLIES, QUERIES), {"path": "/a.txt", "query": "evil"}, "200.0"),
    (rule("", QUERIES), {"query": "100%"}, "404.19"),
    (rule("", QUERIES), {"query": "%4x"}, "404.19"),
    (rule("", QUERIES + ' denyUnescapedPercent="false"'), {"query": "100%"}, "200.0"),
    (rule("", URLS), {"query": "100%"}, "200.0"),
    (rule("", QUERIES, []), {"query": "fine"}, "200.0"),
]


@pytest.mark.parametrize(("inner", "changes", "expected"), RULES)
def test_rules(ask_with, inner, changes, expected):
    """filteringRules: what is scanned, for which extensions, and a % that escapes nothing."""
    assert outcome(ask_with(inner, **changes)) == expected


def test_without_a_server_header(ask_with):
    """removeServerHeader: an empty one, which the listener takes for none."""
    assert ask_with("").headers()["server"] == "mine"
    assert ask_with("", 'removeServerHeader="true"').headers()["server"] == ""
