"""FolderWatch: what the kernel tells of folders."""

import os
import select

import pytest

from was.file_watch import FolderWatch


@pytest.fixture
def watch():
    made = FolderWatch()
    yield made
    made.close()


def _changes(watch):
    select.select([watch.fd], [], [], 5)
    return watch.changes()


def test_names_of_files_that_are_written_moved_and_removed(watch, tmp_path):
    """Each kind of change gives folder and name; what is quiet gives nothing, without blocking."""
    watch.add(str(tmp_path))
    assert watch.changes() == set()
    (tmp_path / "a").write_text("1")
    assert _changes(watch) == {(str(tmp_path), "a", False)}
    (tmp_path / "a").rename(tmp_path / "b")
    assert _changes(watch) == {(str(tmp_path), "a", False), (str(tmp_path), "b", False)}
    (tmp_path / "b").unlink()
    (tmp_path / "ä b").mkdir()
    assert _changes(watch) == {(str(tmp_path), "b", False), (str(tmp_path), "ä b", True)}


def test_a_folder_that_goes_is_told_and_forgotten(watch, tmp_path):
    """Removed or moved away: name "", and it can be watched again when it is back."""
    folder = tmp_path / "f"
    for leave in (folder.rmdir, lambda: folder.rename(tmp_path / "elsewhere")):
        folder.mkdir()
        watch.add(str(folder))
        leave()
        assert (str(folder), "", False) in _changes(watch)
        assert watch.folders == []
    (tmp_path / "elsewhere" / "x").touch()
    assert watch.changes() == set()


def test_two_paths_of_one_folder_are_both_told(watch, tmp_path):
    """The kernel knows one folder; whoever watches it by another path hears of it too."""
    folder, link = tmp_path / "f", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    watch.add(str(folder))
    watch.add(str(link))
    (folder / "x").touch()
    assert _changes(watch) == {(str(folder), "x", False), (str(link), "x", False)}
    watch.keep([str(link)])
    (folder / "y").touch()
    assert _changes(watch) == {(str(link), "y", False)}
    watch.keep([])
    (folder / "z").touch()
    assert watch.changes() == set()


def test_what_is_no_folder_is_refused(watch, tmp_path):
    """OSError for a file, for nothing, and without permission to read."""
    (tmp_path / "file").touch()
    for name in ("file", "nothing"):
        with pytest.raises(OSError, match="directory"):
            watch.add(str(tmp_path / name))
    assert watch.folders == []


def test_no_descriptor_is_left(tmp_path):
    """close gives it back."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        made = FolderWatch()
        made.add(str(tmp_path))
        made.close()
    assert len(os.listdir("/proc/self/fd")) == before
