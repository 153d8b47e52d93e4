"""What becomes of the pools' decisions."""

from unittest.mock import Mock

from was.config.model import AppPool
from was.ipc.worker_control import StopWorker
from was.manager.actions import Activate
from was.manager.performer import Performer
from was.manager.pool import ApplicationPool


def test_a_worker_that_is_replaced_without_a_listener_is_told_to_finish():
    """Nobody else would tell it: the next listener hears only of those that stay."""
    pool = ApplicationPool(AppPool(name="P"), iter(range(1, 9)), lambda s: s)
    listener, workers = Mock(is_connected=False), Mock(handles={1: Mock(pid=0), 2: Mock()})
    server = Mock(config=Mock(app_pools={"P": pool.settings}))
    performer = Performer(server, listener, workers, {"P": pool}, Mock(), Mock())
    performer.perform(pool, [Activate(2, (1,))])
    workers.handles[1].peer.send.assert_called_once_with(StopWorker(drain=True))
    listener.is_connected = True
    performer.perform(pool, [Activate(2, (1,))])
    assert workers.handles[1].peer.send.call_count == 1
