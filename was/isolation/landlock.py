"""Landlock: which files a process may still reach, and which TCP ports.

It can only be tightened, holds for all children and needs no privilege but no_new_privs. A path
that is not there, or that this identity cannot reach anyway, needs no rule. What a kernel does not
know is left out of the rules: `abi` says what that is. It does not govern connect() to a Unix
socket by path; folder modes do.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

__all__ = ["NETWORK_ABI", "SCOPE_ABI", "abi", "restrict"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH, _NET_PORT = 1, 2

NETWORK_ABI = 4
SCOPE_ABI = 6

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_FIRST_ABI = (1 << 13) - 1
_READ = _EXECUTE | _READ_FILE | _READ_DIR
# A rule on a file may only name what can be done with a file.
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPES = 3  # abstract Unix sockets, signals

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _syscall(*arguments: object) -> int:
    result: int = _libc.syscall(*arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"landlock: {os.strerror(error)}")
    return result


def abi() -> int:
    """The version the kernel speaks, 0 where it has none or it is switched off."""
    try:
        return _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    except OSError:
        return 0


def restrict(
    readable: Sequence[str],
    writable: Sequence[str],
    connect_ports: Sequence[int] | None,
    bind_ports: Sequence[int] | None,
) -> None:
    """Allow these files and folders with all below, and these ports; None leaves ports alone.

    Does nothing where the kernel has no Landlock.
    """
    version = abi()
    if version == 0:
        return
    files = _FIRST_ABI | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    ports = 0
    if version >= NETWORK_ABI:
        ports = (_CONNECT_TCP if connect_ports is not None else 0) | (
            _BIND_TCP if bind_ports is not None else 0
        )
    attributes = struct.pack("=QQQ", files, ports, _SCOPES if version >= SCOPE_ABI else 0)
    # Older kernels know a shorter structure, and refuse nothing that is zero beyond it.
    ruleset = _syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ)
        for path in writable:
            _allow(ruleset, path, files & ~_MAKE_CHAR & ~_MAKE_BLOCK)
        if ports & _CONNECT_TCP:
            _allow_ports(ruleset, connect_ports or (), _CONNECT_TCP)
        if ports & _BIND_TCP:
            _allow_ports(ruleset, bind_ports or (), _BIND_TCP)
        _syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    except NotADirectoryError:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        access &= _OF_FILES
    except OSError:
        return
    try:
        rule = struct.pack("=Qi", access, fd)
        _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(fd)


def _allow_ports(ruleset: int, ports: Sequence[int], access: int) -> None:
    for port in ports:
        _syscall(_ADD_RULE, ruleset, _NET_PORT, struct.pack("=QQ", access, port), 0)
