"""`was init`: a home that works, never at the cost of somebody's files."""

import os
import re
import shlex
import socket

import pytest

from was.cli import init
from was.config.files import validate

BINDING = re.compile(r'bindingInformation="127\.0\.0\.1:(\d+):"')


def ports_in(home):
    return [int(p) for p in BINDING.findall(home.config_file.read_text())]


def test_the_home_is_complete_and_its_configuration_valid(run, home):
    """A new home has every folder, and not even a warning."""
    result = run("init")
    assert result.exit_code == 0, result.output
    for folder in ("config", "wwwroot", "logs", "run", "apps"):
        assert (home.path / folder).is_dir()
    report = validate(home.config_file)
    assert (report.errors, report.warnings) == ([], [])
    assert not list(home.path.rglob("__pycache__"))


def test_an_empty_folder_is_taken_and_named_as_argument(run, home, tmp_path):
    """`was init DIR` uses DIR, existing and empty."""
    result = run("init", str(tmp_path))
    assert result.exit_code == 0
    assert (tmp_path / "config" / "applicationHost.config").is_file()
    assert not home.path.exists()


def test_the_command_to_start_it_can_be_pasted(run, tmp_path):
    """What is said to start the home is for a shell, also where the path has a space."""
    folder = tmp_path / "my homes" / "it's"
    folder.parent.mkdir()
    result = run("init", str(folder))
    [line] = [line for line in result.stdout.splitlines() if line.startswith("start ")]
    assert shlex.split(line)[-3:] == ["start", "--home", str(folder)]


def test_a_foreign_folder_is_refused(run, home):
    """A folder that holds anything stays as it is."""
    home.path.mkdir()
    (home.path / "thesis.txt").write_text("mine")
    result = run("init")
    assert result.exit_code == 1
    assert result.stderr == f"was: {home.path} is not an empty folder; nothing was written\n"
    assert [p.name for p in home.path.iterdir()] == ["thesis.txt"]


def test_a_home_that_cannot_be_finished_is_not_begun(run, home, monkeypatch):
    """A full disk: one line that says so, and the next try is not refused over what is left."""
    copy = init.shutil.copytree

    def fails(source, target, *more, **options):
        if os.path.basename(target) == "wwwroot":
            raise init.shutil.Error([(source, target, "[Errno 28] No space left on device")])
        return copy(source, target, *more, **options)

    monkeypatch.setattr(init.shutil, "copytree", fails)
    result = run("init")
    assert (result.exit_code, result.stderr) == (1, "was: [Errno 28] No space left on device\n")
    monkeypatch.undo()
    assert list(home.path.iterdir()) == []
    assert run("init", str(home.path)).exit_code == 0


def test_a_home_is_not_made_twice(run, home):
    """A second init changes nothing."""
    run("init")
    home.config_file.write_text("edited")
    result = run("init")
    assert result.exit_code == 1
    assert result.stderr == f"was: {home.path} is a home already\n"
    assert home.config_file.read_text() == "edited"


def test_taken_ports_give_way_to_the_next_free_ones(run, home, monkeypatch):
    """Each taken port becomes the next one that is free and no other site's; all are printed."""
    monkeypatch.setattr(init, "_is_free", lambda port: port not in (8080, 8082, 8084))
    result = run("init")
    assert ports_in(home) == [8085, 8081, 8086, 8083]
    assert "port 8080 is taken: 8085 instead" in result.stdout
    assert "port 8082 is taken: 8086 instead" in result.stdout


def test_ports_of_an_existing_home_can_be_moved(run, home, monkeypatch):
    """--move-ports edits the bindings whose port is taken, and nothing else."""
    monkeypatch.setattr(init, "_is_free", lambda _port: True)
    run("init")
    before = home.config_file.read_text()
    monkeypatch.setattr(init, "_is_free", lambda port: port != 8081)
    result = run("init", "--move-ports")
    assert result.stdout == "port 8081 is taken: 8084 instead\n"
    assert home.config_file.read_text() == before.replace(":8081:", ":8084:")


def test_a_port_is_free_when_nobody_listens(taken_port):
    """The probe sees a listening socket, and leaves nothing behind."""
    with taken_port() as port:
        assert not init._is_free(port)
    assert init._is_free(port)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


@pytest.mark.parametrize("name", ["shop", "crash"])
def test_the_sample_applications_answer(run, home, name):
    """Each sample application serves its first page."""
    run("init")
    source = home.path / "apps" / name / f"{name}.py"
    namespace = {}
    exec(compile(source.read_text(), str(source), "exec"), namespace)
    statuses = []
    body = namespace["application"](
        {"PATH_INFO": "/", "REQUEST_METHOD": "GET"}, lambda status, _fields: statuses.append(status)
    )
    assert statuses == ["200 OK"]
    assert b"<h1>" in b"".join(body)
