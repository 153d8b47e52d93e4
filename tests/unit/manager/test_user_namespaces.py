"""Identities in a container whose root is nobody outside: there are few ids, or none but root."""

import os

import pytest

from was.config.model import AppPool, Identities, ServerConfig
from was.ipc.endpoints import Home, SocketFolder
from was.isolation.identities import first_unmapped
from was.manager import isolation
from was.manager.isolation import Isolations
from was.manager.pool_isolation import Facts
from was.manager.state_files import StateFiles

ROOTLESS = "0 1000 1\n1 100000 65536\n"
POOL = AppPool(name="P")


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """open(identities) -> (Isolations, the configuration) in a rootless container."""
    monkeypatch.setattr(isolation, "machine_facts", lambda: Facts(own_uid=0))
    monkeypatch.setattr(isolation, "_id_map", lambda _kind: ROOTLESS)
    for change in ("chown", "fchown", "chmod", "fchmod"):
        monkeypatch.setattr(os, change, lambda *_args, **_more: None)
    home = Home(tmp_path)
    for folder in (home.config_file.parent, home.state, home.logs):
        folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "s").mkdir()

    def make(identities):
        config = ServerConfig(
            home=str(tmp_path), app_pools={"P": POOL}, sites=(), identities=identities
        )
        found = Isolations(home, SocketFolder(tmp_path / "s"), StateFiles(home))
        found.open(config)
        return found, config

    return make


def test_pools_whose_ids_are_not_there_run_as_who_we_are(opened, capfd):
    """They serve, and one line says what is off and which setting would change that."""
    found, config = opened(Identities())
    assert found.account(POOL, config) is None
    said = capfd.readouterr().err
    assert "isolation_reduced" in said
    assert "no user 480000: identities/@firstId, @count" in said


def test_pools_have_ids_of_their_own_where_the_range_is_there(opened, capfd):
    """The range is the configuration's."""
    found, config = opened(Identities(first_id=1000, count=60_000))
    account = found.account(POOL, config)
    assert account is not None
    assert 1000 <= account.uid < 61_000
    assert "identities of pools" not in capfd.readouterr().err


def test_a_kernel_without_user_namespaces_has_all_ids(monkeypatch):
    """It has no map either."""

    def read_text(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(isolation.Path, "read_text", read_text)
    assert first_unmapped(isolation._id_map("user"), (0, 480_000, 524_287)) is None
