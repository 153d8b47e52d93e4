"""Routing: buckets in order, the longest path, and why nothing matched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from was.config.urls import Bucket, UrlPrefix, canonical_ip, parse_prefix
from was.listener.routing import HOST_UNKNOWN, PATH_UNKNOWN, RouteMiss, RoutingTable


def table(*texts: str) -> RoutingTable[str]:
    return RoutingTable((parse_prefix(text), text) for text in texts)


def test_buckets_are_searched_in_order():
    """Strong wildcard before host, host before address, address before weak wildcard."""
    order = ["http://+:80/", "http://a:80/", "http://127.0.0.1:80/", "http://*:80/"]
    for count in range(len(order)):
        routes = table(*reversed(order[count:]))
        assert routes.lookup("http", "a", 80, "127.0.0.1", "/x") == order[count]


def test_inside_the_host_bucket_the_narrower_name_wins():
    """Name on an address, name, then the domains from the longest; never the domain itself."""
    order = ["http://b.a.x:80:127.0.0.1/", "http://b.a.x:80/", "http://*.a.x:80/", "http://*.x:80/"]
    for count in range(len(order)):
        routes = table(*reversed(order[count:]))
        assert routes.lookup("http", "b.a.x", 80, "127.0.0.1", "/") == order[count]
    assert table("http://*.x:80/").lookup("http", "x", 80, "", "/") is HOST_UNKNOWN


def test_the_longest_path_wins_segment_by_segment_without_case():
    """`/dir/sna` takes /dir/SNA and what lies below, not /dir/snadefault."""
    routes = table("http://*:80/", "http://*:80/dir/", "http://*:80/dir/sna/")
    paths = {
        "/": "/", "/dirx": "/", "/dir": "/dir/", "/DIR/": "/dir/", "/dir/snadefault": "/dir/",
        "/dir/SNA": "/dir/sna/", "/dir/sna/x/y": "/dir/sna/",
    }  # fmt: skip
    for path, prefix in paths.items():
        assert routes.lookup("http", "a", 80, "", path) == f"http://*:80{prefix}"


def test_no_other_name_leads_to_an_application():
    """The configuration compares lower case: `/\u017fhop` is not what is in force for `/shop`."""
    routes = table(*(f"http://*:80{path}" for path in ("/", "/shop/", "/strasse/", "/\u00fcber/")))
    paths = {
        "/SHOP/x": "/shop/", "/\u017fhop/x": "/", "/stra\u00dfe": "/", "/\ufb06rasse": "/",
        "/\u00dcBER/x": "/\u00fcber/",
    }  # fmt: skip
    for path, prefix in paths.items():
        assert routes.lookup("http", "a", 80, "", path) == f"http://*:80{prefix}", path


def test_a_bucket_without_a_matching_path_does_not_end_the_search():
    """The first bucket with a *match* ends the search, not the first that knows the host."""
    routes = table("http://a:80/app/", "http://*:80/")
    assert routes.lookup("http", "a", 80, "", "/other") == "http://*:80/"


def test_a_miss_says_whether_the_host_is_known():
    """No place for host, port and scheme: 400 Hostname; a place without the path: 404."""
    routes = table("http://a:80/app/")
    assert routes.lookup("http", "a", 80, "", "/x") is PATH_UNKNOWN
    for place in (("https", "a", 80), ("http", "b", 80), ("http", "a", 81), ("http", "", 80)):
        assert routes.lookup(*place, "", "/app") is HOST_UNKNOWN
    assert (PATH_UNKNOWN.status, HOST_UNKNOWN.status) == (404, 400)


def test_a_prefix_is_registered_once():
    """Two entries with one prefix are refused, however it is written."""
    with pytest.raises(ValueError, match="twice"):
        table("http://A:80/", "http://a:80/")


def test_the_memory_of_places_is_bounded():
    """A client that sends ever new hosts does not make the listener grow."""
    routes = table("http://*:80/")
    for number in range(10_000):
        assert routes.lookup("http", f"h{number}", 80, "127.0.0.1", "/") == "http://*:80/"
    assert len(routes._cache) <= 4096


def naive(entries: dict[UrlPrefix, int], host: str, local_ip: str, path: str) -> int | RouteMiss:
    """The search as the specification words it, one bucket after the other."""
    known = False
    folded = path.lower().rstrip("/") + "/"
    ranks: list[tuple[tuple[int, int, int, int], int]] = []
    for prefix, context in entries.items():
        bound = prefix.host if prefix.bucket is Bucket.IP_BOUND else prefix.local_ip
        if bound and bound != canonical_ip(local_ip):
            continue
        if prefix.bucket is Bucket.HOST:
            is_domain = prefix.host.startswith("*.")
            matches = host.endswith(prefix.host[1:]) if is_domain else host == prefix.host
            if not matches:
                continue
        else:
            is_domain = False
        known = True
        if folded.startswith(prefix.path):
            narrow = len(prefix.host) if is_domain else 1000
            rank = (-prefix.bucket, narrow, int(bool(bound)), len(prefix.path))
            ranks.append((rank, context))
    if ranks:
        return max(ranks)[1]
    return PATH_UNKNOWN if known else HOST_UNKNOWN


HOSTS = st.sampled_from(["+", "*", "a", "b.a", "c.b.a", "*.a", "*.b.a", "127.0.0.1", "::1"])
PATHS = st.lists(st.sampled_from(["a", "B", "ab"]), max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
PREFIXES = st.builds(
    lambda host, path, bound: UrlPrefix("http", host, 80).with_path(path)
    if not bound or host in {"+", "*", "127.0.0.1", "::1"}
    else UrlPrefix("http", host, 80, "/", bound).with_path(path),
    HOSTS, PATHS, st.sampled_from(["", "127.0.0.1", "::1"]),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.sets(PREFIXES, max_size=12),
    st.lists(
        st.tuples(
            st.sampled_from(["", "a", "b.a", "c.b.a", "d.c.b.a", "x"]),
            st.sampled_from(["", "127.0.0.1", "::1", "::ffff:127.0.0.1"]),
            PATHS,
        ),
        max_size=8,
    ),
)
def test_the_table_finds_what_the_specification_says(prefixes, requests):
    """Property: lookup equals the naive search over all registrations, cached or not."""
    entries = {prefix: number for number, prefix in enumerate(sorted(prefixes, key=str))}
    routes = RoutingTable(entries.items())
    for host, local_ip, path in requests * 2:
        found = routes.lookup("http", host, 80, local_ip, path)
        assert found == naive(entries, host, local_ip, path)
