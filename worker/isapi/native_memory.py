"""Memory of compiled extensions and filters: their strings, structures and buffers."""

from __future__ import annotations

import ctypes
import os
from ctypes import c_uint32
from typing import TypeVar

from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ServerFunctionError, invalid
from was.worker.isapi.server_names import as_asked, to_bytes
from was.worker.isapi.site_paths import normalize

__all__ = [
    "bytes_at",
    "descriptor_of",
    "dword_at",
    "memory_at",
    "normalize_at",
    "optional_text",
    "set_dword",
    "store",
    "store_variable",
    "structure_at",
    "text_at",
    "wide",
    "wide_at",
]

T = TypeVar("T", bound=ctypes.Structure)


def text_at(address: int, length: int = -1) -> str:
    """A string of the extension's; "" for NULL."""
    return ctypes.string_at(address, length).decode("latin-1") if address else ""


def wide_at(address: int) -> str:
    """A wide string (UTF-16)."""
    if not address:
        return ""
    end = address
    while ctypes.c_uint16.from_address(end).value:
        end += 2
    return ctypes.string_at(address, end - address).decode("utf-16-le", "surrogatepass")


def wide(text: str) -> bytes:
    """As UTF-16 with its NUL."""
    return (text + "\0").encode("utf-16-le", "surrogatepass")


def dword_at(address: int) -> int:
    """A DWORD. Raises ServerFunctionError (87) for NULL."""
    if not address:
        raise invalid("a NULL pointer")
    return c_uint32.from_address(address).value


def set_dword(address: int, value: int) -> None:
    """Write a DWORD."""
    if not address:
        raise invalid("a NULL pointer")
    c_uint32.from_address(address).value = value


def store(raw: bytes, buffer: int, size: int, count: int = -1) -> None:
    """Put a string into the extension's buffer of *size bytes; *size becomes `count`.

    Raises ServerFunctionError: 122 with the needed size in *size where the buffer is too small.
    """
    room = dword_at(size)
    if len(raw) > room or not buffer:
        set_dword(size, len(raw))
        raise ServerFunctionError(Win32.INSUFFICIENT_BUFFER, f"{len(raw)} bytes are needed")
    ctypes.memmove(buffer, raw, len(raw))
    set_dword(size, len(raw) if count < 0 else count)


def store_variable(name: str, value: str, buffer: int, size: int) -> None:
    """The answer of GetServerVariable: wide for UNICODE_ names."""
    shown = as_asked(name, value)
    store(wide(shown) if isinstance(shown, str) else shown + b"\0", buffer, size)


def normalize_at(address: int) -> None:
    """NORMALIZE_URL, in place. Raises ServerFunctionError (122) where a slash has no room."""
    if not address:
        raise invalid("a NULL pointer")
    raw = ctypes.string_at(address)
    made = to_bytes("URL", normalize(os.fsdecode(raw))) + b"\0"
    if len(made) > len(raw) + 1:
        raise ServerFunctionError(Win32.INSUFFICIENT_BUFFER, "there is no room for a slash")
    ctypes.memmove(address, made, len(made))


def structure_at(kind: type[T], address: int) -> T:
    """One of the structures of the headers. Raises ServerFunctionError (87) for NULL."""
    if not address:
        raise invalid("a NULL pointer")
    return kind.from_address(address)


def bytes_at(address: int, size: int = 0) -> bytes:
    """A string up to its NUL, which a *size of the caller's may come before."""
    if not address:
        return b""
    return ctypes.string_at(address, dword_at(size) if size else -1).partition(b"\0")[0]


def memory_at(address: int | None, length: int) -> bytes:
    """So many bytes, none for NULL."""
    return ctypes.string_at(address, length) if address and length else b""


def optional_text(raw: bytes | None) -> str | None:
    """A string, None for NULL."""
    return None if raw is None else raw.decode("latin-1")


def descriptor_of(handle: int | None) -> int:
    """What a HANDLE of a file is here. Raises ServerFunctionError (6)."""
    value = ctypes.c_int64(handle or 0).value
    if value < 0 or value > 0x7FFFFFFF:
        raise ServerFunctionError(Win32.INVALID_HANDLE, "not a descriptor")
    return value
