"""Which groups a worker is in, on a machine that has a group iis_iusrs."""

import grp

import pytest

from was.config.model import AppPool, ProcessModel, ServerConfig
from was.ipc.endpoints import Home, SocketFolder
from was.manager import isolation
from was.manager.isolation import Isolations
from was.manager.pool_isolation import Facts
from was.manager.state_files import StateFiles

IIS_IUSRS = 4242


@pytest.mark.parametrize("is_manual", [False, True])
def test_manual_group_membership(tmp_path, monkeypatch, is_manual):
    """A worker is in the group of all workers unless the pool's groups are given by hand."""
    known = grp.struct_group(("iis_iusrs", "x", IIS_IUSRS, []))
    monkeypatch.setattr(grp, "getgrnam", lambda _name: known)
    monkeypatch.setattr(isolation, "machine_facts", lambda: Facts(own_uid=0))
    home = Home(tmp_path)
    isolations = Isolations(home, SocketFolder(tmp_path), StateFiles(home))
    pool = AppPool(name="P", process_model=ProcessModel(manual_group_membership=is_manual))
    config = ServerConfig(home=str(tmp_path), app_pools={"P": pool}, sites=())
    steps = isolations.worker(pool, config).isolation
    assert (IIS_IUSRS in steps.groups) is not is_manual
