"""UrlAuthorizationModule: rules in IIS's order, users, roles, verbs, 401.2."""

import pytest
from fake_exchange import ask, make_server
from waiting import ask_and_wait, basic, outcome

from was.config.password_hash import hash_password

SECRET = hash_password("secret")
USERS = f"""<authentication>
  <basicAuthentication enabled="true" />
  <users>
    <add name="Ana" passwordHash="{SECRET}" roles="staff, editors" />
    <add name="bob" passwordHash="{SECRET}" />
  </users>
</authentication>"""


def rules(*entries, users=USERS):
    added = "".join(f"<add {entry} />" for entry in entries)
    return f"<security>{users}<authorization><clear />{added}</authorization></security>"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.txt").write_text("a")
    return tmp_path


def ask_as(site, who, *entries, method="GET"):
    fields = [basic(who, "secret")] if who else []
    server = make_server(site, rules(*entries))
    return outcome(ask_and_wait(server, path="/a.txt", fields=fields, method=method))


ALLOW, DENY = 'accessType="Allow"', 'accessType="Deny"'


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([f'{ALLOW} users="*"'], {"": "200.0", "ana": "200.0", "bob": "200.0"}),
        ([f'{ALLOW} users="?"'], {"": "200.0", "ana": "401.2"}),
        (
            [f'{ALLOW} users="*"', f'{DENY} users="?"'],
            {"": "401.2", "ana": "200.0", "bob": "200.0"},
        ),
        (
            [f'{ALLOW} users="*"', f'{DENY} users="BOB"'],
            {"": "200.0", "ana": "200.0", "bob": "401.2"},
        ),
        ([f'{ALLOW} users="ana, bob"'], {"": "401.2", "ana": "200.0", "bob": "200.0"}),
        ([f'{ALLOW} roles="Staff"'], {"": "401.2", "ana": "200.0", "bob": "401.2"}),
        ([f'{ALLOW} users="bob" roles="editors"'], {"ana": "200.0", "bob": "200.0"}),
        ([f'{ALLOW} users="*"', f'{DENY} roles="editors"'], {"ana": "401.2", "bob": "200.0"}),
        ([], {"": "401.2", "ana": "401.2"}),
        ([f"{ALLOW} "], {"": "401.2", "ana": "401.2"}),
    ],
)
def test_who_may(site, entries, expected):
    """Deny before allow, first match decides, no match denies; names and roles in any case."""
    for who, answer in expected.items():
        assert ask_as(site, who, *entries) == answer, (who, entries)


def test_verbs(site):
    """A rule with verbs is about those alone, in their own letter case."""
    entries = [f'{ALLOW} users="*"', f'{DENY} users="*" verbs="GET, PUT"']
    assert ask_as(site, "", *entries) == "401.2"
    assert ask_as(site, "", *entries, method="HEAD") == "200.0"
    only = [f'{ALLOW} users="*" verbs="GET"']
    assert ask_as(site, "", *only) == "200.0"
    assert ask_as(site, "", *only, method="HEAD") == "401.2"
    assert ask_as(site, "", *only, method="get") == "401.2"


def test_the_default_costs_nothing(site):
    """Where everybody may, no step is in the call lists."""
    server = make_server(site)
    calls = next(iter(server.applications)).calls
    steps = [step for run in calls.head for step in run.steps]
    names = {step.registration.name for step in steps if step.registration}
    assert "UrlAuthorizationModule" not in names
    assert "IpRestrictionModule" not in names
    assert "BasicAuthenticationModule" not in names


def test_the_detail_of_a_refusal(site):
    """401.2 is logged with ERROR_ACCESS_DENIED, and challenges where a scheme is enabled."""
    server = make_server(site, rules(f'{ALLOW} users="ana"'))
    exchange = ask(server, path="/a.txt")
    assert (outcome(exchange), exchange.win32) == ("401.2", 5)
    assert exchange.headers()["www-authenticate"].startswith("Basic realm=")
