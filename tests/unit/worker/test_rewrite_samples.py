"""Files as guides and applications bring them, unmodified: what becomes of requests under them."""

from contextlib import suppress
from pathlib import Path

import pytest
from fake_exchange import FakeExchange, make_request, make_server

from was.config.files import validate
from was.worker.interfaces.context import HttpContext
from was.worker.moving import RequestMovedError

SAMPLES = Path(__file__).parent / "rewrite_samples"
CORPUS = Path(__file__).parent.parent / "config" / "corpus"
FILES = ["index.php", "index.html", "real.css", "images/a.png", "folder/x", "server.js"]

HOST = [("Host", "www.example.com")]
AGENT = [*HOST, ("User-Agent", "BadBot/1.0")]
ELSEWHERE = [*HOST, ("Referer", "http://other.org/page")]
FORWARDED = [*HOST, ("X-Forwarded-Proto", "https")]

TABLE = [
    # file, path, query, more of the request -> outcome
    ("https", "/a/b", "q=1", {}, "301 https://www.example.com/a/b?q=1"),
    ("https", "/a/b", "", {"secure": True}, "/a/b"),
    ("https_request_uri", "/a b", "q=1", {}, "302 https://www.example.com/a%20b?q=1"),
    ("https_request_uri", "/a", "", {"fields": FORWARDED}, "/a"),
    ("canonical_host", "/a", "q", {}, "/a?q"),
    ("canonical_host", "/a", "q", {"fields": [("Host", "example.com")]},
     "301 http://www.example.com/a?q"),
    ("trailing_slash", "/a", "q", {}, "301 /a/?q"),
    ("trailing_slash", "/real.css", "", {}, "/real.css"),
    ("trailing_slash", "/A/", "", {}, "301 /a/"),
    ("hotlinks", "/images/a.png", "", {"fields": ELSEWHERE}, "/images/say_no_to_hotlinking.jpg"),
    ("hotlinks", "/images/a.png", "", {"fields": [*HOST, ("Referer", "http://example.com/")]},
     "/images/a.png"),
    ("hotlinks", "/images/a.png", "", {}, "/images/a.png"),
    ("hotlinks", "/a", "", {"fields": AGENT}, "cut"),
    ("hotlinks", "/a", "", {"remote_addr": "203.0.113.9"}, "cut"),
    ("maintenance", "/a", "", {}, "503 We will be back soon."),
    ("maintenance", "/assets/a", "", {}, "/assets/a"),
    ("maintenance", "/a", "", {"remote_addr": "192.0.2.10"}, "/a"),
    ("angular", "/some/route", "x=1", {}, "/index.html?x=1"),
    ("angular", "/real.css", "", {}, "/real.css"),
    ("angular", "/api/v1", "", {}, "/api/v1"),
    ("joomla", "/news/1-first", "", {}, "/index.php"),
    ("joomla", "/index.php/news", "", {}, "/index.php/news"),
    ("joomla", "/a", "x=GLOBALS[y]", {}, "403 Forbidden"),
    ("joomla", "/real.css", "", {}, "/real.css"),
    ("reverse_proxy", "/webmail/x", "", {}, "500.50"),
    ("reverse_proxy", "/other", "", {}, "/other"),
    ("maps", "/diagnostic", "", {}, "/default.aspx?tabid=2&subtabid=29"),
    ("maps", "/default.aspx", "tabid=7116", {}, "302 http://www.contoso.com/php"),
    ("maps", "/default.aspx", "", {}, "/default.aspx"),
    ("wordpress", "/2024/hello-world/", "p=1", {}, "/index.php?p=1"),
    ("wordpress", "/real.css", "", {}, "/real.css"),
    ("drupal", "/node/1", "x", {}, "/index.php?x"),
    ("drupal", "/core/core.services.yml", "", {}, "403 Access is forbidden."),
    ("drupal", "/favicon.ico", "", {}, "404 There is no such icon."),
    ("laravel", "/users/", "", {}, "301 /users"),
    ("laravel", "/users/1", "", {}, "/index.php"),
    ("laravel", "/folder/", "", {}, "/folder/"),
    ("symfony", "/index.php/blog", "", {}, "301 /blog"),
    ("symfony", "/blog/1", "", {}, "/index.php/blog/1"),
    ("single_page", "/old", "", {}, "302 /new"),
    ("single_page", "/Old", "", {}, "302 /newer"),
    ("single_page", "/route/x", "", {}, "/index.html"),
    ("single_page", "/api/x", "", {}, "/api/x"),
    ("node", "/server.js/debug", "", {}, "/server.js/debug"),
    ("node", "/chat", "", {}, "/server.js"),
]  # fmt: skip


# What a server that hosts them has opened to its sites.
OPENED = (
    '</system.webServer><location overrideMode="Allow"><system.webServer><webSocket />'
    "</system.webServer></location><system.webServer>"
)


def text_of(name: str) -> str:
    sample = SAMPLES / f"{name}.config"
    file = sample if sample.exists() else CORPUS / name / "web.config"
    return file.read_text()


@pytest.fixture
def outcome(tmp_path):
    """What the rules make of a request: its URL, or status and words or Location."""

    def find(name, path, query, changes):
        root = tmp_path / "site"
        for file in FILES:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).touch()
        (root / "web.config").write_text(text_of(name))
        server = make_server(tmp_path, OPENED)
        request = make_request(path=path, query=query, **{"fields": HOST, **changes})
        [application] = list(server.applications)
        assert application.errors is None
        calls = application.paths.at(path)
        context = HttpContext.of(FakeExchange(request), application, calls, 0)
        response = context.response
        steps = [step for run in calls.head for step in run.steps]
        [step] = [s for s in steps if s.registration and s.registration.name == "RewriteModule"]
        with suppress(RequestMovedError):
            step.call(context, context)
        if context.is_cut:
            return "cut"
        if response.sub_status:
            return f"{response.status}.{response.sub_status}"
        if response.status != 200:
            words = response.get_header("Location") or b"".join(response.chunks).decode()
            return f"{response.status} {words}"
        return f"{context.path}?{context.query}" if context.query else context.path

    return find


@pytest.mark.parametrize(("name", "path", "query", "changes", "expected"), TABLE)
def test_samples(outcome, name, path, query, changes, expected):
    """The rules do what their guides promise."""
    assert outcome(name, path, query, changes) == (
        "404.1" if expected.startswith("404 ") else expected
    )


def test_what_is_not_done_is_said(tmp_path):
    """validate names the rule that would pass requests on, and a pattern that may take for ever."""
    make_server(tmp_path)
    (tmp_path / "site" / "web.config").write_text(text_of("reverse_proxy"))
    file = tmp_path / "config" / "applicationHost.config"
    report = validate(file)
    assert not report.errors
    [line] = [w for w in report.warnings if "ReverseProxyInboundRule1" in w]
    assert "web.config:6: " in line
    assert "other servers" in line
    (tmp_path / "site" / "web.config").write_text(text_of("joomla"))
    [line] = validate(file).warnings
    assert "repeats a repeat" in line


def test_an_answer_that_no_client_could_be_sent_is_said(tmp_path):
    """Its status is of no response: each request that the rule is about gets 500."""
    make_server(tmp_path)
    rule = """<rule name="r{0}"><match url="a" />
      <action type="CustomResponse" statusCode="{0}" /></rule>"""
    rules = "".join(rule.format(status) for status in (0, 100, 200, 599, 600))
    (tmp_path / "site" / "web.config").write_text(
        f"<configuration><system.webServer><rewrite><rules>{rules}</rules></rewrite>"
        "</system.webServer></configuration>"
    )
    report = validate(tmp_path / "config" / "applicationHost.config")
    assert [w.partition(" rule ")[2].split()[0] for w in report.warnings] == ["r100:", "r600:"]


FAULTS = [
    ('<match url="(a" />', "is no pattern"),
    ('<match url="a" /><conditions><add input="{x" pattern="a" /></conditions>', "input cannot be"),
    ('<match url="a" /><conditions><add input="x" pattern="[" /></conditions>', "is no pattern"),
    ('<match url="a" /><action type="Rewrite" url="{a b}" />', "url cannot be expanded"),
    (
        '<match url="a" /><serverVariables><set name="X" value="}" /></serverVariables>',
        "value cannot be expanded",
    ),
]


@pytest.mark.parametrize(("inside", "words"), FAULTS)
def test_faults_have_a_line(tmp_path, inside, words):
    """What cannot be compiled is an error of the file, with its line: 500.19 for its paths."""
    server = make_server(tmp_path)
    (tmp_path / "site" / "web.config").write_text(
        "<configuration><system.webServer><rewrite><rules>\n"
        f'<rule name="r">{inside}</rule></rules></rewrite></system.webServer></configuration>'
    )
    report = validate(tmp_path / "config" / "applicationHost.config")
    [error] = report.errors
    assert words in error.message
    assert error.line == 2
    server.configuration_changed()
    exchange = FakeExchange(make_request(path="/x"))
    server.handle(exchange)
    assert (exchange.status, exchange.sub_status) == (500, 19)


def test_outbound_faults_have_a_line(tmp_path):
    """The same for outbound rules; wildcards are not for whole responses."""
    make_server(tmp_path)
    rules = [
        '<rule name="r"><match pattern="a*" /></rule>',
        '<rule name="r"><match pattern="(" /></rule>',
        '<preConditions><preCondition name="p"><add input="x" pattern="(" /></preCondition>'
        "</preConditions>",
    ]
    for text in rules:
        text = text.replace('"r"', '"r" patternSyntax="Wildcard"') if "a*" in text else text
        (tmp_path / "site" / "web.config").write_text(
            f"<configuration><system.webServer><rewrite><outboundRules>\n{text}"
            "</outboundRules></rewrite></system.webServer></configuration>"
        )
        report = validate(tmp_path / "config" / "applicationHost.config")
        [error] = report.errors
        assert error.line == 2
