"""`was config show`: what is in force at a path, and where it comes from."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness.home import Application, Pool, Site, application_host_config, make_home


@pytest.fixture
def home(tmp_path) -> Path:
    www = tmp_path / "www" / "deep"
    www.mkdir(parents=True)
    (www / "web.config").write_text(
        '<configuration><system.webServer>\n<directoryBrowse enabled="true" />'
        "</system.webServer></configuration>"
    )
    site = Site("Site", (Application("/", tmp_path / "www", "Pool"),))
    return make_home(tmp_path / "home", application_host_config([Pool("Pool")], [site]))


def _show(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "was", "--home", str(home), "config", "show", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_as_text_it_is_a_configuration_that_loads(home, tmp_path):
    """The server's own comes to the same settings when it is loaded again."""
    text = _show(home).stdout
    again = make_home(tmp_path / "again", text)
    assert _show(again).stdout == text
    assert '<site name="Site" id="1"' in text


def test_a_path_with_origins(home):
    """One line a value: what, which, and level, file and line of whoever said it."""
    result = _show(home, "Site/deep/x", "--origin")
    (line,) = result.stdout.splitlines()
    assert line.split()[:3] == [
        "system.webServer/directoryBrowse/@enabled",
        "true",
        "MACHINE/WEBROOT/APPHOST/site/deep",
    ]
    assert line.endswith("/www/deep/web.config:2")
    whole = _show(home, "Site/deep", "--origin", "--section", "directoryBrowse").stdout
    assert whole.splitlines()[1].split()[-1] == "default"


def test_as_json(home):
    """Values with level, file and line."""
    shown = json.loads(_show(home, "MACHINE/WEBROOT/APPHOST/Site/deep", "--json").stdout)
    section = shown["sections"]["system.webServer/directoryBrowse"]
    assert section["attributes"]["enabled"]["value"] == "true"
    assert section["attributes"]["enabled"]["line"] == 2
    assert section["attributes"]["showFlags"]["level"] == "schema"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("Nobody",), "Unrecognized configuration path"),
        (("Site", "--section", "nonsense"), "there is no section 'nonsense'"),
    ],
)
def test_what_cannot_be_shown(home, arguments, word):
    """One line, exit code 1."""
    result = _show(home, *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert word in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_broken_file_on_the_way_is_named(home, tmp_path):
    """With its line; what is not below it can still be shown."""
    (tmp_path / "www" / "deep" / "web.config").write_text("<configuration>\n<oops>")
    result = _show(home, "Site/deep")
    assert result.returncode == 1
    assert "web.config:2" in result.stderr
    assert _show(home, "Site").returncode == 0
