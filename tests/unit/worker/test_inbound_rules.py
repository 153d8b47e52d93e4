"""Inbound rules: URL Rewrite's documents, rule by rule, through a whole worker."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rewriting_site import ECHO_HANDLER, Site, rewrite, rule

from was.worker.rewriting.expressions import RewriteError
from was.worker.rewriting.targets import location_of, split_target


@pytest.fixture
def site(tmp_path):
    def make(rules="", *, more="", handlers=ECHO_HANDLER, **parts):
        return Site(tmp_path, rewrite(rules, more) + handlers, **parts)

    return make


REWRITES = [
    # pattern, URL of the action, path, query -> what the application sees
    (
        "^article/([0-9]+)/([_a-z]+)",
        "a.py?id={R:1}&amp;t={R:2}",
        "/article/5/x_y",
        "",
        "id=5&t=x_y",
    ),
    ("^a$", "b", "/a", "q=1", "/b|q=1"),
    ("^a$", "b?p=2", "/a", "q=1", "/b|p=2&q=1"),
    ("^A$", "b", "/a", "", "/b|"),
    ("^a$", "/x/../b", "/a", "", "/b|"),
    ("^a$", "../../b", "/a", "", "/b|"),
    ("^a$", "\\b\\c", "/a", "", "/b/c|"),
    ("^a$", "b#c", "/a", "", "/b|"),
    ("^(.*)$", "x/{R:1}", "/50% of?", "", "/x/50% of?|"),
    ("^(.*)$", "x/{R:1}", "/100%", "", "/x/100%|"),
    ("^(.*)$", "x?p={R:1}", "/a b&amp;c%", "", "/x|p=a%20b&amp;c%25"),
    ("^(.*)$", "x?p={UrlEncode:{R:1}}", "/a b/é", "", "/x|p=a%20b%2F%C3%A9"),
    ("^(.*)$", "{ToLower:{R:1}}", "/ABC/É", "", "/abc/é|"),
    ("^a$", "caf%C3%A9", "/a", "", "/café|"),
    ("^(a)(b)?$", "x{R:2}{R:9}y", "/a", "", "/xy|"),
    ("^a$", "{UrlDecode:%62}/{HtmlEncode:&lt;}", "/a", "", "/b/&lt;|"),
    ("^a$", "\\{b\\}", "/a", "", "/{b}|"),
    ("^b$", "x", "/a", "q", "/a|q"),
    ("^a$", "", "/a", "", "/|"),
]


@pytest.mark.parametrize(("pattern", "url", "path", "query", "seen"), REWRITES)
def test_rewrites(site, pattern, url, path, query, seen):
    """The application gets the URL that the rule composes; nothing decoded is decoded again."""
    served = site(rule(pattern, f'type="Rewrite" url="{url}"')).seen(path, query)
    assert seen.rpartition("|")[2] == served.rpartition("|")[2]
    assert seen.rpartition("|")[0] in ("", served.split("|")[1])


REDIRECTS = [
    ("^old/(.*)$", 'url="new/{R:1}"', "/old/a b", "q=1", 301, "/new/a%20b?q=1"),
    ("^old$", 'url="/new" redirectType="Found"', "/old", "", 302, "/new"),
    ("^old$", 'url="/new" redirectType="SeeOther"', "/old", "", 303, "/new"),
    ("^old$", 'url="/new" redirectType="Temporary"', "/old", "", 307, "/new"),
    ("^old$", 'url="/new?a=1"', "/old", "q=1", 301, "/new?a=1&q=1"),
    ("^old$", 'url="/new?a=1#top" appendQueryString="false"', "/old", "q", 301, "/new?a=1#top"),
    ("^old$", 'url="/new#top"', "/old", "q", 301, "/new?q#top"),
    ("(.*)", 'url="https://{HTTP_HOST}/{R:1}"', "/a/é", "", 301, "https://localhost:8080/a/%C3%A9"),
    ("(.*)", 'url="https://h{REQUEST_URI}" appendQueryString="false"', "/a b", "c=%20", 301,
     "https://h/a%20b?c=%20"),
    ("^(.*)$", 'url="/{R:1}/"', "/a", "", 301, "/a/"),
    ("^.*$", 'url="/{C:0}{QUERY_STRING}" appendQueryString="false"', "/x", "/evil", 301, "/evil"),
    ("^(.*)$", 'url="{R:1}"', "/http:/evil", "", 301, "/http:/evil"),
    ("^a$", 'url="//other/b"', "/a", "", 301, "//other/b"),
    ("^a$", 'url="{QUERY_STRING}" appendQueryString="false"', "/a", "http://b/", 301, "http://b/"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "action", "path", "query", "status", "location"), REDIRECTS)
def test_redirects(site, pattern, action, path, query, status, location):
    """Status and Location; what a client puts into the path never names a server."""
    answer = site(rule(pattern, f'type="Redirect" {action}')).ask(path, query)
    assert (answer.status, answer.headers()["location"]) == (status, location)


def add(text, pattern="", **attributes):
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<add input="{text}" pattern="{pattern}"{more} />'


CONDITIONS = [
    # attributes of conditions, items, does it fire for GET /a?x=1, what C:n are
    ("", add("{QUERY_STRING}", "^x=(.*)$"), True, "x=1,1,"),
    ("", add("{QUERY_STRING}", "^y"), False, ""),
    ("", add("{QUERY_STRING}", "^y", negate="true"), True, ",,"),
    ("", add("{HTTPS}", "OFF"), True, "off,,"),
    ("", add("{HTTPS}", "OFF", ignoreCase="false"), False, ""),
    ("", add("{HTTP_HOST}", "^(local)(host)"), True, "localhost,local,host"),
    ("", add("{QUERY_STRING}", "(x)") + add("{HTTPS}", "(o)(f)"), True, "of,o,f"),
    (
        'trackAllCaptures="true"',
        add("{QUERY_STRING}", "(x)") + add("{HTTPS}", "(o)"),
        True,
        "x,x,o",
    ),
    ('logicalGrouping="MatchAny"', add("{HTTPS}", "(on)") + add("{HTTPS}", "(f+)"), True, "ff,ff,"),
    ('logicalGrouping="MatchAny"', add("{HTTPS}", "on") + add("{HTTPS}", "x"), False, ""),
    ("", add("{R:1}", "^a$"), True, "a,,"),
    ("", add("{HTTPS}", "(o)") + add("{C:1}x", "^(ox)$"), True, "ox,ox,"),
    ("", add("{NOTHING}", "^$"), True, ",,"),
    ("", add("{Names:{R:1}}", "(.+)"), True, "one,one,"),
    ("", add("{Names:other}", "^none$"), True, "none,,"),
    ("", add("{Cased:A}", "^$"), True, ",,"),
    ("", add("{REQUEST_METHOD}{URL}{PATH_INFO}", "^GET/a/a$"), True, "GET/a/a,,"),
    ("", add("{REQUEST_FILENAME}", matchType="IsFile"), False, ""),
    ("", add("", matchType="IsFile", negate="true"), True, ",,"),
    ("", add("{APPL_PHYSICAL_PATH}\\echo_app.py", matchType="IsFile"), True, ",,"),
    ("", add("{APPL_PHYSICAL_PATH}", matchType="IsDirectory"), True, ",,"),
    ("", add("echo_app.py", matchType="IsFile"), False, ""),
]

MAPS = """<rewriteMaps>
  <rewriteMap name="Names" defaultValue="none"><add key="A" value="one" /></rewriteMap>
  <rewriteMap name="Cased" ignoreCase="false"><add key="a" value="two" /></rewriteMap>
</rewriteMaps>"""


@pytest.mark.parametrize(("attributes", "items", "fires", "captured"), CONDITIONS)
def test_conditions(site, attributes, items, fires, captured):
    """All or any of them, negated or not, and which captures are left for the action."""
    conditions = f"<conditions {attributes}>{items}</conditions>"
    action = 'type="Rewrite" url="/y?{C:0},{C:1},{C:2}" appendQueryString="false"'
    served = site(rule("^(a)$", action, conditions=conditions), more=MAPS).seen("/a", "x=1")
    assert served == (f"|/y|{captured}" if fires else "|/a|x=1")


def test_rules_in_order(site):
    """A rewrite feeds the next rule; stopProcessing ends the list; a disabled rule is none."""
    served = site(
        rule("^a$", 'type="Rewrite" url="b"', name="1")
        + rule("^b$", 'type="Rewrite" url="x"', name="2", enabled="false")
        + rule("^b$", 'type="Rewrite" url="c"', name="3", stopProcessing="true")
        + rule("^c$", 'type="Rewrite" url="d"', name="4")
    )
    assert served.seen("/a") == "|/c|"
    assert served.seen("/c") == "|/d|"


def test_negated_pattern(site):
    """The rule is for all that does not fit; there is nothing to refer back to."""
    rules = (
        '<rule name="r"><match url="^a$" negate="true" />'
        '<action type="Rewrite" url="b{R:0}" /></rule>'
    )
    served = site(rules)
    assert served.seen("/a") == "|/a|"
    assert served.seen("/c") == "|/b|"


@pytest.mark.parametrize(
    ("syntax", "pattern", "url", "path", "seen"),
    [
        ("Wildcard", "*/*.html", "{R:2}/{R:1}", "/contoso/test.html", "|/test/contoso|"),
        ("Wildcard", "a?c", "x", "/abc", "|/x|"),
        ("ExactMatch", "a.c", "x", "/abc", "|/abc|"),
        ("ExactMatch", "a.c", "x", "/A.C", "|/x|"),
    ],
)
def test_pattern_syntaxes(site, syntax, pattern, url, path, seen):
    """patternSyntax holds for the rule's pattern."""
    rules = rule(pattern, f'type="Rewrite" url="{url}"', patternSyntax=syntax)
    assert site(rules).seen(path) == seen


def test_custom_response(site):
    """Status, sub-status, reason and one line as the body, which no error page replaces."""
    action = (
        'type="CustomResponse" statusCode="503" subStatusCode="7" statusReason="Closed" '
        'statusDescription="Back at &lt;noon&gt; {R:0}"'
    )
    answer = site(rule("^shop", action)).ask("/shop/x")
    assert (answer.status, answer.sub_status, answer.reason) == (503, 7, "Closed")
    assert answer.body == b"Back at &lt;noon&gt; shop"


def test_custom_response_without_words(site):
    """Without a description the error page of the status answers."""
    answer = site(rule("^x", 'type="CustomResponse" statusCode="403"')).ask("/x")
    assert answer.status == 403
    assert b"403" in answer.body


def test_abort(site):
    """The connection is cut without an answer."""
    answer = site(rule("^x", 'type="AbortRequest"')).ask("/x")
    assert answer.calls == ["reset"]


def test_server_variables(site):
    """What is set is seen by the application: variables, and headers by HTTP_; if allowed."""
    allowed = "".join(f'<add name="{n}" />' for n in ("HTTP_X_A", "query_string", "MINE"))
    variables = (
        '<serverVariables><set name="QUERY_STRING" value="z={R:0}" />'
        '<set name="HTTP_X_A" value="v" /><set name="MINE" value="m" />'
        "</serverVariables>"
    )
    rules = '<rule name="r"><match url="^a$" />' + variables + '<action type="None" /></rule>'
    more = f"<allowedServerVariables>{allowed}</allowedServerVariables>"
    fields = [("Host", "h"), ("x-a", "old")]
    served = site(rules, more=more)
    assert served.ask("/a", "q=1", fields=fields).body == b"|/a|z=a|v|m"
    assert served.ask("/b", "q=1", fields=fields).body == b"|/b|q=1|old|"


@pytest.mark.parametrize("name", ["\u20ac", "\u20ac\xfc", "\udcff"])
def test_what_is_set_may_be_of_any_path(site, name):
    """PEP 3333: an application gets bytes, as text of latin-1; it had text it could not encode."""
    variables = '<set name="HTTP_X_A" value="{R:1}" /><set name="MINE" value="{R:1}" />'
    rules = (
        '<rule name="r"><match url="^a(.*)$" /><serverVariables>'
        f'{variables}</serverVariables><action type="None" /></rule>'
    )
    allowed = '<add name="HTTP_X_A" /><add name="MINE" />'
    served = site(rules, more=f"<allowedServerVariables>{allowed}</allowedServerVariables>")
    raw = name.encode("utf-8", "surrogateescape")
    assert served.ask(f"/a{name}").body == b"|/a%b||%b|%b" % (raw, raw, raw)


def test_a_variable_that_is_there_already(site):
    """replace="false" sets only what there is not."""
    rules = (
        '<rule name="r"><match url="^a$" /><serverVariables>'
        '<set name="HTTP_X_A" value="v" replace="false" /></serverVariables></rule>'
    )
    more = '<allowedServerVariables><add name="HTTP_X_A" /></allowedServerVariables>'
    served = site(rules, more=more)
    assert served.ask("/a", fields=[("Host", "h"), ("x-a", "old")]).body == b"|/a||old|"
    assert served.ask("/a", fields=[("Host", "h")]).body == b"|/a||v|"


def test_a_variable_that_is_not_allowed(site):
    """500.50, at the requests that the rule is for."""
    rules = (
        '<rule name="r"><match url="^a$" /><serverVariables><set name="HTTP_X" value="v" />'
        '</serverVariables><action type="None" /></rule>'
    )
    served = site(rules)
    answer = served.ask("/a")
    assert (answer.status, answer.sub_status) == (500, 50)
    assert b"HTTP_X" in answer.body
    assert served.seen("/b") == "|/b|"


def test_original_url_is_kept(site):
    """HTTP_X_ORIGINAL_URL and the log have what the client asked for."""
    served = site(rule("^a$", 'type="Rewrite" url="b?p={HTTP_X_ORIGINAL_URL}{UNENCODED_URL}"'))
    answer = served.ask("/a", target="/%61?x", query="x")
    assert answer.body == b"|/b|p=/%61?x&x"
    assert "GET /a x" in answer.log


def test_rewritten_url_in_the_log(site):
    """logRewrittenUrl puts the URL that was served there."""
    served = site(rule("^a$", 'type="Rewrite" url="b?p=1" logRewrittenUrl="true"'))
    assert "GET /b p=1" in served.ask("/a").log


def test_another_server_is_refused(site):
    """Requests are not passed on: 500.50 says so."""
    answer = site(rule("^a$", 'type="Rewrite" url="http://other/{R:0}"')).ask("/a")
    assert (answer.status, answer.sub_status) == (500, 50)
    assert b"Application Request Routing" in answer.body


def test_a_map_that_is_not_there(site):
    """Rules that cannot be compiled refuse every request, with file and line."""
    served = site(rule("^a$", 'type="Rewrite" url="{Nothing:{R:0}}"'))
    answer = served.ask("/b")
    assert (answer.status, answer.sub_status) == (500, 50)
    assert b"applicationHost.config" in answer.body


# ── levels ──────────────────────────────────────────────────────────────────────────────────────


def test_rules_of_a_folder(site):
    """A web.config's rules see the path below its folder, after those of the folders above."""
    here = rewrite(rule("^(.*)a$", 'type="Rewrite" url="{R:1}b"', name="top"))
    below = rewrite(rule("^b$", 'type="Rewrite" url="c"', name="deep"))
    served = site(web_configs={"": here, "Sub": below})
    assert served.seen("/Sub/a") == "|/Sub/c|"
    assert served.seen("/a") == "|/b|"
    assert served.seen("/b") == "|/b|"


def test_a_rewrite_out_of_a_folder_ends_its_rules(site):
    """The folder's rules are not about a path that lies elsewhere."""
    below = rewrite(
        rule("^a$", 'type="Rewrite" url="/a"', name="1")
        + rule("^a$", 'type="Rewrite" url="/no"', name="2")
    )
    assert site(web_configs={"sub": below}).seen("/sub/a") == "|/a|"


def test_rules_of_a_location_tag(tmp_path):
    """A location tag's rules see the path below what it addresses."""
    folder = tmp_path
    (folder / "site").mkdir()
    (folder / "site" / "web.config").write_text(
        '<configuration><location path="deep/er"><system.webServer>'
        + rewrite(rule("^a$", 'type="Rewrite" url="b"'))
        + "</system.webServer></location></configuration>"
    )
    served = Site(folder, ECHO_HANDLER)
    assert served.seen("/deep/er/a") == "|/deep/er/b|"
    assert served.seen("/deep/a") == "|/deep/a|"


COUNTING = [
    "<security><dynamicIpSecurity>"
    '<denyByConcurrentRequests enabled="true" maxConcurrentRequests="2" />'
    "</dynamicIpSecurity></security>",
    '<serverRuntime appConcurrentRequestLimit="2" />',
    '<httpTracing><traceUrls><add value="/*" /></traceUrls></httpTracing>',
]


@pytest.mark.parametrize("section", COUNTING)
def test_a_rewrite_to_where_no_rules_are_does_nothing_twice(site, section):
    """What was counted before the rewrite is counted once, and no more when the request ends."""
    rules = rule("^from$", 'type="Rewrite" url="/b/to"')
    clear = {"b": "<rewrite><rules><clear /></rules></rewrite>"}
    server = site(rules, more="", handlers=section + ECHO_HANDLER, web_configs=clear)
    assert [server.ask("/from").status for _ in range(4)] == [200] * 4
    assert server.seen("/from") == "|/b/to|"


def test_clear_and_remove(site):
    """A folder drops rules of the folders above."""
    here = rewrite(
        rule("^(.*)a$", 'type="Rewrite" url="{R:1}b"', name="one")
        + rule("^(.*)b$", 'type="Rewrite" url="{R:1}c"', name="two")
    )
    served = site(
        web_configs={
            "": here,
            "less": '<rewrite><rules><remove name="one" /></rules></rewrite>',
            "none": "<rewrite><rules><clear /></rules></rewrite>",
        }
    )
    assert served.seen("/a") == "|/c|"
    assert served.seen("/less/a") == "|/less/a|"
    assert served.seen("/less/b") == "|/less/c|"
    assert served.seen("/none/b") == "|/none/b|"


APPLICATION = (
    '<application path="/{0}" applicationPool="pool"><virtualDirectory path="/" '
    'physicalPath="{1}/site/{0}" /></application>'
)


def test_another_application(tmp_path):
    """A rewrite into another application of the pool chooses it, with what is in force there."""
    folder = tmp_path
    served = Site(
        folder,
        rewrite(rule("^go/(.*)$", 'type="Rewrite" url="shop/{R:1}"')) + ECHO_HANDLER,
        files=["shop/a.txt"],
        web_configs={"shop": "<handlers><clear />"
                     '<add name="f" path="*" verb="*" modules="StaticFileModule" /></handlers>'},
        applications=APPLICATION.format("shop", folder),
    )  # fmt: skip
    assert served.ask("/go/a.txt").body == b"shop/a.txt"


def test_an_application_of_another_pool(tmp_path):
    """403.18, and nothing of it is served by this pool."""
    config = rewrite(rule("^go/(.*)$", 'type="Rewrite" url="other/{R:1}"')) + ECHO_HANDLER
    served = Site(
        tmp_path,
        config,
        files=["other/a.txt"],
        applications=APPLICATION.format("other", tmp_path).replace('"pool"', '"second"'),
        pools='<add name="second" />',
    )
    answer = served.ask("/go/a.txt")
    assert (answer.status, answer.sub_status) == (403, 18)


def test_security_of_the_new_path(site):
    """What is in force at the rewritten path holds: authentication there is asked for."""
    closed = (
        '<security><authentication><anonymousAuthentication enabled="false" />'
        "</authentication></security>"
    )
    location = f'</system.webServer><location path="main/in"><system.webServer>{closed}'
    served = site(
        rule("^a$", 'type="Rewrite" url="in/a"'),
        handlers=ECHO_HANDLER + location + "</system.webServer></location><system.webServer>",
    )
    assert served.ask("/a").status == 401
    assert served.seen("/b") == "|/b|"


def test_a_broken_web_config_of_the_new_path(site):
    """500.19 of the folder that the request was sent to."""
    served = site(rule("^a$", 'type="Rewrite" url="in/a"'), web_configs={"in": "<nonsense />"})
    answer = served.ask("/a")
    assert (answer.status, answer.sub_status) == (500, 19)


def test_no_rules_no_step(tmp_path):
    """Where no rule is in force the module takes no place in a call list."""
    served = Site(tmp_path, ECHO_HANDLER)
    [application] = list(served.server.applications)
    steps = [step for run in application.calls.head for step in run.steps]
    names = {step.registration.name for step in steps if step.registration}
    assert "RewriteModule" not in names


# ── targets ─────────────────────────────────────────────────────────────────────────────────────


@given(st.text(alphabet="ab/.\\%2e5c?#", max_size=25))
def test_no_target_leaves_the_root(url):
    """Whatever a rule composes, the path is canonical: no dot segment, no backslash, one slash."""
    try:
        path, _ = split_target(url, "/f")
    except RewriteError:
        return
    assert path.startswith("/")
    assert "//" not in path
    assert "\\" not in path
    assert not {".", ".."} & set(path.split("/"))


@given(st.text(alphabet="/\\a:?#.", max_size=12), st.sampled_from(["", "/f"]))
def test_no_relative_location_names_a_server(url, folder):
    """A Location that the rule means to be on this site has one slash in front."""
    assert location_of(url, folder, "", False)[:2] not in ("//", "/\\")


def test_a_default_document_is_not_rewritten(site):
    """The rule that hides the document's name does not send its folder round in a circle."""
    rules = rule(r"(.*?)/?index\.html$", 'type="Redirect" url="{R:1}/"')
    served = site(rules, handlers="", files=["index.html", "sub/index.html"])
    assert served.ask("/").body == b"index.html"
    assert served.location("/index.html") == "/"
    assert served.location("/sub/index.html") == "/sub/"
    assert served.ask("/sub/").body == b"sub/index.html"


PATTERNS = [".", "^", "(.*)", "^a/(.*)$", "(a)|(b)", "[^/]+$", "\\.php$"]
URLS = [
    *("", "/", "x", "/{R:0}", "{R:1}/../{C:1}", "//{R:1}", "{URL}?{QUERY_STRING}", "http://h/"),
    *("{UrlDecode:{QUERY_STRING}}", "{Names:{R:0}}", "a\\b", "?", "%00", "{UNENCODED_URL}"),
]
INPUTS = ["{QUERY_STRING}", "{REQUEST_FILENAME}", "{HTTP_HOST}{R:1}", "", "{C:1}"]
KINDS = ["Rewrite", "Redirect", "None", "CustomResponse"]


@st.composite
def any_rule(draw):
    condition = add(draw(st.sampled_from(INPUTS)), draw(st.sampled_from(PATTERNS)))
    return rule(
        draw(st.sampled_from(PATTERNS)),
        f'type="{draw(st.sampled_from(KINDS))}" url="{draw(st.sampled_from(URLS))}" '
        f'statusCode="{draw(st.sampled_from([200, 404]))}"',
        conditions=f"<conditions>{condition}</conditions>",
        stopProcessing=draw(st.sampled_from(["true", "false"])),
        name="NAME",
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(any_rule(), max_size=4),
    st.sampled_from(["/", "/a/b", "/a.php", "/é %", "/b/"]),
    st.sampled_from(["", "q=1", "%2e%2e/%2f", "http://evil/", "%0d%0aX:y"]),
)
def test_whatever_rules_say_a_request_ends_once(rules, path, query):
    """One answer, of a status that rules or handlers have; no Location with a line break."""
    named = "".join(text.replace("NAME", str(n), 1) for n, text in enumerate(rules))
    with tempfile.TemporaryDirectory() as folder:
        answer = Site(Path(folder), rewrite(named, MAPS) + ECHO_HANDLER).ask(path, query)
    assert (answer.status, answer.sub_status) in [(200, 0), (301, 0), (404, 0), (500, 50)]
    assert not any(line.startswith(b"X:y") for line in answer.block.splitlines())


# ── global rules ────────────────────────────────────────────────────────────────────────────────


def global_rules(rules: str, more: str = "") -> str:
    return f"<rewrite><globalRules>{rules}</globalRules>{more}</rewrite>"


def test_global_rules_come_first(tmp_path):
    """They see the whole path, and the rules of the new path run after them."""
    folder = rewrite(rule("^b$", 'type="Rewrite" url="c"'))
    rules = global_rules(rule("^in/a$", 'type="Rewrite" url="sub/b?{R:0}"', name="g"))
    served = Site(tmp_path, rules + ECHO_HANDLER, web_configs={"sub": folder})
    answer = served.ask("/in/a", "q")
    assert answer.body == b"|/sub/c|in/a&q"
    assert "GET /in/a q" in answer.log


def test_global_rules_choose_the_application(tmp_path):
    """What is in force at the new path is in force from the beginning."""
    rules = global_rules(rule("^go/(.*)$", 'type="Rewrite" url="shop/{R:1}"', name="g"))
    served = Site(
        tmp_path,
        rules + ECHO_HANDLER,
        web_configs={"shop": "<nonsense />"},
        applications=APPLICATION.format("shop", tmp_path),
    )
    answer = served.ask("/go/a")
    assert (answer.status, answer.sub_status) == (500, 19)


GLOBAL_ENDINGS = [
    ('type="Redirect" url="/b"', 301, 0),
    ('type="CustomResponse" statusCode="410" subStatusCode="3"', 410, 3),
    ('type="Rewrite" url="http://other/"', 500, 51),
    ('type="Rewrite" url="{No:x}"', 500, 51),
]


@pytest.mark.parametrize(("action", "status", "sub_status"), GLOBAL_ENDINGS)
def test_global_rules_that_answer(tmp_path, action, status, sub_status):
    """No module's BEGIN_REQUEST comes after it; the request is logged and has its error page."""
    served = Site(tmp_path, global_rules(rule("^a$", action, name="g")) + ECHO_HANDLER)
    answer = served.ask("/a")
    assert (answer.status, answer.sub_status) == (status, sub_status)
    assert "GET /a" in answer.log
    assert answer.body


def test_global_rules_may_set_any_variable(tmp_path):
    """allowedServerVariables is about rules of sites."""
    rules = (
        '<rule name="g"><match url=".*" /><serverVariables><set name="HTTP_X_A" value="v" />'
        "</serverVariables></rule>"
    )
    served = Site(tmp_path, global_rules(rules) + ECHO_HANDLER)
    assert served.ask("/a").body == b"|/a||v|"


def test_without_global_rules_nothing_is_raised(tmp_path):
    """A change of the configuration turns the notification on and off."""
    served = Site(tmp_path, ECHO_HANDLER)
    server = served.server
    assert not server._has_pre_begin
    file = tmp_path / "config" / "applicationHost.config"
    text = file.read_text()
    rules = global_rules(rule("^a$", 'type="Rewrite" url="b"', name="g"))
    file.write_text(text.replace("<handlers>", rules + "<handlers>", 1))
    server.configuration_changed()
    assert served.seen("/a") == "|/b|"
    file.write_text(text)
    server.configuration_changed()
    assert not server._has_pre_begin
    assert served.seen("/a") == "|/a|"


# ── the output cache ────────────────────────────────────────────────────────────────────────────

CACHING = (
    '<caching><profiles><add extension=".x" policy="CacheForTimePeriod" duration="00:10:00" />'
    "</profiles></caching>"
)


def test_a_cached_answer_is_that_of_its_own_url(site):
    """Two URLs, or two queries, that are rewritten to one path keep an answer each."""
    rules = rule("^(a|b)$", 'type="Rewrite" url="page.x?p={R:1}"')
    served = site(rules, handlers=ECHO_HANDLER + CACHING)
    for _ in range(2):
        assert served.seen("/a") == "|/page.x|p=a"
        assert served.seen("/b") == "|/page.x|p=b"
        assert served.seen("/a", "q=1") == "|/page.x|p=a&q=1"


def test_a_cached_answer_is_that_of_the_values_used(site):
    """Where rules look at a header, a kept answer is for those with the same value."""
    rules = (
        '<rule name="r"><match url="page.x" /><conditions>'
        '<add input="{HTTP_X_B}" pattern="(.+)" /></conditions><serverVariables>'
        '<set name="HTTP_X_A" value="{C:1}" /></serverVariables></rule>'
    )
    more = '<allowedServerVariables><add name="HTTP_X_A" /></allowedServerVariables>'
    served = site(rules, more=more, handlers=ECHO_HANDLER + CACHING)
    for _ in range(2):
        for value in ("one", "two"):
            fields = [("Host", "h"), ("X-B", value)]
            assert served.ask("/page.x", fields=fields).body == f"|/page.x||{value}|".encode()
