"""Which folders a user cannot pass on the way to a path."""

import shutil
import tempfile
from pathlib import Path

import pytest

from was.isolation.view import closed_folders

SOMEBODY = 54_321


@pytest.fixture
def place():
    """A folder that everybody may pass, and so are those above it."""
    folder = Path(tempfile.mkdtemp(prefix="was-t-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_open_folders_need_nothing(place):
    """Nothing is closed where everybody may pass."""
    folder = place / "a" / "b"
    folder.mkdir(parents=True)
    assert closed_folders([str(folder)], SOMEBODY) == {}


def test_the_topmost_closed_folder_counts(place):
    """What lies below it is reached through it, however many are closed."""
    inner = place / "a" / "b"
    inner.mkdir(parents=True)
    (place / "a").chmod(0o700)
    inner.chmod(0o700)
    (inner / "file").touch()
    found = closed_folders([str(inner / "file")], SOMEBODY)
    assert found == {str(place / "a"): [str(inner / "file")]}


def test_a_closed_folder_that_is_asked_for_itself_stays(place):
    """That its content cannot be read must show, not an empty folder in its place."""
    own = place / "content"
    (own / "data").mkdir(parents=True)
    own.chmod(0o700)
    assert closed_folders([str(own), str(own / "data")], SOMEBODY) == {}


def test_the_owner_and_the_group_pass_by_their_own_bits(place):
    """As the kernel has it: the first that fits decides."""
    folder = place / "a"
    folder.mkdir()
    (folder / "x").touch()
    status = folder.stat()
    paths = [str(folder / "x")]
    folder.chmod(0o070)
    assert str(folder) in closed_folders(paths, status.st_uid)
    folder.chmod(0o010)
    assert str(folder) not in closed_folders(paths, SOMEBODY, [status.st_gid])
    folder.chmod(0o701)
    assert str(folder) in closed_folders(paths, SOMEBODY, [status.st_gid])
    assert str(folder) not in closed_folders(paths, SOMEBODY)
    folder.chmod(0o700)
