"""The steps into isolation. Each needs what the next ones take away, so the order is fixed.

A step that fails raises: a worker that cannot be isolated as it was told does not run.
"""

from __future__ import annotations

import os
import resource

from was.ipc.worker_control import Isolation
from was.isolation import landlock, privileges, view

__all__ = ["enter"]


def enter(isolation: Isolation) -> None:
    """Take all steps; called once, while the process has one thread."""
    if isolation.umask >= 0:
        os.umask(isolation.umask)
    for name, wanted in isolation.limits.items():
        _limit(getattr(resource, name), wanted)
    if isolation.uid >= 0:
        view.open_view(isolation.closed)
        privileges.drop_bounding_set()
        privileges.switch_user(isolation.uid, isolation.gid, isolation.groups)
    if isolation.is_restricted:
        privileges.set_no_new_privileges()
    if isolation.has_sandbox:
        landlock.restrict(
            isolation.readable,
            isolation.writable,
            isolation.connect_ports,
            isolation.bind_ports,
        )


def _limit(number: int, wanted: int) -> None:
    # Only downwards: raising a hard limit would need a privilege that not even root must have.
    _soft, hard = resource.getrlimit(number)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(number, (most, most))
