"""The server's end, in so far as it decides."""

from unittest.mock import Mock

from was.config.model import AppPool
from was.manager.actions import Spawn
from was.manager.pool import ApplicationPool
from was.manager.shutdown import Shutdown


def test_an_end_that_waits_for_nobody_starts_nobody():
    """The ports close at once, and no worker that is killed gets a successor to wait for."""
    pool = ApplicationPool(AppPool(name="P"), iter(range(1, 9)), lambda s: s)
    pool.start(0.0)
    (spawned,) = (a for a in pool.demand(0.0, further=False) if isinstance(a, Spawn))
    pool.worker_loaded(spawned.worker_id, 0.0)
    pool.worker_attached(spawned.worker_id, 0.0)
    manager = Mock(pools={"P": pool})
    manager.workers.handles = {}
    Shutdown(manager).at_once(1.0)
    assert manager.sites.close.called
    after = pool.worker_exited(spawned.worker_id, 1.0, served=True, how="SIGKILL")
    assert not [a for a in after if isinstance(a, Spawn)]
