"""Who a process is and what it may still become: user, groups, capabilities, no_new_privs.

All of it holds for the calling thread and what comes from it, so it is done while there is one.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = [
    "NEEDED",
    "Capability",
    "drop_bounding_set",
    "effective_capabilities",
    "set_no_new_privileges",
    "switch_user",
]

_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


class Capability:
    """Numbers of capability.h that matter here."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    SYS_ADMIN = 21


# Without these root cannot give processes another identity and still look after them.
NEEDED = {
    "CAP_CHOWN": Capability.CHOWN,
    "CAP_DAC_OVERRIDE": Capability.DAC_OVERRIDE,
    "CAP_KILL": Capability.KILL,
    "CAP_SETGID": Capability.SETGID,
    "CAP_SETUID": Capability.SETUID,
    "CAP_SETPCAP": Capability.SETPCAP,
}


def _prctl(option: int, argument: int) -> int:
    result: int = _libc.prctl(option, argument, 0, 0, 0)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}, {argument}): {os.strerror(error)}")
    return result


def effective_capabilities() -> int:
    """The capabilities in force, as a bit mask."""
    for line in Path("/proc/self/status").read_bytes().splitlines():
        if line.startswith(b"CapEff:"):
            return int(line.split()[1], 16)
    return 0


def drop_bounding_set() -> None:
    """No program executed from now on can gain a capability, whatever its file says."""
    for number in range(64):
        try:
            held = _prctl(_PR_CAPBSET_READ, number)
        except OSError:
            return  # the first number that the kernel does not know
        if held:
            _prctl(_PR_CAPBSET_DROP, number)


def switch_user(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Become another user for good; the kernel then clears every capability.

    The process is not dumpable afterwards, which is wanted: another process of the same user can
    neither trace it nor read its environment.
    """
    os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if uid != 0:
        with suppress(PermissionError):
            os.setresuid(0, 0, 0)
            raise OSError("the way back to root is open")


def set_no_new_privileges() -> None:
    """No set-user-id program gives anything to this process or its children."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
