"""GetServerVariable as ISAPI defines it: names, their forms, and bytes.

`HTTP_NAME` and `HEADER_Name` are request fields, `UNICODE_NAME` is the other text form of a
variable. Fields are latin-1 as they came; paths are bytes of the file system.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ServerFunctionError

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["ScriptPaths", "as_asked", "read_name", "to_bytes"]

_PATHS = frozenset(
    {
        "APPL_PHYSICAL_PATH",
        "APP_POOL_CONFIG",
        "DOCUMENT_ROOT",
        "PATH_INFO",
        "PATH_TRANSLATED",
        "REQUEST_FILENAME",
        "SCRIPT_FILENAME",
        "SCRIPT_NAME",
        "SCRIPT_TRANSLATED",
        "URL",
    }
)


class ScriptPaths:
    """How a handler mapping divides the path: SCRIPT_NAME and PATH_INFO.

    allowPathInfo="false" (default): both are the whole path, as IIS has it for script maps.
    """

    __slots__ = ("path_info", "path_translated", "script_name", "script_path")

    def __init__(self, context: HttpContext) -> None:
        path, at = context.path, context.path_info_at
        script_map = context.script_map
        if script_map is not None and script_map.allow_path_info and at >= 0:
            self.script_name, self.path_info = path[:at], path[at:]
            self.script_path = context.map_path(self.script_name)
            self.path_translated = context.map_path(self.path_info) if self.path_info else ""
        else:
            self.script_name = self.path_info = path
            self.script_path = self.path_translated = context.physical_path

    def named(self, name: str) -> str | None:
        """The variables that the division decides."""
        match name:
            case "SCRIPT_NAME":
                return self.script_name
            case "PATH_INFO":
                return self.path_info
            case "PATH_TRANSLATED":
                return self.path_translated
            case "SCRIPT_TRANSLATED" | "SCRIPT_FILENAME":
                return self.script_path
            case _:
                return None


def read_name(context: HttpContext, paths: ScriptPaths, name: str) -> str:
    """The value of a variable, "" for one without. Raises ServerFunctionError (1413) if unknown."""
    bare = name.removeprefix("UNICODE_")
    if (
        name.startswith("UNICODE_")
        and bare.startswith(("HTTP_", "HEADER_"))
        and (bare not in ("HTTP_URL", "HTTP_METHOD", "HTTP_VERSION"))
    ):
        raise _unknown(name)
    value = paths.named(bare)
    if value is None:
        value = context.get_server_variable(bare)
    if value is None:
        raise _unknown(name)
    return value


def to_bytes(name: str, value: str) -> bytes:
    """A value as the bytes that an extension gets."""
    if name in _PATHS:
        return os.fsencode(value)
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape")


def to_text(name: str, value: str) -> str:
    """A value as text: bytes of the client's that are UTF-8 are read as that."""
    if name in _PATHS:
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def as_asked(name: str, value: str) -> str | bytes:
    """A value in the form that its name asks for: text for UNICODE_, else bytes."""
    if name.startswith("UNICODE_"):
        return to_text(name.removeprefix("UNICODE_"), value)
    return to_bytes(name, value)


def _unknown(name: str) -> ServerFunctionError:
    return ServerFunctionError(Win32.INVALID_INDEX, f"no server variable {name[:64]!r}")
