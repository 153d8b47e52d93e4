"""Which home a command acts on."""

import pytest
from click.testing import CliRunner

from was.cli import home as homes
from was.cli.main import cli


def named_home(*arguments, **environment):
    """The home that `was status` names."""
    result = CliRunner().invoke(cli, list(arguments), env=environment)
    (line,) = [x for x in result.stdout.splitlines() if x.startswith("home ")]
    return line.split()[1]


@pytest.mark.parametrize("arguments", [["--home", "/a", "status"], ["status", "--home", "/a"]])
def test_home_is_given_before_or_after_the_verb(arguments):
    """--home means the same on both sides of the verb, and beats WAS_HOME."""
    assert named_home(*arguments, WAS_HOME="/b") == "/a"


def test_the_home_after_the_verb_counts():
    """Of two --home options the later one is meant."""
    assert named_home("--home", "/a", "status", "--home", "/b") == "/b"


@pytest.mark.parametrize("name", ["/nowhere/h\udce4me", "/nowhere/\x1bhome"])
@pytest.mark.parametrize("verb", ["init", "start", "status"])
def test_a_home_whose_name_is_no_text_is_refused(verb, name):
    """Its name is in configurations, titles and logs; `init` must not make what cannot start."""
    result = CliRunner().invoke(cli, [verb, "--home", name])
    assert result.exit_code == 1
    assert f"must be UTF-8, without control characters: {name!a}" in result.stderr


@pytest.mark.parametrize("verb", [["init"], ["start"], ["status"], ["list", "sites"]])
def test_a_file_is_no_home(verb, tmp_path):
    """It is named, whatever is wanted of it."""
    file = tmp_path / "file"
    file.touch()
    result = CliRunner().invoke(cli, [*verb, "--home", str(file)])
    assert result.exit_code == 1
    assert result.stderr == f"was: {file} is a file: a home is a folder\n"


def test_the_environment_comes_next():
    """Without --home, WAS_HOME names the home."""
    assert named_home("status", WAS_HOME="/b") == "/b"


@pytest.mark.parametrize(
    ("uid", "state", "expected"),
    [
        (0, "/x", "/etc/was"),
        (1000, "/x", "/x/was"),
        (1000, "", "/home/ann/.local/state/was"),
    ],
)
def test_the_default_is_the_machines_home_for_root_and_a_state_folder_else(
    monkeypatch, uid, state, expected
):
    """Root serves /etc/was, a user what lies in their own state folder."""
    monkeypatch.setattr("os.geteuid", lambda: uid)
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", "/home/ann")
    assert str(homes.default_home()) == expected
