"""What kind of extension a file is, and why it cannot be one (reads no more than its head)."""

from __future__ import annotations

import os
import platform
import struct
from enum import Enum
from pathlib import PurePath

from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ImageError

__all__ = ["Kind", "module_name_of", "tell_kind"]

_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_OURS = platform.machine()
_SHARED_OBJECT = 3


class Kind(Enum):
    """How an extension is run."""

    PYTHON = 1
    COMPILED = 2


def module_name_of(path: str) -> str:
    """The Python module that a file stands for: `x.py` is x, and so is pywin32's stub `_x.dll`."""
    stem = PurePath(path).stem
    return stem if path.endswith(".py") else stem.removeprefix("_")


def tell_kind(path: str) -> Kind:
    """By its name for Python, by its head else. Raises ImageError."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except FileNotFoundError:
        raise ImageError(path, Win32.MOD_NOT_FOUND, "the file is not there") from None
    except IsADirectoryError:
        raise ImageError(path, Win32.ACCESS_DENIED, "it is a folder") from None
    except PermissionError:
        reason = f"the pool's identity (uid {os.geteuid()}) may not read it"
        raise ImageError(path, Win32.ACCESS_DENIED, reason) from None
    except OSError as error:
        raise ImageError(path, Win32.MOD_NOT_FOUND, error.strerror or str(error)) from None
    if path.endswith(".py"):
        return Kind.PYTHON
    if head[:4] == b"\x7fELF":
        _check_elf(path, head)
        return Kind.COMPILED
    name = PurePath(path).name
    if name.startswith("_") and name.lower().endswith(".dll"):
        return Kind.PYTHON  # a copy of pywin32's loader, or an empty file in its place
    if head[:2] == b"MZ":
        reason = "a Windows DLL; compile its source for Linux with the headers that `was sdk` names"
        raise ImageError(path, Win32.BAD_EXE_FORMAT, reason)
    raise ImageError(path, Win32.BAD_EXE_FORMAT, "neither a shared object nor a Python module")


def _check_elf(path: str, head: bytes) -> None:
    if len(head) < 20:
        raise ImageError(path, Win32.BAD_EXE_FORMAT, "the file is cut short")
    order = "<" if head[5] == 1 else ">"
    kind, machine = struct.unpack_from(f"{order}HH", head, 16)
    bits = 64 if head[4] == 2 else 32
    theirs = _MACHINES.get(machine, f"machine {machine}")
    if theirs != _OURS or bits != 64:
        reason = f"compiled for {theirs} ({bits} bit), this machine is {_OURS} (64 bit)"
        raise ImageError(path, Win32.BAD_EXE_FORMAT, reason)
    if kind != _SHARED_OBJECT:
        raise ImageError(path, Win32.BAD_EXE_FORMAT, "not a shared object (cc -shared -fPIC)")
