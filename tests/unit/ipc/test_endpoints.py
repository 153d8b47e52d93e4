"""Names of a home's files and sockets: short, and in a place that is this user's alone."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from was.errors import HomeError
from was.ipc import endpoints
from was.ipc.endpoints import Home, SocketFolder, home_key, pool_key, socket_base


def test_names_are_hashes_of_what_they_stand_for(tmp_path):
    """8 hex digits of the home's real path, 12 of the pool's name: a socket's path stays short."""
    home, link = tmp_path / "home", tmp_path / "link"
    home.mkdir()
    link.symlink_to(home)
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()
    assert home_key(home) == home_key(link) == digest[:8]
    assert pool_key("shop") == "8d9001d32c6a"
    assert SocketFolder(Path("/x")).queue_endpoint("shop", 3) == endpoints.QueueEndpoint(
        3, "ipc:///x/q/8d9001d32c6a/3", "/x/q/8d9001d32c6a/3.fd"
    )
    config = Home(home).pool_config("shop")
    assert config == home / "run" / "pools" / "8d9001d32c6a" / "applicationHost.config"


@pytest.mark.parametrize(
    ("uid", "has_session", "expected"),
    [(0, True, "/run/was"), (1000, True, "{session}/was"), (1000, False, "{temporary}/was-1000")],
)
def test_sockets_lie_in_a_short_place(monkeypatch, tmp_path, uid, has_session, expected):
    """/run for root, the session's folder for a user who has one, else a folder of their own."""
    monkeypatch.setattr("os.geteuid", lambda: uid)
    monkeypatch.setattr("os.access", lambda *_: True)
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/temporary")
    monkeypatch.setattr(endpoints, "_own_folder", lambda path, _mode: path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path) if has_session else "")
    names = {"session": tmp_path, "temporary": "/temporary"}
    assert str(socket_base()) == expected.format(**names)


def test_where_run_cannot_be_written_to_root_s_lie_in_the_temporary_place(monkeypatch, tmp_path):
    """As in a container with a read-only root: workers, who are others, may go through."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(endpoints, "_own_folder", lambda path, mode: (path, mode))
    assert socket_base() == (tmp_path / "was-0", 0o711)


@pytest.mark.parametrize("mode", [0o700, 0o711])
def test_nobody_else_writes_to_the_temporary_place(tmp_path, mode):
    """Made so, and so from now on where it was open."""
    made, opened = tmp_path / "made", tmp_path / "opened"
    opened.mkdir()
    opened.chmod(0o777)
    for path in (made, opened):
        assert endpoints._own_folder(path, mode) == path
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_temporary_place_of_somebody_else_is_refused(monkeypatch, tmp_path):
    """Who made it first could put sockets of their own in the place of ours."""
    link, folder = tmp_path / "link", tmp_path / "folder"
    folder.mkdir(0o700)
    link.symlink_to(folder)
    with pytest.raises(HomeError, match="belongs to somebody else"):
        endpoints._own_folder(link, 0o700)
    uid = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: uid + 1)
    with pytest.raises(HomeError, match="belongs to somebody else"):
        endpoints._own_folder(folder, 0o700)
