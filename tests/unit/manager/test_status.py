"""What `was status` is told."""

from types import SimpleNamespace
from unittest.mock import MagicMock

from was.manager.status import status


def test_a_clock_that_is_set_does_not_change_how_long_it_runs():
    """uptime_s is no difference of times of day."""
    clock = SimpleNamespace(wall=lambda: 5.0, monotonic=lambda: 1090.5)
    server = MagicMock(clock=clock)
    reloading = SimpleNamespace(errors=[], since=86400.0)
    manager = MagicMock(server=server, started_at=1000.0, reloading=reloading, pools={})
    assert status(manager, None)["uptime_s"] == 90.5
