"""Changing applicationHost.config: what is good is written, what is not changes nothing."""

import errno
import os
import re
import shutil
import signal
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from was.config import atomic, writing
from was.config.changes import AddItem, Item, Place, RemoveItem, ResetAttribute, SetAttribute
from was.config.files import load_server
from was.config.secrets import KEY_NAME
from was.config.writing import change_server
from was.errors import ConfigErrors

WEB = "system.webServer/"
POOLS, SITES = "system.applicationHost/applicationPools", "system.applicationHost/sites"
POOL = Place(POOLS, "", (Item({"name": "p"}),))
MIME = WEB + "staticContent"


@pytest.fixture
def file(home):
    home.server(web="<!-- mine --><directoryBrowse enabled='false'/>")
    return home.file


def refused(file, *changes):
    before = file.read_bytes()
    with pytest.raises(ConfigErrors) as caught:
        change_server(file, changes)
    assert file.read_bytes() == before
    assert sorted(os.listdir(file.parent)) == [file.name]
    return caught.value.errors


def histories(file):
    folder = file.parent / "history"
    return [path.read_bytes() for path in sorted(folder.glob("CFG*/applicationHost.config"))]


def test_a_change_is_in_force_and_the_rest_of_the_file_as_it_was(file):
    """One attribute more, and nothing else."""
    before = file.read_text()
    outcome = change_server(file, [SetAttribute(POOL, "queueLength", "77")])
    assert outcome.has_changed
    assert file.read_text() == before.replace('name="p"', 'name="p" queueLength="77"')
    assert load_server(file).config.app_pools["p"].queue_length == 77
    change_server(file, [ResetAttribute(POOL, "queueLength")])
    assert file.read_text() == before


def test_a_change_that_the_reader_refuses_is_not_written(file):
    """All errors, each with its line in the file as it would have been; no history, no rest."""
    errors = refused(
        file,
        SetAttribute(POOL, "queueLength", "many"),
        SetAttribute(POOL, "colour", "blue"),
        AddItem(Place(POOLS), {"name": "P"}),
    )
    said = " ".join(error.message for error in errors)
    assert "queueLength" in said
    assert "Unrecognized attribute 'colour'" in said
    assert "duplicate" in said
    assert all(error.file == str(file) and error.line for error in errors)


def test_parts_that_do_not_fit_together_are_not_written(file):
    """A pool that a site names cannot go; neither can an application of a pool that is none."""
    assert (
        "does not exist" in refused(file, RemoveItem(Place(POOLS), Item({"name": "p"})))[0].message
    )
    root = Place(SITES, "", (Item({"name": "S"}), Item({"path": "/"})))
    assert "'q'" in refused(file, SetAttribute(root, "applicationPool", "q"))[0].message


def test_what_is_not_there_is_an_error_of_the_change(file):
    """No such item; nothing is made on the way."""
    place = Place(POOLS, "", (Item({"name": "x"}), "recycling"))
    [error] = refused(file, SetAttribute(place, "disallowOverlappingRotation", "true"))
    assert error.message == "Cannot find requested collection element."


def test_both_versions_are_kept(file):
    """The one before, as a person may have left it, and the new one; none where nothing changes."""
    before = file.read_bytes()
    change_server(file, [SetAttribute(POOL, "queueLength", "77")])
    assert histories(file) == [before, file.read_bytes()]
    assert not change_server(file, [SetAttribute(POOL, "queueLength", "77")]).has_changed
    assert len(histories(file)) == 2


def test_a_history_that_cannot_be_kept_stops_nothing(file):
    """The change is made, and the reason is said."""
    (file.parent / "history").write_text("no folder")
    outcome = change_server(file, [SetAttribute(POOL, "queueLength", "77")])
    assert outcome.has_changed
    assert any("history was not kept" in warning for warning in outcome.warnings)


def test_what_another_has_written_meanwhile_stays(file, monkeypatch):
    """The change is made again to the file as it is then; both are in it."""
    real, calls = writing.write_file, []

    def interrupted(path, data, **more):
        if not calls:
            text = path.read_text().replace("<!-- mine -->", "<!-- theirs -->")
            path.write_text(text)
        calls.append(data)
        real(path, data, **more)

    monkeypatch.setattr(writing, "write_file", interrupted)
    change_server(file, [SetAttribute(POOL, "queueLength", "77")])
    assert len(calls) == 2
    assert "<!-- theirs -->" in file.read_text()
    assert 'queueLength="77"' in file.read_text()


def test_a_file_that_never_stays_the_same_is_given_up(file, monkeypatch):
    """After a few tries, saying so."""
    real = writing.write_file

    def interrupted(path, data, **more):
        path.write_text(path.read_text() + "\n")
        real(path, data, **more)

    monkeypatch.setattr(writing, "write_file", interrupted)
    with pytest.raises(ConfigErrors, match="has changed since") as caught:
        change_server(file, [SetAttribute(POOL, "queueLength", "77")])
    assert caught.value.errors[0].hresult == 0x80070020


@pytest.mark.parametrize(
    ("number", "hresult"),
    [(errno.ENOSPC, 0x80070070), (errno.EROFS, 0x80070013), (errno.EACCES, 0x80070005)],
)
def test_a_file_that_cannot_be_written_is_an_error_like_any_other(
    file, monkeypatch, number, hresult
):
    """Its name, the system's reason, Windows' code."""

    def fail(fd, data):
        raise OSError(number, os.strerror(number))

    before = file.read_bytes()
    monkeypatch.setattr(atomic.Calls, "write", staticmethod(fail))
    with pytest.raises(ConfigErrors) as caught:
        change_server(file, [SetAttribute(POOL, "queueLength", "77")])
    [error] = caught.value.errors
    assert error.message == f"Cannot write configuration file: {os.strerror(number)}"
    assert (error.file, error.hresult) == (str(file), hresult)
    assert file.read_bytes() == before


def test_a_file_that_is_not_there_is_not_made(tmp_path):
    """There is no server without one."""
    with pytest.raises(ConfigErrors, match="No such file"):
        change_server(tmp_path / "config" / "none", [])


def test_a_secret_is_written_encrypted_and_read_plain(file):
    """Nobody finds it in the file or in the history; the key is made with the first one."""
    place = Place(POOLS, "", (*POOL.steps, "processModel"))
    change_server(file, [SetAttribute(place, "password", "geheim")])
    assert 'password="[enc:WasAesProvider:' in file.read_text()
    assert not any(b"geheim" in content for content in histories(file))
    assert load_server(file).config.app_pools["p"].process_model.password == "geheim"
    assert (file.parent / KEY_NAME).stat().st_mode & 0o777 == 0o600


def test_what_is_inherited_is_known(file):
    """From the built-in level, and in a location tag from the file's own."""
    html, own = Item({"fileExtension": ".html"}), Item({"fileExtension": ".own"})
    change_server(file, [RemoveItem(Place(MIME), html)])
    assert '<remove fileExtension=".html" />' in file.read_text()
    change_server(file, [AddItem(Place(MIME), {"fileExtension": ".own", "mimeType": "text/x"})])
    change_server(file, [SetAttribute(Place(MIME, "S", (own,)), "mimeType", "text/y")])
    text = file.read_text()
    location = text[text.index("<location") :]
    assert '<remove fileExtension=".own" />' in location
    assert '<mimeMap fileExtension=".own" mimeType="text/y" />' in location
    with pytest.raises(ConfigErrors, match="Cannot find requested"):
        change_server(file, [RemoveItem(Place(MIME, "S"), html)])


# ── killed, and complete ────────────────────────────────────────────────────────────────────────


def killed(file, changes, number):
    """Make the change in a child that kills itself after that call; False when it got through."""
    child = os.fork()
    if child == 0:
        try:
            steps = count(1)
            for name in [n for n in vars(atomic.Calls) if not n.startswith("_")]:
                real = getattr(atomic.Calls, name)
                setattr(atomic.Calls, name, staticmethod(partial(stepped, real, steps, number)))
            change_server(file, changes)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def stepped(real, steps, number, *arguments, **more):
    try:
        return real(*arguments, **more)
    finally:
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_command_leaves_a_file_that_loads(file):
    """At every call of a change with a secret: key, history and file are whole or not there."""
    place = Place(POOLS, "", (*POOL.steps, "processModel"))
    before = file.read_bytes()
    seen = set()
    number = 1
    while killed(file, [SetAttribute(place, "password", "geheim")], number):
        password = load_server(file).config.app_pools["p"].process_model.password
        assert password in ("", "geheim")
        assert all(text in (before, file.read_bytes()) for text in histories(file))
        seen.add(password)
        file.write_bytes(before)
        shutil.rmtree(file.parent / "history", ignore_errors=True)
        (file.parent / KEY_NAME).unlink(missing_ok=True)
        number += 1
    assert seen == {"", "geheim"}
    assert load_server(file).config.app_pools["p"].process_model.password == "geheim"
    assert not [n for n in os.listdir(file.parent) if n.endswith(".new")]
    assert number > 40


def test_files_are_written_in_one_place():
    """No other file of was.config opens one for writing: what is promised there holds for all."""
    folder = Path(writing.__file__).parent
    words = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|\.write_(text|bytes)\(|open\([^)]*[\"'][wax+]")
    found = {path.name for path in folder.rglob("*.py") if words.search(path.read_text())}
    assert found == {"atomic.py"}
