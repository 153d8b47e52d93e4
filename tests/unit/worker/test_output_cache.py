"""HttpCacheModule: which responses are kept, for whom, how long; and the store below it."""

import os
import time

import pytest
from fake_exchange import WSGI, ask, make_server

from was.worker.interfaces.hresult import HResultError
from was.worker.modules import http_cache
from was.worker.output_cache.kept_responses import CachedResponse, OutputCache, VaryBy
from was.worker.output_cache.policy import CachePolicyType, HttpCachePolicy

APP = """
import itertools
count = itertools.count(1)
def application(environ, start_response):
    path = environ["PATH_INFO"]
    fields = [("Content-Type", "text/plain")]
    fields += {
        "/cookie.x": [("Set-Cookie", "a=b")],
        "/private.x": [("Cache-Control", "private")],
        "/vary.x": [("Vary", "Accept-Language")],
        "/star.x": [("Vary", "*")],
        "/tag.x": [("ETag", '"x"'), ("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT")],
        "/long_tag.x": [("ETag", '"x"'), ("Content-Length", "1")],
        "/said.x": [("Cache-Control", "max-age=1")],
        "/coded.x": [("ETag", 'W/"x"'), ("Content-Encoding", "gzip")],
    }.get(path, [])
    body = b"%d" % next(count)
    if path == "/long.x":
        body = body.rjust(500000)
    start_response("404 Not Found" if path == "/missing.x" else "200 OK", fields)
    if path == "/stream.x":
        return iter([body, b"!"])
    return [body]
"""
LANGUAGE = [("Accept-Language", "de")]
TIMED = 'extension=".x" policy="CacheForTimePeriod" duration="00:10:00"'


@pytest.fixture
def app(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "counting_app.py").write_text(APP)

    def make(profile=TIMED, attributes="", more="", **parts):
        profiles = f"<profiles><add {profile} /></profiles>" if profile else ""
        caching = f"<caching {attributes}>{profiles}</caching>{more}"
        return make_server(tmp_path, WSGI.format("counting_app:application") + caching, **parts)

    return make


def calls(server, path, **changes):
    """How many of two requests reached the application."""
    bodies = [ask(server, path=path, **changes).body for _ in range(2)]
    return len(set(bodies))


def test_an_answer_is_given_again(app):
    """Status, fields and body; HEAD gets the same without the body."""
    server = app()
    first, second = (ask(server, path="/a.x") for _ in range(2))
    assert (second.status, second.body, second.headers()) == (200, b"1", first.headers())
    head = ask(server, path="/a.x", method="HEAD")
    assert (head.body, head.length) == (b"", 1)
    assert ask(server, path="/b.x").body == b"2"
    assert ask(server, path="/a.x").body == b"1"


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/a.y", {}),
        ("/a", {}),
        ("/cookie.x", {}),
        ("/private.x", {}),
        ("/star.x", {}),
        ("/stream.x", {}),
        ("/long.x", {}),
        ("/missing.x", {}),
        ("/a.x", {"method": "POST"}),
        ("/a.x", {"body": b"x"}),
        ("/a.x", {"fields": [("Authorization", "Basic eDp5")]}),
        ("/a.x", {"fields": [("Range", "bytes=0-0")]}),
    ],
)
def test_what_is_not_kept(app, path, changes):
    """No profile, private, flushed, too long, an error, another method, a body, credentials."""
    server = app()
    calls(server, path, **changes)
    assert ask(server, path="/other.x").body == b"3"


@pytest.mark.parametrize(
    ("profile", "attributes"),
    [
        (TIMED, 'enabled="false"'),
        (TIMED, 'maxResponseSize="0"'),
        ('extension=".x" policy="DontCache"', ""),
        ('extension=".x" policy="DisableCache"', ""),
        ('extension=".x" policy="CacheUntilChange"', ""),  # no file that could change
        (TIMED + ' location="Client"', ""),
        (TIMED + ' location="Downstream"', ""),
        (TIMED + ' location="None"', ""),
    ],
)
def test_settings_that_keep_nothing(app, profile, attributes):
    """Switched off, by size, by policy, by location."""
    assert calls(app(profile, attributes), "/a.x") == 2


def test_a_worker_without_profiles_has_no_step_for_it(app):
    """The default costs nothing."""
    server = app(profile="")
    (application,) = server.applications
    runs = [*application.calls.head, *application.calls.handlers.always.runs]
    steps = [step for run in runs for step in run.steps]
    assert not [s for s in steps if s.registration and s.registration.name == "HttpCacheModule"]


@pytest.mark.parametrize(
    ("vary", "one", "other", "is_same"),
    [
        ("", {"query": "a=1"}, {"query": "a=2"}, True),
        ('varyByQueryString="a"', {"query": "a=1"}, {"query": "a=2"}, False),
        ('varyByQueryString="a;b"', {"query": "a=1&c=1"}, {"query": "c=2&A=1"}, True),
        ('varyByQueryString="*"', {"query": "c=1"}, {"query": "c=2"}, False),
        ('varyByHeaders="User-Agent, X-A"', {"fields": [("x-a", "1")]}, {"fields": []}, False),
        ('varyByHeaders="X-A"', {"fields": [("x-a", "1")]}, {"fields": [("X-A", "1 ")]}, True),
        ("", {"fields": [("Host", "a")]}, {"fields": [("Host", "b")]}, False),
        ("", {"secure": True}, {"secure": False}, False),
        (
            "",
            {"path": "/vary.x", "fields": LANGUAGE},
            {"path": "/vary.x"},
            False,
        ),
    ],
)
def test_what_makes_two_requests_the_same(app, vary, one, other, is_same):
    """Host, scheme and path always; query and fields as the profile or the response's Vary say."""
    server = app(f"{TIMED} {vary}")
    first = ask(server, **{"path": "/a.x", **one}).body
    second = ask(server, **{"path": "/a.x", **other}).body
    assert (first == second) is is_same
    assert ask(server, **{"path": "/a.x", **one}).body == first
    assert ask(server, **{"path": "/a.x", **other}).body == second


def test_conditions_are_answered_from_the_cache(app):
    """By the kept validators."""
    server = app()
    ask(server, path="/tag.x", fields=[])
    date = "Sun, 09 Sep 2001 01:46:40 GMT"
    for field in (("If-None-Match", '"x"'), ("If-Modified-Since", date)):
        exchange = ask(server, path="/tag.x", fields=[field])
        assert (exchange.status, exchange.body) == (304, b"")
        assert exchange.headers()["etag"] == '"x"'
    assert ask(server, path="/tag.x", fields=[("If-None-Match", '"y"')]).body == b"1"
    two_lines = [("If-None-Match", '"x"'), ("If-None-Match", '"y"')]
    assert ask(server, path="/tag.x", fields=two_lines).status == 304


def test_a_304_from_the_cache_speaks_of_no_other_body(app):
    """Its length would be that of the body as the application made it, not as the client has it.

    A copy that was compressed on its way has a weak validator, by which caches find it.
    """
    server = app()
    ask(server, path="/long_tag.x", fields=[])
    fresh = ask(server, path="/long_tag.x", fields=[("If-None-Match", 'W/"x"')])
    assert (fresh.status, fresh.length, fresh.headers()) == (304, -1, {"etag": 'W/"x"'})


@pytest.mark.parametrize(
    ("method", "path", "is_kept"),
    [
        ("POST", "/a.x", False),
        ("DELETE", "/a.x", False),
        ("OPTIONS", "/a.x", True),
        ("POST", "/b.x", True),
        ("POST", "/missing.x", True),
    ],
)
def test_a_change_ends_what_was_kept(app, method, path, is_kept):
    """RFC 9111 4.4: all variants of its own URL, when an unsafe method has not failed."""
    server = app(f'{TIMED} varyByQueryString="*"')
    queries = ("", "a=1")
    before = [ask(server, path="/a.x", query=query).body for query in queries]
    ask(server, path=path, method=method)
    after = [ask(server, path="/a.x", query=query).body for query in queries]
    assert [old == new for old, new in zip(before, after, strict=True)] == [is_kept] * 2


@pytest.mark.parametrize(
    ("field", "status"),
    [
        (("If-None-Match", 'W/"x"'), 304),
        (("If-None-Match", '"x"'), 304),
        (("If-None-Match", '"y", "x"'), 304),
        (("If-None-Match", 'W/"y"'), 200),
        (("If-Match", 'W/"x"'), 200),  # which the application says: it alone has a strong one
    ],
)
def test_a_kept_weak_validator(app, field, status):
    """RFC 9110 8.8.3.2: If-None-Match does not look at weakness, If-Match never takes a weak one.

    A 304 does not speak of the coding of a body (15.4.5): what the client has may be in another.
    """
    server = app()
    ask(server, path="/coded.x", fields=[])
    exchange = ask(server, path="/coded.x", fields=[field])
    assert exchange.status == status
    assert (exchange.body == b"2") is (field[0] == "If-Match")
    if status == 304:
        assert exchange.headers() == {"etag": 'W/"x"'}


def test_the_duration(app, monkeypatch):
    """Kept so long and no longer."""
    server = app()
    now = time.monotonic()
    for passed_s in (0, 599):
        monkeypatch.setattr(time, "monotonic", lambda passed_s=passed_s: now + passed_s)
        assert ask(server, path="/a.x").body == b"1"
    monkeypatch.setattr(time, "monotonic", lambda: now + 601)
    assert ask(server, path="/a.x").body == b"2"


def test_until_the_file_changes(app, tmp_path, monkeypatch):
    """A script's file is what its URL stands for; one changed a moment ago is not trusted yet."""
    monkeypatch.setattr(http_cache, "_SETTLED_NS", 3600 * 10**9)
    server = app('extension=".x" policy="CacheUntilChange"')
    file = tmp_path / "site" / "script.x"
    file.write_text("one")
    assert calls(server, "/script.x") == 2
    os.utime(file, (1_000_000_000, 1_000_000_000))
    assert calls(server, "/script.x") == 1
    before = ask(server, path="/script.x").body
    file.write_text("another")
    os.utime(file, (1_000_000_001, 1_000_000_001))
    assert ask(server, path="/script.x").body != before


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("Any", "public, max-age=600"),
        ("Client", "private, max-age=600"),
        ("Downstream", "public, max-age=600"),
        ("ServerAndClient", "private, max-age=600"),
        ("None", "no-cache"),
        ("Server", None),
    ],
)
def test_location_is_told(app, location, expected):
    """In Cache-Control, for kept answers too; what the handler says stays."""
    server = app(f'{TIMED} location="{location}"')
    for _ in range(2):
        assert ask(server, path="/a.x").headers().get("cache-control") == expected
    assert ask(server, path="/said.x").headers()["cache-control"] == "max-age=1"
    assert "cache-control" not in ask(server, path="/a.y").headers()


def test_a_star_is_for_all_other_extensions(app):
    """And a profile of one's own goes before it."""
    server = app(TIMED.replace(".x", "*") + ' /><add extension=".y" policy="DontCache"')
    assert [calls(server, path) for path in ("/a.x", "/a", "/a.y")] == [1, 1, 2]


def test_a_change_of_configuration_empties_the_cache(app, tmp_path):
    """What was kept under other settings is not given."""
    server = app()
    assert calls(server, "/a.x") == 1
    server.configuration_changed()
    assert ask(server, path="/a.x").body == b"2"


# ── what modules say ────────────────────────────────────────────────────────────────────────────

MODULE = """
from was.worker.notifications import CONTINUE, RequestNotification
from was.worker.calls.registration import HttpModule

class Sayer(HttpModule):
    def on_begin_request(self, context, provider):
        policy = context.response.cache_policy
        if "off" in context.query:
            policy.disable_user_cache()
        if "value" in context.query:
            policy.set_vary_by_value(context.query)
        return CONTINUE
    def on_post_execute_request_handler(self, context, provider):
        policy = context.response.cache_policy
        policy.user_cache_policy.policy = 2
        policy.user_cache_policy.seconds_to_live = 60
        policy.append_vary_by_query_string("a")
        return CONTINUE

class Factory:
    def get_http_module(self, allocator):
        return Sayer()
    def terminate(self):
        pass

def register_module(version, info, server):
    RQ = RequestNotification
    info.set_request_notifications(Factory(), RQ.BEGIN_REQUEST, RQ.EXECUTE_REQUEST_HANDLER)
"""


def test_a_module_asks_for_it(app, tmp_path, monkeypatch):
    """IHttpCachePolicy: lifetime, vary-by rules and the switch; a profile may forbid it."""
    (tmp_path / "cache_sayer.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    parts = {
        "global_modules": '<globalModules><add name="Sayer" image="cache_sayer" /></globalModules>',
        "more": '<modules><add name="Sayer" /></modules>',
    }
    server = app(profile="", **parts)
    assert [calls(server, "/a", query=query) for query in ("a=1", "a=2", "off")] == [1, 1, 2]
    bodies = {ask(server, path="/b", query=query).body for query in ("value=1", "value=2")}
    assert len(bodies) == 2
    assert calls(app('extension="*" policy="DisableCache"', **parts), "/a") == 2


def test_the_policy_object():
    """IHttpCachePolicy's starts, one-way switches and lists."""
    policy = HttpCachePolicy()
    assert policy.user_cache_policy.policy == policy.kernel_cache_policy.policy == 0
    assert CachePolicyType.NOCACHE == 0
    switches = {
        "is_user_cache_enabled": (True, policy.disable_user_cache),
        "is_cached": (False, policy.set_is_cached),
        "is_force_update_set": (False, policy.set_force_update),
        "kernel_cache_invalidator_set": (False, policy.set_kernel_cache_invalidator_set),
    }
    for name, (start, switch) in switches.items():
        assert getattr(policy, name) is start
        switch()
        switch()
        assert getattr(policy, name) is not start
    policy.append_vary_by_header(None)
    policy.append_vary_by_header("A, B")
    policy.append_vary_by_header("C")
    policy.append_vary_by_query_string("*")
    assert (policy.vary_by_headers, policy.vary_by_query_strings) == ("A,B,C", "*")
    with pytest.raises(HResultError):
        policy.set_vary_by_value(None)
    policy.set_vary_by_value("v")
    assert policy.vary_by_value == "v"


# ── the store ───────────────────────────────────────────────────────────────────────────────────


def response(size=0):
    return CachedResponse(200, "OK", (), b"", b"x" * size, 0.0)


def test_the_store_is_bounded():
    """What has not been asked for longest goes; what alone is too much is not kept."""
    store = OutputCache()
    limit = 3 * response(1000).cost
    for number in range(3):
        store.keep(number, VaryBy(), (), response(1000), limit)
    assert store.find(0, ()) is not None
    store.keep(3, VaryBy(), (), response(1000), limit)
    assert [store.rule(number) is not None for number in range(4)] == [True, False, True, True]
    store.keep(4, VaryBy(), (), response(limit), limit)
    assert (len(store), store.used_bytes) == (3, limit)
    store.clear()
    assert (len(store), store.used_bytes, store.rule(0)) == (0, 0, None)


def test_another_rule_drops_the_variants_of_the_old_one():
    """They could be found by what no longer tells them apart."""
    store = OutputCache()
    store.keep("k", VaryBy(("a",)), "1", response(), 10**6)
    store.keep("k", VaryBy(("a",)), "2", response(), 10**6)
    assert len(store) == 2
    store.keep("k", VaryBy(("b",)), "1", response(), 10**6)
    assert (len(store), store.rule("k")) == (1, VaryBy(("b",)))
    store.drop("k", "1")
    store.drop("k", "1")
    assert (len(store), store.used_bytes) == (0, 0)
