"""What the ends of processes lead to."""

import errno
from unittest.mock import Mock

from was.config.model import AppPool
from was.manager.endings import Endings
from was.manager.pool import ApplicationPool


def test_a_worker_that_cannot_be_asked_for_again_is_none():
    """The template died over it, and no pipe can be had: its place is free for the next one."""
    pool = ApplicationPool(AppPool(name="P"), iter(range(1, 9)), lambda s: s)
    pool.start(0.0)
    pool.demand(0.0, further=False)
    handle = Mock(pid=0, is_condemned=False, is_orphan=False, pool="P")
    handle.finished.return_value = 0
    manager = Mock()
    manager.pool_of.return_value = pool
    manager.now.return_value = 1.0
    manager.workers.handles = {1: handle}
    manager.workers.fork.side_effect = OSError(errno.EMFILE, "Too many open files")
    manager.shutdown.has_begun = False
    Endings(manager).hello_lost(1)
    assert list(pool.workers) in ([], [2])
    assert manager.workers.remove.called
