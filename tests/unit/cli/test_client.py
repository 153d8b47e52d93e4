"""Asking the manager, and what becomes of its answers."""

import json

import pytest

from was.cli.client import NoManagerError, ask
from was.errors import AdminError


def test_one_line_each_way(home, manager):
    """A command and its arguments are one JSON object; the result comes back as it is."""
    manager.answers["list"] = {"ok": True, "result": [{"name": "a"}]}
    assert ask(home, "list", object="site") == [{"name": "a"}]
    assert manager.asked == [{"command": "list", "object": "site"}]


def test_a_stopped_home_has_no_manager(home):
    """No socket, or one that nobody listens on, both mean: not running."""
    home.config_file.parent.mkdir(parents=True)
    with pytest.raises(NoManagerError, match="is not running"):
        ask(home, "status")


@pytest.mark.parametrize("answer", [b"", b"nonsense\n", b"[1]\n", b'{"ok": 1}\n'])
def test_an_answer_that_is_none_is_refused(home, manager, answer):
    """Whatever answers at the socket, the command ends with one clear error."""
    manager.answers["status"] = answer
    with pytest.raises((AdminError, NoManagerError)):
        ask(home, "status")


def test_a_manager_that_stays_silent_is_waited_for_only_so_long(home, manager, monkeypatch):
    """A stuck manager cannot hold the command line."""
    monkeypatch.setattr("was.cli.client._exchange", _time_out)
    with pytest.raises(NoManagerError, match=r"did not answer within 10\.0 s"):
        ask(home, "status")


def _time_out(*_arguments):
    raise TimeoutError


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["list", "apppools"], {"command": "list", "object": "apppool"}),
        (["list", "WPS"], {"command": "list", "object": "wp"}),
        (["start", "site", "S"], {"command": "start", "object": "site", "name": "S"}),
        (["stop", "apppool", "P"], {"command": "stop", "object": "apppool", "name": "P"}),
        (["recycle", "apppool", "P"], {"command": "recycle", "apppool": "P", "wait": False}),
        (
            ["recycle", "apppools", "P", "--wait"],
            {"command": "recycle", "apppool": "P", "wait": True},
        ),
        (["reload"], {"command": "reload"}),
    ],
)
def test_a_command_line_becomes_one_message(run, manager, arguments, asked):
    """Objects are named in the singular or the plural, in any letter case."""
    manager.answers["list"] = {"ok": True, "result": []}
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert manager.asked == [asked]


def test_a_refusal_is_one_line_and_exit_code_1(run, manager):
    """What the manager refuses is said on stderr, without a traceback."""
    manager.answers["recycle"] = {"ok": False, "error": "no pool 'x'", "kind": "unknown_object"}
    result = run("recycle", "apppool", "x", "--wait")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "was: no pool 'x'\n")


def test_a_refused_configuration_shows_all_its_errors(run, manager):
    """`reload` of a broken file ends with 1 and one line an error."""
    manager.answers["reload"] = {"ok": False, "error": "a:1:2: x; a:3:4: y", "kind": "failed"}
    status = {"config": {"state": "failed", "errors": ["a:1:2: x", "a:3:4: y"]}}
    manager.answers["status"] = {"ok": True, "result": status}
    result = run("reload")
    assert (result.exit_code, result.stderr) == (1, "was: a:1:2: x\nwas: a:3:4: y\n")


def test_lists_are_tables_or_json(run, manager):
    """A table aligns its columns; --json is the array as the manager gave it."""
    rows = [{"name": "a", "id": 1, "apps": ["/", "/b"]}, {"name": "long", "id": 20, "apps": []}]
    manager.answers["list"] = {"ok": True, "result": rows}
    assert run("list", "sites").stdout.splitlines() == [
        "NAME  ID  APPS",
        "a      1  /, /b",
        "long  20  -",
    ]
    assert json.loads(run("list", "sites", "--json").stdout) == rows
