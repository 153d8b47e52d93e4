"""DigestAuthenticationModule and the arithmetic below it (RFC 7616)."""

import pytest
from fake_exchange import WSGI, ask, make_server, write_home
from hypothesis import given
from hypothesis import strategies as st
from support.credentials import digest, parameters
from waiting import ask_and_wait, basic, challenges, outcome

from was.config.password_hash import digest_hash, hash_password
from was.worker.modules import digest_authentication
from was.worker.security.digest import Freshness, Nonces, parse_response
from was.worker.server import WorkerServer

APP = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ.get('REMOTE_USER')} {environ.get('AUTH_TYPE')}".encode("latin-1")]
"""


def user(name, realm="Digest", password="secret", *, md5=True, sha=True, more=""):
    hashes = f'digestMD5="{digest_hash(name, realm, password, "md5")}" ' if md5 else ""
    hashes += f'digestSHA256="{digest_hash(name, realm, password, "sha256")}"' if sha else ""
    return f'<add name="{name}" digestRealm="{realm}" {hashes} {more} />'


def section(users, digests='enabled="true"', anonymous="false", basics="false"):
    return f"""<security><authentication>
      <anonymousAuthentication enabled="{anonymous}" />
      <basicAuthentication enabled="{basics}" />
      <digestAuthentication {digests} />
      <users>{users}</users>
    </authentication></security>""" + WSGI.format("told:application")


@pytest.fixture
def server(tmp_path):
    def make(users=None, **parts):
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / "told.py").write_text(APP)
        return make_server(tmp_path, section(user("Ana") if users is None else users, **parts))

    return make


def answer(challenge, name="Ana", password="secret", *, uri="/x?y", **changes):
    return [("Authorization", digest(challenge, name, password, uri, **changes))]


def offers(made):
    return challenges(ask(made, path="/x", query="y"))


def sent(made, fields, method="GET"):
    return ask(made, path="/x", query="y", fields=fields, method=method)


def test_both_algorithms(server):
    """SHA-256 is offered before MD5, with IIS's realm; either lets the user in, once a count."""
    made = server()
    sha, md5 = offers(made)
    assert 'realm="Digest"' in sha
    assert (parameters(sha)["algorithm"], parameters(md5)["algorithm"]) == ("SHA-256", "MD5")
    assert 'qop="auth"' in sha
    assert sent(made, answer(sha)).body == b"Ana Digest"
    assert sent(made, answer(md5, nc=2)).body == b"Ana Digest"
    assert outcome(ask(made)) == "401.2"


def test_only_what_a_user_has_is_offered(server):
    """MD5 alone where there is no SHA-256 hash; the realm is the section's."""
    made = server(user("Ana", "sea", sha=False), digests='enabled="true" realm="sea"')
    [md5] = offers(made)
    assert (parameters(md5)["algorithm"], parameters(md5)["realm"]) == ("MD5", "sea")
    assert sent(made, answer(md5)).status == 200
    forged = answer(md5.replace("MD5", "SHA-256"))
    assert outcome(sent(made, forged)) == "401.1"


def test_a_hash_of_another_realm_is_none(server):
    """HA1 holds for one realm only."""
    made = server(user("Ana", "sea"))
    assert outcome(sent(made, answer(offers(made)[0]))) == "401.1"


@pytest.mark.parametrize(
    "changes",
    [
        {"password": "wrong"},
        {"name": "nobody"},
        {"method": "POST"},
        {"qop": None},
        {"qop": "auth-int"},
        {"nc": None},
        {"nc": "1"},
        {"cnonce": None},
        {"response": '"0"'},
        {"response": None},
        {"realm": '"other"'},
        {"username": None},
        {"algorithm": "MD5-sess"},
        {"algorithm": "SHA-512-256"},
        {"userhash": "true"},
        {"uri": '"/x'},
    ],
)
def test_what_fails(server, changes):
    """401.1 for a wrong answer and for one that is none, anonymous or not; never stale."""
    made = server(anonymous="true")
    closed = server()
    [challenge, _] = offers(closed)
    fixed = {k: changes[k] for k in ("password", "name", "method") if k in changes}
    if "nc" in changes:
        fields = answer(challenge)
        said = changes["nc"] and f"nc={changes['nc']}"
        fields = [("Authorization", fields[0][1].replace("nc=00000001", said or "x=y"))]
    else:
        fields = answer(challenge, **fixed, **{k: changes[k] for k in changes if k not in fixed})
    refused = sent(made, fields)
    assert (outcome(refused), refused.win32) == ("401.1", 1326)
    assert not any("stale" in text for text in challenges(refused))


def test_an_answer_about_another_url(server):
    """400, since a proof for one URL must not open another."""
    made = server()
    assert outcome(sent(made, answer(offers(made)[0], uri="/z"))) == "400.0"
    whole = answer(offers(made)[0], uri="http://localhost:8080/x?y")
    assert sent(made, whole).status == 200


def test_a_request_is_taken_once(server):
    """The same count again is a replay: stale; requests may overtake each other."""
    made = server()
    sha, _ = offers(made)
    assert sent(made, answer(sha, nc=3)).status == 200
    assert sent(made, answer(sha, nc=1)).status == 200
    again = sent(made, answer(sha, nc=3))
    assert outcome(again) == "401.2"
    assert all("stale=true" in text for text in challenges(again))
    assert len(challenges(again)) == 2
    assert sent(made, answer(challenges(again)[0])).status == 200


def test_a_nonce_that_is_not_ours_or_too_old(server, monkeypatch):
    """Stale for who knows the password, 401.1 for who does not."""
    made = server()
    sha, _ = offers(made)
    foreign = sha.replace(parameters(sha)["nonce"], "1.2.3")
    assert "stale=true" in challenges(sent(made, answer(foreign)))[0]
    assert outcome(sent(made, answer(foreign, password="no"))) == "401.1"
    now = digest_authentication.time.monotonic()
    for book in digest_authentication._books.values():
        monkeypatch.setattr(book, "_now", lambda: now + 301)
    assert "stale=true" in challenges(sent(made, answer(sha)))[0]


def test_two_schemes(server):
    """Challenges: Digest before Basic; each scheme takes its own credentials."""
    both = user("Ana", more=f'passwordHash="{hash_password("other")}"')
    made = server(both, basics="true")
    assert [c.partition(" ")[0] for c in offers(made)] == ["Digest", "Digest", "Basic"]
    assert sent(made, answer(offers(made)[0])).status == 200
    assert ask_and_wait(made, fields=[basic("Ana", "other")]).body == b"Ana Basic"
    assert outcome(ask_and_wait(made, fields=[basic("Ana", "secret")])) == "401.1"


def test_disabled(server):
    """enabled="false": nothing is offered and nothing taken."""
    made = server(digests="")
    assert offers(made) == []
    text = 'Digest realm="Digest", algorithm=MD5, nonce="1.2.3"'
    assert outcome(sent(made, answer(text))) == "401.2"


def test_a_name_beyond_ascii(server):
    """As UTF-8 in username, or percent-encoded in username*."""
    made = server(user("Zoë"))
    sha, _ = offers(made)
    wire = '"' + "Zoë".encode().decode("latin-1") + '"'
    assert sent(made, answer(sha, name="Zoë", username=wire)).body == "Zoë Digest".encode()
    extended = {"username": None, "username*": "UTF-8''Zo%C3%AB"}
    assert sent(made, answer(sha, name="Zoë", nc=2, **extended)).status == 200


def test_workers_of_a_web_garden_take_each_others_nonces():
    """Their secret comes from the users' hashes; alone a worker has one of its own."""
    first = digest_authentication._book(True, ["a" * 64, ""])
    assert first is digest_authentication._book(True, ["", "a" * 64])
    assert first is not digest_authentication._book(True, ["b" * 64])
    assert digest_authentication._book(False, ["a" * 64]) is digest_authentication._book(False, [])


def nonces(**parts):
    clock = [100.0]
    return Nonces(b"s", now=lambda: clock[0], **parts), clock


@given(st.lists(st.integers(1, 400), max_size=60))
def test_no_count_is_taken_twice(counts):
    """Whatever order requests come in; and a count that is new and near is taken."""
    book, _ = nonces()
    nonce = book.issue()
    taken = [count for count in counts if book.take(nonce, count) is Freshness.FRESH]
    assert len(taken) == len(set(taken))
    highest = max(counts, default=1)
    near = [c for c in set(counts) if highest - c < 100]
    if highest < 100:
        assert set(near) <= set(taken)


def test_what_is_forgotten_is_stale():
    """Beyond the bound the oldest nonce in use ends, and stays ended."""
    book, clock = nonces(most=2)
    old = book.issue()
    assert book.take(old, 1) is Freshness.FRESH
    for _ in range(2):
        clock[0] += 1
        assert book.take(book.issue(), 1) is Freshness.FRESH
    assert book.take(old, 2) is Freshness.STALE
    clock[0] += 1
    young = book.issue()
    assert book.take(young, 1) is Freshness.FRESH
    assert book.take(young, 0) is Freshness.STALE


@pytest.mark.parametrize("nonce", ["", ".", "..", "1.2.3", "é.é.é", "1.2." + "0" * 32])
def test_nonces_that_are_none(nonce):
    """Anything else than what was issued is stale."""
    assert nonces()[0].take(nonce, 1) is Freshness.STALE


@pytest.mark.parametrize("text", ["", "a", "a=", 'a="b', "a=b c=d", "a=b, a=c", "x" * 5000, "=,="])
def test_parameters_that_are_none(text):
    """Malformed parameters are no answer."""
    assert parse_response(text) is None


def test_the_example_of_the_rfc():
    """RFC 7616, 3.9.1: Mufasa, in both algorithms."""
    shared = (
        'username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
        'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
    )
    for algorithm, name, response in [
        ("MD5", "md5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "sha256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ]:
        parsed = parse_response(f'{shared}algorithm={algorithm}, response="{response}"')
        assert parsed is not None
        ha1 = digest_hash("Mufasa", "http-auth@example.org", "Circle of Life", name)
        assert parsed.matches(ha1, "GET")
        assert not parsed.matches(ha1, "HEAD")


WANTS_A_USER = """<location path="main/index.html"><system.webServer><security><authentication>
  <anonymousAuthentication enabled="false" /><digestAuthentication enabled="true" />
  </authentication></security></system.webServer></location></configuration>"""


def test_a_document_that_asks_for_a_user(tmp_path):
    """A default document may want a user where its folder does not; the answer is about the URL."""
    users = f"<security><authentication><users>{user('Ana')}</users></authentication></security>"
    file = write_home(tmp_path, users)
    file.write_text(file.read_text().replace("</configuration>", WANTS_A_USER))
    (tmp_path / "site" / "index.html").write_text("inside")
    server = WorkerServer(config_file=file, home=tmp_path, pool="pool", worker_id=1, threads=4)
    server.load()
    refused = ask(server, path="/")
    assert outcome(refused) == "401.2"
    fields = answer(challenges(refused)[0], uri="/")
    assert ask(server, path="/", fields=fields).body == b"inside"
