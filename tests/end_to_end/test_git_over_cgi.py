"""git's own server program as a CGI: what is pushed through it is what is cloned."""

import os
import subprocess
from pathlib import Path

from harness.home import Application, Pool, Site, application_host_config, place_application
from support.running import run_server

HANDLER = (
    '<add name="git" path="*" verb="*" modules="CgiModule" '
    'scriptProcessor="/usr/lib/git-core/git-http-backend" />'
)
# Repositories of other owners are served only on demand, and pushes by anybody too.
VARIABLES = {
    "GIT_PROJECT_ROOT": "{home}/sites/git/data",
    "GIT_HTTP_EXPORT_ALL": "1",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_KEY_1": "http.receivepack",
    "GIT_CONFIG_VALUE_1": "true",
}


def _git(*arguments: str, folder: Path) -> str:
    identity = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "HOME": str(folder)}
    identity |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **identity, "GIT_TERMINAL_PROMPT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _place(home: Path) -> None:
    folder = place_application(home / "sites" / "git")
    _git("init", "--bare", "-q", "-b", "main", str(folder / "data" / "shop.git"), folder=folder)
    for path in (folder / "data").rglob("*"):
        path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o666))


def test_git_pushes_and_clones_through_its_http_backend(tmp_path):
    """A push of a file larger than the spool's memory, a clone, and the two are the same."""
    variables = "".join(f'<add name="{k}" value="{v}" />' for k, v in VARIABLES.items())
    pool = Pool("Git", {}, {}, f"<environmentVariables>{variables}</environmentVariables>")
    app = Application("/git", Path("{home}") / "sites" / "git", "Git", (HANDLER,))
    root = Application("/", Path("{home}") / "sites" / "git" / "data", "Git")
    config = application_host_config([pool], [Site("Site", (root, app))])
    with run_server(config, _place) as running:
        url = f"http://127.0.0.1:{running.port()}/git/shop.git"
        work = tmp_path / "work"
        work.mkdir()
        _git("init", "-q", "-b", "main", folder=work)
        (work / "goods.bin").write_bytes(os.urandom(3_000_000))
        _git("add", ".", folder=work)
        _git("commit", "-q", "-m", "goods", folder=work)
        _git("push", "-q", url, "main", folder=work)
        _git("clone", "-q", url, str(tmp_path / "copy"), folder=tmp_path)
        assert (tmp_path / "copy" / "goods.bin").read_bytes() == (work / "goods.bin").read_bytes()
