"""Which Python runs a pool: choose(), on trees of folders that look like environments."""

import os
import sys
from importlib import metadata
from pathlib import Path

import pytest

from was.config.pool_settings import PoolPython
from was.manager.interpreters import InterpreterError, choose, variables_of

OWN = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"


def environment(folder: Path, python: str = OWN, *packages: str) -> str:
    """A folder with packages of a Python, each by its name and version, and a program."""
    for package in packages:
        (folder / "lib" / python / "site-packages" / f"{package}.dist-info").mkdir(parents=True)
    (folder / "lib" / python / "site-packages").mkdir(parents=True, exist_ok=True)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("")
    (folder / "bin" / "python").chmod(0o755)
    return str(folder)


def of(virtual_environment: str = "", interpreter: str = "") -> PoolPython:
    return PoolPython(virtual_environment=virtual_environment, interpreter=interpreter)


def test_without_either_it_is_the_server_s_own():
    """A fork of the template, nothing added."""
    chosen = choose(of(), "")
    assert (chosen.program, chosen.virtual_environment, chosen.folders) == ("", "", ())


def test_an_environment_of_the_same_python_gives_its_packages(tmp_path):
    """And is readable as a whole."""
    folder = environment(tmp_path / "e")
    chosen = choose(of(folder), "")
    assert (chosen.program, chosen.virtual_environment) == ("", folder)
    assert chosen.folders == (folder, f"{folder}/bin/python")


def test_a_forked_worker_may_run_the_environment_s_program(tmp_path):
    """Its sys.executable, and what `#!` of a script in bin names: a link to where that one is."""
    interpreter = environment(tmp_path / "opt" / "python")
    folder = environment(tmp_path / "e")
    os.unlink(f"{folder}/bin/python")
    os.symlink(f"{interpreter}/bin/python", f"{folder}/bin/python")
    chosen = choose(of(folder), "")
    assert (chosen.program, interpreter in chosen.folders) == ("", True)


def test_what_is_installed_editable_is_readable(tmp_path):
    """Where `pip install -e` found it, as direct_url.json says; nothing else that it may say."""
    folder = environment(tmp_path / "e", OWN, "shop-1.0", "far-1.0", "own-1.0", "odd-1.0")
    for name, text in {
        "shop": '{"url": "file:///srv/my%20shop", "dir_info": {"editable": true}}',
        "far": '{"url": "https://example.org/far.zip", "archive_info": {}}',
        "own": '{"url": "file:///srv/own", "dir_info": {}}',
        "odd": "no JSON",
    }.items():
        packages = Path(folder, "lib", OWN, "site-packages")
        (packages / f"{name}-1.0.dist-info" / "direct_url.json").write_text(text)
    readable = choose(of(folder), "").folders
    assert readable == (folder, "/srv/my shop", f"{folder}/bin/python")


def test_the_server_s_own_environment_adds_nothing():
    """Its packages are there."""
    assert choose(of(sys.prefix), "").virtual_environment == ""


@pytest.mark.parametrize("python", [OWN, "python3.99"])
def test_an_environment_with_was_is_run_by_its_own_program(tmp_path, python):
    """Of whatever Python it is."""
    folder = environment(tmp_path / "e", python, "was-0.1.0")
    chosen = choose(of(folder), "")
    assert (chosen.program, chosen.virtual_environment) == (f"{folder}/bin/python", "")


def test_a_link_s_own_libraries_are_readable(tmp_path):
    """The program of an environment is a link into the interpreter's folder."""
    interpreter = environment(tmp_path / "opt" / "python")
    folder = environment(tmp_path / "e", "python3.99", "was-0.1.0")
    os.unlink(f"{folder}/bin/python")
    os.symlink(f"{interpreter}/bin/python", f"{folder}/bin/python")
    assert interpreter in choose(of(folder), "").folders


def test_a_program_that_lies_in_no_interpreter_s_folder_opens_nothing_else(tmp_path):
    """A script in somebody's bin does not make all of their home readable."""
    program = tmp_path / "home" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text("")
    program.chmod(0o755)
    assert choose(of(interpreter=str(program)), "").folders == (str(program),)


def test_an_interpreter_is_found_by_its_name(tmp_path):
    """On the PATH that the server has."""
    folder = environment(tmp_path / "e")
    assert choose(of(interpreter="python"), f"/none:{folder}/bin").program == f"{folder}/bin/python"


def test_an_interpreter_takes_the_packages_of_an_environment(tmp_path):
    """Both attributes: the worker itself sees whether they are of one Python."""
    folder = environment(tmp_path / "e", "python3.99")
    program = environment(tmp_path / "i", "python3.99") + "/bin/python"
    chosen = choose(of(folder, program), "")
    assert (chosen.program, chosen.virtual_environment) == (program, folder)


def test_packages_that_every_worker_has_are_passed_over(tmp_path):
    """Other versions of them are named, the same ones are not."""
    same = f"msgspec-{metadata.version('msgspec')}"
    folder = environment(tmp_path / "e", OWN, "pyzmq-0.1", same)
    assert choose(of(folder), "").passed_over == (f"pyzmq 0.1 (here {metadata.version('pyzmq')})",)


@pytest.mark.parametrize(
    ("python", "reason"),
    [
        (of("/none"), "there is no virtual environment '/none'"),
        (of("/proc/self"), "'/proc/self' is no virtual environment"),
        (of(interpreter="/none/python"), "there is no interpreter '/none/python'"),
        (of(interpreter="bin/python"), "'bin/python' must be a name or a whole path"),
        (of(interpreter="/etc/passwd"), "there is no interpreter '/etc/passwd'"),
    ],
)
def test_what_cannot_be_used_is_named(python, reason):
    """In one line."""
    with pytest.raises(InterpreterError, match=reason):
        choose(python, "")


def test_an_environment_of_another_python_needs_was(tmp_path):
    """The line says which is which, and what to do."""
    folder = environment(tmp_path / "e", "python3.99")
    with pytest.raises(InterpreterError, match=r"is of Python 3\.99, the server of Python 3.*was"):
        choose(of(folder), "")


SETTINGS = "home = /usr/bin\ninclude-system-site-packages = {}\n"


def test_an_interpreter_of_an_environment_needs_was(tmp_path):
    """Found out by its files: nothing that may be somebody else's is run for it."""
    folder = environment(tmp_path / "e", "python3.99")
    program = f"{folder}/bin/python"
    settings = tmp_path / "e" / "pyvenv.cfg"
    settings.write_text(SETTINGS.format("false"))
    with pytest.raises(InterpreterError, match=f"'{program}' has no `was`: install it in"):
        choose(of(interpreter=program), "")
    settings.write_text(SETTINGS.format("true"))  # it may be elsewhere
    assert choose(of(interpreter=program), "").program == program
    settings.write_text(SETTINGS.format("false"))
    (tmp_path / "e" / "lib" / "python3.99" / "site-packages" / "was-0.1.0.dist-info").mkdir()
    assert choose(of(interpreter=program), "").program == program


def test_the_variables_of_an_activated_environment():
    """Its programs are found first."""
    assert variables_of(of("/e"), "/bin") == {"VIRTUAL_ENV": "/e", "PATH": "/e/bin:/bin"}
    assert variables_of(of(), "/bin") == {}
