"""Secrets at rest: IIS's form, a key of the manager's own, and no silence about what is wrong."""

import base64
import stat
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.config.files import validate
from was.config.secret_form import PROVIDER, split
from was.config.secrets import Secrets
from was.errors import ConfigErrors, SecretError


@pytest.fixture
def secrets(tmp_path):
    return Secrets(tmp_path / "secrets.key")


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    return Secrets(tmp_path_factory.mktemp("key") / "secrets.key")


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_encrypted_is_decrypted(lasting, text):
    """Any text; never the same twice, and nothing of it can be seen."""
    once, twice = lasting.encrypt(text), lasting.encrypt(text)
    assert once.startswith(f"[enc:{PROVIDER}:")
    assert once.endswith(":enc]")
    assert once != twice
    assert lasting.decrypt(once) == lasting.decrypt(twice) == text
    assert Secrets(lasting.key_file).decrypt(once) == text


@pytest.mark.parametrize(
    "text",
    ["", "plain", "[enc:x]", "[enc:A:B:enc", "[enc::YQ==:enc]", "x[enc:A::enc]", "[enc:A:!:enc]"],
)
def test_what_is_not_of_the_form_is_itself(secrets, text):
    """Files written by hand work, and no key is asked for."""
    assert split(text)[0] == ""
    assert secrets.decrypt(text) == text
    assert not secrets.key_file.exists()


def test_an_empty_value_of_any_provider_is_empty(secrets):
    """As the schema's defaults for encrypted attributes are written."""
    assert secrets.decrypt("[enc:AesProvider::enc]") == ""


def test_a_value_of_another_provider_names_it(secrets):
    """It was encrypted on Windows: neither ours nor plain."""
    text = "[enc:IISWASOnlyAesProvider:AAAA:enc]"
    assert split(text)[0] == "IISWASOnlyAesProvider"
    with pytest.raises(SecretError, match="IISWASOnlyAesProvider, whose key is not here"):
        secrets.decrypt(text)


@given(data=st.data())
def test_a_changed_value_is_refused(lasting, data):
    """Whichever byte of it."""
    head, encoded, tail = lasting.encrypt("geheim").rsplit(":", 2)
    sealed = bytearray(base64.b64decode(encoded))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    changed = base64.b64encode(sealed).decode()
    with pytest.raises(SecretError) as caught:
        lasting.decrypt(f"{head}:{changed}:{tail}")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("encoded", ["AQ==", "AQAAAAAAAAAAAAAAAAAA", "AAA", "A=A="])
def test_a_torn_value_is_refused(secrets, encoded):
    """Too short for what every secret has, or no base64 at all."""
    secrets.encrypt("x")
    with pytest.raises(SecretError):
        secrets.decrypt(f"[enc:{PROVIDER}:{encoded}:enc]")


def test_another_key_is_told_from_none(secrets, tmp_path):
    """A lost key and a wrong one are different mistakes."""
    text = secrets.encrypt("x")
    with pytest.raises(SecretError, match="is not there"):
        Secrets(tmp_path / "gone.key").decrypt(text)
    other = Secrets(tmp_path / "other.key")
    other.encrypt("y")
    with pytest.raises(SecretError, match="another key"):
        other.decrypt(text)
    assert not (tmp_path / "gone.key").exists()


def test_the_key_is_its_owner_s_alone(secrets):
    """Made so, and refused when somebody has opened it to others."""
    text = secrets.encrypt("x")
    assert stat.S_IMODE(secrets.key_file.stat().st_mode) == 0o600
    secrets.key_file.chmod(0o640)
    with pytest.raises(SecretError, match="0600"):
        Secrets(secrets.key_file).decrypt(text)


@pytest.mark.parametrize("content", [b"", b"short\n", b"!" * 44, base64.b64encode(b"x" * 31)])
def test_a_file_that_holds_no_key_is_refused(secrets, content):
    """Neither read as a weak one nor overwritten."""
    secrets.key_file.write_bytes(content)
    secrets.key_file.chmod(0o600)
    with pytest.raises(SecretError, match="holds no key"):
        secrets.encrypt("x")
    assert secrets.key_file.read_bytes() == content


def test_many_first_users_have_one_key(tmp_path):
    """Whoever comes second uses what the first has made."""
    path = tmp_path / "secrets.key"
    texts = []

    def use(number):
        texts.append((number, Secrets(path).encrypt(f"secret {number}")))

    threads = [threading.Thread(target=use, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 8
    assert all(Secrets(path).decrypt(text) == f"secret {n}" for n, text in texts)


def test_without_the_package_the_way_out_is_named(tmp_path):
    """Plain files need nothing; a secret says what to install."""
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from pathlib import Path; from was.config.secrets import *; from was.errors import *\n"
        f"s = Secrets(Path({str(tmp_path / 'k')!r})); print(s.decrypt('plain'))\n"
        "try: s.encrypt('x')\n"
        "except SecretError as error: print(error)\n"
    )
    run = [sys.executable, "-I", "-c", code]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert said.startswith("plain\n")
    assert "pip install was[secrets]" in said
    assert not (tmp_path / "k").exists()


# ── in files ────────────────────────────────────────────────────────────────────────────────────

ANONYMOUS = """<security><authentication>
    <anonymousAuthentication userName="u" password="{}" /></authentication></security>"""


@pytest.fixture
def keeper(home):
    return Secrets(home.file.with_name("secrets.key"))


def line_of_password(home):
    lines = home.file.read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if "password=" in line)


def section(loaded):
    return loaded.section("system.webServer/security/authentication/anonymousAuthentication")


def remarks(warnings):
    """What is said of the secret; beside it is said that nothing here uses this one."""
    return [w for w in warnings if "password" in w and "no effect" not in w]


def test_an_encrypted_value_is_in_force_as_what_it_stands_for(home, keeper):
    """Nobody who uses the value knows that it was encrypted; there is nothing to remark."""
    loaded = home.server(web=ANONYMOUS.format(keeper.encrypt("geheim")))
    assert section(loaded)["password"] == "geheim"
    assert not remarks(loaded.config.warnings)


def test_a_plain_value_works_and_is_remarked(home):
    """validate names the place and the way out, never the secret."""
    loaded = home.server(web=ANONYMOUS.format("geheim"))
    assert section(loaded)["password"] == "geheim"
    [remark] = remarks(validate(home.file).warnings)
    place = f"{home.file}:{line_of_password(home)}: anonymousAuthentication/@password: "
    assert remark.startswith(place)
    assert "plain text" in remark
    assert "geheim" not in remark
    assert not [w for w in home.server(web=ANONYMOUS.format("")).config.warnings if "pass" in w]


def test_a_value_of_another_machine_is_empty_and_remarked(home):
    """A file that comes from Windows loads; what it hides there must be set anew."""
    loaded = home.server(web=ANONYMOUS.format("[enc:AesProvider:AAAA:enc]"))
    assert section(loaded)["password"] == ""
    [remark] = remarks(loaded.config.warnings)
    assert "AesProvider" in remark


@pytest.mark.parametrize("spoil", ["key", "value", "nothing there"])
def test_what_cannot_be_decrypted_is_an_error_with_its_place(home, keeper, spoil):
    """A wrong key, a changed value, no key: file, line and section, and what it is."""
    text = keeper.encrypt("geheim")
    if spoil == "key":
        keeper.key_file.unlink()
        Secrets(keeper.key_file).encrypt("x")
    elif spoil == "value":
        text = text.replace(text[30:34], "AAAA")
    else:
        keeper.key_file.unlink()
    [error] = home.errors(web=ANONYMOUS.format(text))
    assert (error.file, error.line) == (str(home.file), line_of_password(home))
    assert error.section.endswith("anonymousAuthentication")
    assert "The 'password' attribute cannot be decrypted" in error.message
    assert "geheim" not in str(error)


def test_a_web_config_holds_no_encrypted_values(home, keeper, at):
    """Workers read it, and have no key."""
    unlocked = '<location overrideMode="Allow"><system.webServer>{}</system.webServer></location>'
    home.web_config("www", ANONYMOUS.format(keeper.encrypt("x")))
    loaded = home.server(more=unlocked.format(ANONYMOUS.format("")))
    with pytest.raises(ConfigErrors, match="may hold encrypted values"):
        at(loaded)
