"""A worker that is another interpreter's: what it is told, and what it refuses."""

import os
import subprocess
import sys

import pytest

from was.worker.executed import MODULE


def test_another_version_of_was_is_refused():
    """What the message means may have changed between the two: one line says so."""
    message = os.memfd_create("fork", 0)
    command = [sys.executable, "-P", "-m", MODULE, str(message), "0.0.0"]
    try:
        run = subprocess.run(
            command, pass_fds=(message,), capture_output=True, text=True, check=False
        )
    finally:
        os.close(message)
    assert run.returncode == 72
    assert "and the server is was 0.0.0" in run.stderr


def test_an_environment_of_another_python_is_an_error(tmp_path):
    """It is said, and no module of the server's is taken for one of the environment's."""
    code = (
        "from was.worker.process.virtual_environment import use_virtual_environment as use\n"
        f"use({str(tmp_path)!r})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"the virtual environment {tmp_path} has no packages for python3" in run.stderr


@pytest.mark.parametrize("is_the_same", [True, False])
def test_what_multiprocessing_spawns_has_the_library_that_it_is_given(tmp_path, is_the_same):
    """Ours, by sys.path: another build of this Python would look for its own modules there."""
    packages = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    (tmp_path / "lib" / packages / "site-packages").mkdir(parents=True)
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    if is_the_same:
        program.symlink_to(sys.executable)
    else:
        program.write_text("")
    code = (
        "from was.worker.process.virtual_environment import use_virtual_environment as use\n"
        f"import sys; use({str(tmp_path)!r})\n"
        "from multiprocessing.spawn import get_executable\n"
        "print(sys.executable, get_executable().decode())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(program), str(program) if is_the_same else sys.executable]
