"""BasicAuthenticationModule: every attribute, who a user is, what is remembered."""

import threading

import pytest
from fake_exchange import WSGI, ask, make_server
from waiting import ask_and_wait, basic, challenges, outcome

from was.config import password_hash
from was.config.password_hash import hash_password
from was.errors import ConfigErrors
from was.worker.security import verified_passwords

SECRET = hash_password("Pässe:word")
APP = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = ("REMOTE_USER", "AUTH_TYPE")
    context = environ["iis.context"]
    variables = ("AUTH_USER", "LOGON_USER", "REMOTE_USER", "AUTH_TYPE", "AUTH_PASSWORD")
    variables += ("UNMAPPED_REMOTE_USER",)
    values = [environ.get(n, "-") for n in names]
    values += [context.get_server_variable(n) or "-" for n in variables]
    values.append(str([context.user.is_in_role(r) for r in ("staff", "STAFF", "boss", "")]))
    return ["|".join(values).encode()]
"""


def section(basics='enabled="true"', anonymous="false", users=""):
    return f"""<security><authentication>
      <anonymousAuthentication enabled="{anonymous}" />
      <basicAuthentication {basics} />
      <users>
        <add name="Ana" passwordHash="{SECRET}" roles="staff" />
        <add name="off" passwordHash="{SECRET}" enabled="false" />
        <add name="bare" />
        <add name="CORP\\Eve" passwordHash="{SECRET}" />
        {users}
      </users>
    </authentication></security>""" + WSGI.format("who:application")


@pytest.fixture
def server(tmp_path):
    def make(*, forgets=True, **parts):
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / "who.py").write_text(APP)
        if forgets:
            verified_passwords.ANSWERS.forget()
        return make_server(tmp_path, section(**parts))

    return make


def ask_as(server, name, password="Pässe:word", **changes):
    return ask_and_wait(server, fields=[basic(name, password)], **changes)


def test_who_a_user_is(server):
    """Name as configured, type, password, roles; the environ has REMOTE_USER and AUTH_TYPE."""
    exchange = ask_as(server(), "aNA")
    assert exchange.body.decode() == (
        "Ana|Basic|Ana|Ana|Ana|Basic|Pässe:word|aNA|[True, True, False, False]"
    )
    assert "Ana" in exchange.log


@pytest.mark.parametrize("name", ["ana", "nobody", "off", "bare", "Eve"])
def test_what_fails(server, name):
    """A wrong password, an unknown name, a user that is off or has no password: all 401.1."""
    password = "wrong" if name == "ana" else "Pässe:word"
    exchange = ask_as(server(anonymous="true"), name, password)
    assert (outcome(exchange), exchange.win32) == ("401.1", 1326)
    assert challenges(exchange) == ['Basic realm="127.0.0.1", charset="UTF-8"']


def test_an_empty_password_is_wrong(server):
    """Also for a user who has none."""
    assert outcome(ask_as(server(), "bare", "")) == "401.1"


@pytest.mark.parametrize(
    "value",
    ["Basic", "Basic ", "Basic !!!", "Basic YQ==", "Basic OnB3", "Basic YTpiAA==", "basic a:b"],
)
def test_what_is_no_credential(server, value):
    """Malformed credentials are refused, not taken for none: 401.1, anonymous or not."""
    fields = [("Authorization", value)]
    assert outcome(ask(server(anonymous="true"), fields=fields)) == "401.1"


def test_two_authorizations_are_none(server):
    """Which of two is meant nobody knows."""
    fields = [basic("ana", "Pässe:word"), ("authorization", "Bearer x")]
    assert outcome(ask(server(anonymous="true"), fields=fields)) == "401.1"


def test_anonymous(server):
    """Without credentials: the anonymous user where there is one, else 401.2 and the challenge."""
    assert ask(server(anonymous="true")).body.startswith(b"-|-|-")
    refused = ask(server())
    assert outcome(refused) == "401.2"
    assert challenges(refused) == ['Basic realm="localhost", charset="UTF-8"']
    bearer = [("Authorization", "Bearer x")]
    assert ask(server(anonymous="true"), fields=bearer).status == 200
    assert outcome(ask(server(), fields=bearer)) == "401.2"


def test_disabled(server):
    """enabled="false": credentials say nothing, and nothing is offered."""
    refused = ask(server(basics=""), fields=[basic("ana", "Pässe:word")])
    assert (outcome(refused), challenges(refused)) == ("401.2", [])


def test_realm(server):
    """realm is said in the challenge, quoted; nothing in Host can break out of it."""
    refused = ask(server(basics='enabled="true" realm=\'The "inner" sea\''))
    assert challenges(refused) == ['Basic realm="The \\"inner\\" sea", charset="UTF-8"']


def test_default_logon_domain(server):
    """A name without a domain is one of the domain's; the user is known by both names."""
    made = server(basics='enabled="true" defaultLogonDomain="corp"')
    body = ask_as(made, "eve").body.decode()
    assert body.startswith(r"Eve|Basic|Eve|CORP\Eve|Eve|Basic")
    assert body.split("|")[7] == "eve"
    assert ask_as(made, r"corp\eve").body.decode().startswith(r"CORP\Eve|Basic|CORP\Eve|CORP\Eve")
    assert outcome(ask_as(made, "ana")) == "401.1"
    assert ask_as(server(basics='enabled="true" defaultLogonDomain="\\"'), "ana").status == 200


def test_what_is_right_is_remembered(server, monkeypatch):
    """One check for many requests; what is wrong is checked every time, unknown names too."""
    checks = []
    verify = password_hash.verify_password
    monkeypatch.setattr(
        verified_passwords,
        "verify_password",
        lambda password, stored: checks.append(password) or verify(password, stored),
    )
    made = server()
    assert [ask_as(made, "ana").status for _ in range(3)] == [200] * 3
    assert len(checks) == 1
    assert [outcome(ask_as(made, "ana", "no")) for _ in range(2)] == ["401.1"] * 2
    assert outcome(ask_as(made, "nobody")) == "401.1"
    assert len(checks) == 4


def test_a_user_who_is_changed_is_so_at_once(server):
    """What is remembered is of one stored hash: another password, or none, ends it."""
    assert ask_as(server(), "ana").status == 200
    other = hash_password("other")
    changed = server(
        forgets=False, users=f'<remove name="Ana" /><add name="Ana" passwordHash="{other}" />'
    )
    assert outcome(ask_as(changed, "ana")) == "401.1"
    assert ask_as(changed, "ana", "other").status == 200


def test_a_check_holds_no_thread(server, monkeypatch):
    """While a password is checked the request is pending; past a bound the next get 503."""
    gate, begun = threading.Event(), threading.Event()

    def verify(password, stored):
        begun.set()
        return gate.wait(20)

    monkeypatch.setattr(verified_passwords, "verify_password", verify)
    monkeypatch.setattr(verified_passwords.ANSWERS, "_most_waiting", 1)
    made = server()
    from fake_exchange import make_request
    from waiting import WaitingExchange

    first = WaitingExchange(make_request(fields=[basic("ana", "Pässe:word")]))
    made.handle(first)
    assert first.ends == 0
    assert begun.wait(20)
    second = ask(made, fields=[basic("off", "Pässe:word")])
    assert (second.status, second.headers()["retry-after"]) == (503, "1")
    gate.set()
    assert first.ended.wait(20)
    assert first.status == 200


@pytest.mark.parametrize(
    "user",
    ['name="a:b"', 'name="*"', 'name="a,b"', 'name="x" passwordHash="plain"',
     'name="x" passwordHash="$scrypt$ln=30,r=8,p=1$AAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA"',
     'name="x" digestMD5="xyz"'],
)  # fmt: skip
def test_users_that_cannot_be(server, user):
    """A name nobody can log in with, or a hash that is none, is an error of the configuration."""
    with pytest.raises(ConfigErrors):
        server(users=f"<add {user} />")
