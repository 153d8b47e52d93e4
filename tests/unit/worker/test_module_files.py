"""ModuleFiles: what counts as a change of an application's files."""

import os
import sys
import types

import pytest

from was.worker.applications.module_files import LOOK_EVERY_S, ModuleFiles


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module that says that it comes from tmp_path."""
    file = tmp_path / "thing.py"
    file.write_text("")
    found = types.ModuleType("thing_of_the_test")
    found.__file__ = str(file)
    monkeypatch.setitem(sys.modules, found.__name__, found)
    return file


def touch(file, stamp: int) -> None:
    os.utime(file, ns=(stamp, stamp))


def test_a_changed_file_is_told_once(module, tmp_path):
    """Each change is told once, at a look that is due."""
    files = ModuleFiles([str(tmp_path)])
    assert files.changed(10.0) == ""
    touch(module, 5)
    assert files.changed(10.0 + LOOK_EVERY_S / 2) == ""
    assert files.changed(10.0 + LOOK_EVERY_S) == str(module)
    assert files.changed(20.0) == ""


def test_files_elsewhere_do_not_count(module, tmp_path):
    """Neither the standard library's nor those of a folder whose name begins alike."""
    files = ModuleFiles([str(tmp_path)[:-1], str(tmp_path / "other")])
    touch(module, 5)
    assert files.changed(10.0) == ""


def test_a_file_that_vanishes_has_changed(module, tmp_path):
    """So that a deployment that moves files is noticed at either end."""
    files = ModuleFiles([str(tmp_path)])
    module.unlink()
    assert files.changed(10.0) == str(module)
