"""WebConfigs: which folders are to be read anew, and which of them the log speaks of."""

import os
import time

import pytest
from harness.server import wait_for

from was.worker.applications.web_configs import WebConfigs


@pytest.fixture
def web_configs():
    watched = WebConfigs()
    yield watched
    watched.close()


def test_folders_without_a_web_config_are_looked_at_and_not_logged(web_configs, tmp_path, capfd):
    """A new folder may have a web.config later, so it is told; nothing is logged."""
    web_configs.add([tmp_path / "web.config"])
    (tmp_path / "uploads").mkdir()
    found = wait_for("the new folder", lambda: web_configs.changes(time.monotonic()))
    assert found == [str(tmp_path / "uploads")]
    assert "web_config_changed" not in capfd.readouterr().err


def test_a_web_config_that_comes_and_goes_is_logged(web_configs, tmp_path, capfd):
    """Each change of a web.config is in the log, also that it is no longer there."""
    file = tmp_path / "web.config"
    for change in (lambda: file.write_text("<configuration/>"), file.unlink):
        web_configs.add([file])
        change()
        found = wait_for("the change", lambda: web_configs.changes(time.monotonic()))
        assert found == [str(tmp_path)]
        assert f"web_config_changed folder={tmp_path}" in capfd.readouterr().err


@pytest.mark.parametrize("is_told", [True, False])
def test_a_file_that_a_web_config_names_is_a_part_of_it(
    web_configs, tmp_path, monkeypatch, is_told
):
    """It changes, comes with its folder and goes with it; also where the kernel says nothing."""
    if not is_told:
        web_configs.close()
    monkeypatch.setattr("was.worker.applications.web_configs.LOOK_EVERY_S", 0.0)
    file, part = tmp_path / "web.config", tmp_path / "parts" / "own.config"
    file.touch()

    def see(change) -> None:
        web_configs.add([file], lambda _: [part])
        change()
        found = wait_for("the change", lambda: web_configs.changes(time.monotonic()))
        assert str(tmp_path) in found

    see(lambda: (part.parent.mkdir(), part.touch()))
    see(lambda: os.utime(part, (1, 1)))
    see(lambda: part.parent.rename(tmp_path / "gone"))
