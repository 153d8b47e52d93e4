"""Content that a pool's user cannot read: the client and the log say so, nobody is told "404"."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.running import place, simple_config
from support.wire import get

IS_ON = os.geteuid() == 0


def _static(config: str) -> str:
    return re.sub(r"<handlers>.*?</handlers>", "", config, flags=re.DOTALL)


def _prepare(home: Path) -> None:
    place("hello.py")(home)
    folder = home / "sites" / "app"
    (folder / "index.html").write_text("hello")
    (folder / "inner").mkdir()
    (folder / "inner" / "page.html").write_text("hello")


@pytest.mark.parametrize("reads_config", [True, False], ids=["web.config", "no web.config"])
def test_files_in_a_folder_that_only_root_may_enter(start_server, reads_config):
    """500.19, as on IIS, where its web.config counts and cannot be looked for; else 401.3."""

    def prepare(home: Path) -> None:
        _prepare(home)
        (home / "sites" / "app" / "inner").chmod(0o700)

    config = _static(simple_config("none"))
    if not reads_config:
        config = config.replace("physicalPath=", 'allowSubDirConfig="false" physicalPath=')
    running = start_server(config, prepare)
    running.allow("config_error")
    assert get(running.port(), "/").status == 200
    refused = (500, "500.19") if reads_config else (401, "401.3")
    for path, otherwise in (("page.html", 200), ("nothing.html", 404), ("", 403)):
        answer = get(running.port(), f"/inner/{path}")
        assert answer.status == (refused[0] if IS_ON else otherwise), path
        assert (refused[1] in answer.text) is IS_ON


@pytest.mark.parametrize("is_static", [True, False], ids=["files", "application"])
def test_an_application_whose_folder_only_root_may_enter(start_server, is_static):
    """500.19 that names the web.config which cannot be looked for, as on IIS; and the log does."""

    def prepare(home: Path) -> None:
        _prepare(home)
        (home / "sites" / "app").chmod(0o700)

    config = simple_config("hello:application")
    running = start_server(_static(config) if is_static else config, prepare)
    answer = get(running.port(), "/")
    assert answer.status == (500 if IS_ON else 200)
    if IS_ON:
        running.allow("content_unreadable", "config_error")
        assert "content_unreadable" in running.server.log_text()
        assert "500.19" in answer.text
        assert str(running.folder()) in answer.text
        assert "Permission denied" in answer.text


def test_the_sample_works_whatever_the_umask(start_server):
    """`was init` by root under umask 077, in a folder that only root may enter."""

    def prepare(home: Path) -> None:
        home.chmod(0o700)
        script = 'umask 077; exec "$0" -P -m was init "$1"'
        subprocess.run(["sh", "-c", script, sys.executable, home], check=True, capture_output=True)
        file = home / "config" / "applicationHost.config"
        file.write_text(re.sub(r"127.0.0.1:\d+:", "127.0.0.1:0:", file.read_text()))

    running = start_server(None, prepare)
    for site in ("Shop", "Static", "Crash"):
        assert get(running.port(site), "/").status == 200
    assert ("isolation_reduced" in running.server.log_text()) is not IS_ON
