"""DynamicIpRestrictionModule: every attribute of dynamicIpSecurity, and the counting below it."""

import threading

import pytest
from fake_exchange import WSGI, ask, make_request, make_server
from hypothesis import given
from hypothesis import strategies as st
from waiting import LIMIT_S, WaitingExchange, outcome

from was.worker.modules import dynamic_ip_restriction
from was.worker.security.ip_counts import Concurrency, Rates, client_of

APP = """import threading
gate, begun = threading.Event(), threading.Semaphore(0)
def application(environ, start_response):
    begun.release()
    if environ["PATH_INFO"] == "/wait":
        gate.wait(20)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


def section(limits, **attributes):
    given = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<security><dynamicIpSecurity{given}>{limits}</dynamicIpSecurity></security>"


def rate(most, interval=200):
    return (
        f'<denyByRequestRate enabled="true" maxRequests="{most}" '
        f'requestIntervalInMilliseconds="{interval}" />'
    )


AT_A_TIME = '<denyByConcurrentRequests enabled="true" maxConcurrentRequests="2" />'


@pytest.fixture
def make(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(dynamic_ip_restriction, "_running", {})
    monkeypatch.setattr(dynamic_ip_restriction, "_rates", {})
    monkeypatch.setattr(dynamic_ip_restriction.time, "monotonic", lambda: clock[0])

    def make(limits, *, handler="", **attributes):
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / "gated.py").write_text(APP)
        (tmp_path / "site" / "index.html").write_text("hi")
        server = make_server(tmp_path, section(limits, **attributes) + handler)
        server.clock = clock
        return server

    return make


def ask_often(server, times, address="10.0.0.1", **changes):
    return [outcome(ask(server, remote_addr=address, **changes)) for _ in range(times)]


def test_rate(make):
    """The request beyond maxRequests within the interval is denied, for that address alone."""
    server = make(rate(3, 1000))
    assert ask_often(server, 5) == ["200.0"] * 3 + ["403.502"] * 2
    assert ask_often(server, 1, "10.0.0.2") == ["200.0"]
    server.clock[0] += 2.0
    assert ask_often(server, 4) == ["200.0"] * 3 + ["403.502"]


def test_the_interval_is_the_settings(make):
    """requestIntervalInMilliseconds in milliseconds."""
    server = make(rate(1, 200))
    assert ask_often(server, 2) == ["200.0", "403.502"]
    server.clock[0] += 0.401
    assert ask_often(server, 1) == ["200.0"]


def test_a_default_document_counts_once(make):
    """A request within a request is not the client's."""
    assert ask_often(make(rate(2, 1000)), 3, path="/") == ["200.0", "200.0", "403.502"]


def test_concurrency(make):
    """maxConcurrentRequests at a time from one address; ended requests do not count."""
    import sys

    server = make(AT_A_TIME, handler=WSGI.format("gated:application"))
    exchanges = [
        WaitingExchange(make_request(path="/wait", remote_addr="10.0.0.1")) for _ in range(2)
    ]
    threads = [threading.Thread(target=server.handle, args=(e,)) for e in exchanges]
    for thread in threads:
        thread.start()
    gated = sys.modules["gated"]
    try:
        for _ in threads:
            assert gated.begun.acquire(timeout=LIMIT_S)
        assert ask_often(server, 1) == ["403.501"]
        assert ask_often(server, 1, "10.0.0.2") == ["200.0"]
    finally:
        gated.gate.set()
        for thread in threads:
            thread.join(LIMIT_S)
    assert ask_often(server, 3) == ["200.0"] * 3
    assert [len(c) for c in dynamic_ip_restriction._running.values()] == [0]


@pytest.mark.parametrize(
    ("action", "expected"),
    [("Unauthorized", "401.502"), ("Forbidden", "403.502"), ("NotFound", "404.502")],
)
def test_deny_action(make, action, expected):
    """denyAction chooses the status."""
    assert ask_often(make(rate(1, 1000), denyAction=action), 2)[1] == expected


def test_abort(make):
    """denyAction="AbortRequest" cuts the connection."""
    server = make(rate(1, 1000), denyAction="AbortRequest")
    ask_often(server, 1)
    assert ask(server, remote_addr="10.0.0.1").calls == ["reset"]


def test_logging_only(make, capfd):
    """enableLoggingOnlyMode: what would be denied is served, and a line of the log says so."""
    server = make(rate(1, 1000), enableLoggingOnlyMode="true")
    assert ask_often(server, 3) == ["200.0"] * 3
    lines = [line for line in capfd.readouterr().err.splitlines() if "request_excessive" in line]
    assert len(lines) == 2
    assert "client=10.0.0.1" in lines[0]
    assert "sub_status=502" in lines[0]


def test_proxy_mode(make):
    """The client is the last address of X-Forwarded-For; what stands before it hides nobody."""
    server = make(rate(1, 1000), enableProxyMode="true")
    fields = [[("X-Forwarded-For", f"{n}.{n}.{n}.{n}, 9.9.9.9")] for n in range(1, 4)]
    answers = [outcome(ask(server, remote_addr="10.0.0.1", fields=f)) for f in fields]
    assert answers == ["200.0", "403.502", "403.502"]
    other = [("X-Forwarded-For", "8.8.8.8")]
    assert outcome(ask(server, remote_addr="10.0.0.1", fields=other)) == "200.0"
    assert ask_often(server, 2) == ["200.0", "403.502"]
    broken = [("X-Forwarded-For", "who?")]
    assert outcome(ask(server, remote_addr="10.0.0.1", fields=broken)) == "400.10"


def test_without_proxy_mode_everybody_behind_a_proxy_is_one(make):
    """X-Forwarded-For says nothing then."""
    server = make(rate(1, 1000))
    fields = [[("X-Forwarded-For", f"9.9.9.{n}")] for n in range(2)]
    answers = [outcome(ask(server, remote_addr="10.0.0.1", fields=f)) for f in fields]
    assert answers == ["200.0", "403.502"]


def test_nothing_enabled_costs_nothing(make):
    """Without a limit there is no step."""
    calls = next(iter(make("").applications)).calls
    names = {
        step.registration.name for run in calls.head for step in run.steps if step.registration
    }
    assert "DynamicIpRestrictionModule" not in names


def test_one_client_of_ipv6_is_its_network():
    """Who has 2^64 addresses is one client; IPv4 in IPv6 is IPv4."""
    assert client_of("2001:db8::1") == client_of("2001:DB8:0:0:ffff::2")
    assert client_of("2001:db8::1") != client_of("2001:db8:0:1::1")
    assert client_of("::ffff:10.0.0.1") == client_of("10.0.0.1") == "10.0.0.1"
    assert client_of("unix:") == "unix:"


@given(st.lists(st.floats(0, 0.5), max_size=80))
def test_the_estimate_of_a_rate(steps):
    """Never below the requests of the interval that runs, never above those of two of them."""
    rates, now, times = Rates(1.0), 0.0, []
    for step in steps:
        now += step
        times.append(now)
        estimate = rates.count("a", now)
        running = sum(1 for t in times if int(t) == int(now))
        both = sum(1 for t in times if int(t) >= int(now) - 1)
        assert running <= estimate <= both


def test_what_counts_of_the_interval_before():
    """So much of it as still lies within one length of now."""
    rates = Rates(1.0)
    for _ in range(8):
        rates.count("a", 0.9)
    assert rates.count("a", 1.25) == 1 + 8 * 0.75
    assert rates.count("a", 1.5) == 2 + 8 * 0.5
    assert rates.count("a", 3.0) == 1


def test_bounds():
    """Beyond so many addresses the one that has not come for longest is forgotten."""
    rates = Rates(1.0, most=2)
    for client in ("a", "b", "a", "c"):
        rates.count(client, 0.1)
    assert len(rates) == 2
    assert rates.count("a", 0.1) == 3
    assert rates.count("b", 0.1) == 1
    running = Concurrency()
    assert [running.enter("a"), running.enter("a")] == [1, 2]
    running.leave("a")
    running.leave("a")
    assert len(running) == 0
