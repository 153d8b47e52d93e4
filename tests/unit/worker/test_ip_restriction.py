"""IpRestrictionModule: every attribute of ipSecurity."""

import pytest
from fake_exchange import ask, make_server
from waiting import ask_and_wait, outcome

from was.errors import ConfigErrors
from was.worker.security import host_names


def section(entries="", **attributes):
    given = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<security><ipSecurity{given}>{entries}</ipSecurity></security>"


def entry(ip="", mask="", allowed="false", domain=""):
    parts = {"ipAddress": ip, "subnetMask": mask, "domainName": domain, "allowed": allowed}
    return "<add" + "".join(f' {k}="{v}"' for k, v in parts.items() if v) + " />"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.txt").write_text("a")
    return tmp_path


def ask_from(site, web_server, address, **changes):
    return ask(make_server(site, web_server), path="/a.txt", remote_addr=address, **changes)


@pytest.mark.parametrize(
    ("entries", "answers"),
    [
        (entry("10.1.2.3"), {"10.1.2.3": 403, "10.1.2.4": 200, "::ffff:10.1.2.3": 403}),
        (entry("10.1.0.0", "255.255.0.0"), {"10.1.255.255": 403, "10.2.0.0": 200}),
        (entry("10.1.9.9", "16"), {"10.1.2.3": 403, "10.2.0.0": 200}),
        (entry("2001:db8::", "32"), {"2001:db8:1::1": 403, "2001:db9::1": 200, "10.0.0.1": 200}),
        (entry("2001:db8::", "ffff:ffff::"), {"2001:DB8:0::1": 403, "2001:db9::": 200}),
        (entry("2001:db8::1"), {"2001:db8::1": 403, "2001:db8::2": 200}),
        (
            entry("10.1.2.3", allowed="true") + entry("10.1.0.0", "255.255.0.0"),
            {"10.1.2.3": 200, "10.1.2.4": 403},
        ),
        (
            entry("10.1.0.0", "255.255.0.0") + entry("10.1.2.3", allowed="true"),
            {"10.1.2.3": 403},
        ),
    ],
)
def test_addresses_and_masks(site, entries, answers):
    """The first entry that fits decides, whatever way an address is written."""
    for address, status in answers.items():
        exchange = ask_from(site, section(entries), address)
        assert exchange.status == status, address
        assert exchange.sub_status == (6 if status == 403 else 0)


def test_unlisted(site):
    """allowUnlisted="false": only who is listed; the peer of a Unix socket is in no list."""
    only = section(entry("10.0.0.0", "255.0.0.0", "true"), allowUnlisted="false")
    assert ask_from(site, only, "10.200.1.1").status == 200
    assert outcome(ask_from(site, only, "11.0.0.1")) == "403.6"
    assert outcome(ask_from(site, only, "unix:")) == "403.6"
    assert outcome(ask_from(site, section(allowUnlisted="false"), "127.0.0.1")) == "403.6"


@pytest.mark.parametrize(
    ("action", "expected"),
    [("Forbidden", "403.6"), ("Unauthorized", "401.503"), ("NotFound", "404.503")],
)
def test_deny_action(site, action, expected):
    """denyAction chooses the status; ERROR_ACCESS_DENIED goes to the log."""
    exchange = ask_from(site, section(entry("10.0.0.1"), denyAction=action), "10.0.0.1")
    assert (outcome(exchange), exchange.win32) == (expected, 5)


def test_abort(site):
    """denyAction="AbortRequest": no response, the connection is cut."""
    exchange = ask_from(site, section(entry("10.0.0.1"), denyAction="AbortRequest"), "10.0.0.1")
    assert exchange.calls == ["reset"]


FORWARDED = "X-Forwarded-For"


def test_proxy_mode(site):
    """Every address of X-Forwarded-For must pass as well as the peer's; nothing in it lets in."""
    denied = section(entry("10.0.0.1"), enableProxyMode="true")
    for value in ("10.0.0.1", "1.1.1.1, 10.0.0.1", "10.0.0.1:5000, 1.1.1.1", "[::ffff:10.0.0.1]:1"):
        assert outcome(ask_from(site, denied, "9.9.9.9", fields=[(FORWARDED, value)])) == "403.6"
    twice = [(FORWARDED, "1.1.1.1"), (FORWARDED.lower(), "10.0.0.1")]
    assert outcome(ask_from(site, denied, "9.9.9.9", fields=twice)) == "403.6"
    assert ask_from(site, denied, "9.9.9.9", fields=[(FORWARDED, "1.1.1.1")]).status == 200
    only = section(entry("10.0.0.0", "8", "true"), allowUnlisted="false", enableProxyMode="true")
    assert outcome(ask_from(site, only, "9.9.9.9", fields=[(FORWARDED, "10.0.0.5")])) == "403.6"
    assert outcome(ask_from(site, only, "10.0.0.2", fields=[(FORWARDED, "9.9.9.9")])) == "403.6"
    assert ask_from(site, only, "10.0.0.2", fields=[(FORWARDED, "10.0.0.5")]).status == 200
    assert outcome(ask_from(site, only, "10.0.0.2", fields=[(FORWARDED, "unknown")])) == "400.10"
    many = [(FORWARDED, ", ".join(["10.0.0.5"] * 33))]
    assert outcome(ask_from(site, only, "10.0.0.2", fields=many)) == "400.10"
    assert ask_from(site, only, "10.0.0.2", fields=[(FORWARDED, many[0][1][10:])]).status == 200


def test_without_proxy_mode_the_field_says_nothing(site):
    """X-Forwarded-For is neither believed nor refused."""
    denied = section(entry("10.0.0.1"))
    assert ask_from(site, denied, "9.9.9.9", fields=[(FORWARDED, "10.0.0.1")]).status == 200
    assert ask_from(site, denied, "10.0.0.1", fields=[(FORWARDED, "9.9.9.9")]).status == 403


NAMES = {"10.0.0.1": ("bad.example.com",), "10.0.0.2": ("good.org",), "10.0.0.3": ()}


def test_domain_names(site, monkeypatch):
    """With enableReverseDns names decide, looked up off the request's thread; 403.504."""
    asked = []

    def look_up(address):
        asked.append(address)
        return NAMES[address]

    monkeypatch.setattr(host_names, "look_up", look_up)
    host_names.HOST_NAMES.forget()
    text = section(entry(domain="*.Example.com"), enableReverseDns="true")
    server = make_server(site, text)
    answers = {a: outcome(ask_and_wait(server, path="/a.txt", remote_addr=a)) for a in NAMES}
    assert answers == {"10.0.0.1": "403.504", "10.0.0.2": "200.0", "10.0.0.3": "200.0"}
    assert outcome(ask(server, path="/a.txt", remote_addr="10.0.0.1")) == "403.504"
    assert asked == list(NAMES)
    only = section(
        entry(domain="good.org", allowed="true"), enableReverseDns="true", allowUnlisted="false"
    )
    server = make_server(site, only)
    answers = {a: outcome(ask(server, path="/a.txt", remote_addr=a)) for a in NAMES}
    assert answers == {"10.0.0.1": "403.6", "10.0.0.2": "200.0", "10.0.0.3": "403.6"}
    host_names.HOST_NAMES.forget()


def test_domain_names_without_reverse_dns(site):
    """enableReverseDns="false": entries with names fit nobody."""
    assert ask_from(site, section(entry(domain="*.example.com")), "10.0.0.1").status == 200


def test_a_name_must_lead_back(monkeypatch):
    """What the owner of an address calls it counts only if the owner of the name agrees."""
    monkeypatch.setattr(
        host_names.socket, "gethostbyaddr", lambda _: ("Good.org.", ["evil.net"], [])
    )
    found = {"Good.org.": "10.0.0.2", "evil.net": "10.0.0.9"}
    monkeypatch.setattr(
        host_names.socket, "getaddrinfo", lambda name, *_, **__: [(0, 0, 0, "", (found[name], 0))]
    )
    assert host_names.look_up("10.0.0.2") == ("good.org",)


@pytest.mark.parametrize(
    "bad",
    [
        entry("300.1.1.1"),
        entry("10.0.0.1", "255.0.255.0"),
        entry("10.0.0.1", "33"),
        entry("10.0.0.1", "ffff::"),
        entry(domain="a..b"),
        "<add />",
    ],
)
def test_what_cannot_be_understood_is_an_error(site, bad):
    """An entry that could never hold is no restriction, and must not look like one."""
    with pytest.raises(ConfigErrors):
        make_server(site, section(bad))
