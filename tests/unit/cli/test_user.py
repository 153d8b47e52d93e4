"""`was user`: users are written by the edit engine, and never a password."""

import json
import subprocess
import sys

import pytest

from was.config.files import load_server
from was.config.password_hash import digest_hash, verify_password
from was.config.security_settings import USERS

SERVER = """<configuration><system.applicationHost>
  <applicationPools><add name="p" /></applicationPools>
  <sites><site name="S" id="1">
    <bindings><binding protocol="http" bindingInformation="*:80:" /></bindings>
    <application path="/" applicationPool="p">
      <virtualDirectory path="/" physicalPath="www" /></application>
  </site></sites></system.applicationHost>
  <location path="S"><system.webServer><security><authentication>
    <digestAuthentication realm="sea" /></authentication></security></system.webServer></location>
</configuration>"""


@pytest.fixture
def users(home):
    home.config_file.parent.mkdir(parents=True, exist_ok=True)
    home.config_file.write_text(SERVER)

    def users(at=""):
        loaded = load_server(home.config_file, home=home.path)
        items = loaded.shown(at)[USERS].items
        return {v["name"]: v for v in ({a.name: a.text for a in i.attributes} for i in items)}

    return users


def raw(home, name, attribute):
    loaded = load_server(home.config_file, home=home.path)
    site = loaded.config.sites[0]
    items = loaded.settings(site, site.applications[0]).section(USERS).items
    return next(str(item[attribute]) for item in items if item["name"] == name)


def test_add_change_list_delete(run, home, users):
    """A user of the server; added again it has another password; deleted it is gone."""
    assert run("user", "list").stdout == "no users\n"
    assert json.loads(run("user", "list", "--json").stdout) == []
    added = run(
        "user", "add", "ana", "--role", "a", "--role", "b", "--password-stdin", stdin="my word\n"
    )
    assert (added.exit_code, added.stdout, added.stderr) == (0, "added user ana\n", "")
    assert users()["ana"]["roles"] == "a,b"
    row = {"name": "ana", "enabled": True, "roles": ["a", "b"], "schemes": ["basic"]}
    assert json.loads(run("user", "list", "--json").stdout) == [row]
    assert verify_password("my word", raw(home, "ana", "passwordHash"))
    assert "my word" not in home.config_file.read_text()
    changed = run("user", "add", "ANA", "--password-stdin", stdin="other\n")
    assert changed.stdout == "changed user ANA\n"
    assert list(users()) == ["ANA"]
    assert verify_password("other", raw(home, "ANA", "passwordHash"))
    assert run("user", "list").stdout.split()[-4:] == ["ANA", "yes", "-", "basic"]
    assert run("user", "delete", "ana").stdout == "deleted user ANA\n"
    assert users() == {}
    refused = run("user", "delete", "ana")
    assert (refused.exit_code, refused.stderr) == (1, "was: there is no user 'ana' here\n")


def test_of_a_path(run, users):
    """--at: other users for a site; one of the server's is taken away for this site alone."""
    run("user", "add", "ana", "--password-stdin", stdin="pw\n")
    run("user", "add", "bob", "--at", "S", "--password-stdin", stdin="pw\n")
    assert (list(users()), list(users("S"))) == (["ana"], ["ana", "bob"])
    run("user", "delete", "ana", "--at", "S")
    assert (list(users()), list(users("S"))) == (["ana"], ["bob"])


def test_digest(run, home, users):
    """--digest keeps HA1 for the path's realm, encrypted in the file; --realm is another one."""
    run("user", "add", "ana", "--digest", "--at", "S", "--password-stdin", stdin="pw\n")
    expected = digest_hash("ana", "sea", "pw", "md5")
    assert raw(home, "ana", "digestMD5") == expected
    assert raw(home, "ana", "digestSHA256") == digest_hash("ana", "sea", "pw", "sha256")
    assert expected not in home.config_file.read_text()
    assert users("S")["ana"]["digestRealm"] == "sea"
    run("user", "add", "bob", "--realm", "r", "--at", "S", "--password-stdin", stdin="pw\n")
    assert raw(home, "bob", "digestMD5") == digest_hash("bob", "r", "pw", "md5")
    run("user", "add", "eve", "--digest", "--password-stdin", stdin="pw\n")
    assert users()["eve"]["digestRealm"] == "Digest"


@pytest.mark.parametrize(("name", "password"), [("a:b", "pw"), ("ana", "")])
def test_what_cannot_be_a_user(run, users, name, password):
    """Refused in one line, and nothing is written."""
    refused = run("user", "add", name, "--password-stdin", stdin=f"{password}\n")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("was: ")
    assert users() == {}


def test_without_a_terminal_no_password_is_asked_for(home, users):
    """One line says how it is given then: typed into nowhere it would only be shown."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "was", "--home", str(home.path), "user", "add", "ana"],
        input="pw\npw\n",
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    expected = "was: there is no terminal to ask for the password: --password-stdin reads it\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)
    assert users() == {}
