"""Asks the manager: one JSON line to run/control.sock, one JSON line back."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, cast

from was.cli.home import is_home, no_home_at
from was.cli.processes import live_processes
from was.errors import AdminError, HomeError

if TYPE_CHECKING:
    from was.ipc.endpoints import Home

__all__ = ["NoManagerError", "ask", "ask_rows"]

ANSWER_TIMEOUT_S = 10.0
SOCKET_PATH_LIMIT = 107


class NoManagerError(HomeError):
    """Nobody answers at the home's control socket: stopped, managerless, or stuck."""


def ask(
    home: Home,
    command: str,
    *,
    timeout_s: float | None = ANSWER_TIMEOUT_S,
    **arguments: object,
) -> object:
    """The `result` of one command.

    Raises AdminError when the manager refuses (one line an error), NoManagerError when nobody
    answers within `timeout_s` (None: however long it takes).
    """
    line = json.dumps({"command": command, **arguments}) + "\n"
    try:
        answer = _exchange(home, line.encode(), timeout_s)
    except TimeoutError:
        raise NoManagerError(
            f"the manager of {home.path} did not answer within {timeout_s} s"
        ) from None
    except PermissionError:
        raise HomeError(f"no permission to administer {home.path}") from None
    except (FileNotFoundError, ConnectionError):
        raise NoManagerError(_why_nobody_answers(home)) from None
    return _unpack(answer)


def _why_nobody_answers(home: Home) -> str:
    left = live_processes(home)
    for process in left:
        process.close()
    if not left:
        return f"{home.path} is not running" if is_home(home) else no_home_at(home)
    return f"{home.path} has no manager, and serves on without: `was start` brings one"


def ask_rows(home: Home, kind: str) -> list[dict[str, object]]:
    """All objects of a kind, one row each."""
    result = ask(home, "list", object=kind)
    if not isinstance(result, list):
        raise AdminError("the manager's answer is no list")
    return cast("list[dict[str, object]]", result)


def _exchange(home: Home, line: bytes, timeout_s: float | None) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(timeout_s)
        _connect(peer, os.path.realpath(home.admin_socket))
        peer.sendall(line)
        received = bytearray()
        while not received.endswith(b"\n"):
            part = peer.recv(65536)
            if not part:
                break
            received += part
    if not received:
        raise ConnectionResetError
    return bytes(received)


def _connect(peer: socket.socket, path: str) -> None:
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        peer.connect(path)
        return
    folder = os.open(os.path.dirname(path), os.O_PATH)
    try:
        peer.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)


def _unpack(answer: bytes) -> object:
    try:
        parsed: object = json.loads(answer)
    except ValueError:
        raise AdminError("the manager's answer is no JSON line") from None
    if not isinstance(parsed, dict):
        raise AdminError("the manager's answer is no JSON object")
    fields = cast("dict[str, object]", parsed)
    if fields.get("ok") is True:
        return fields.get("result")
    errors = fields.get("errors")
    if isinstance(errors, list) and errors:
        raise AdminError("\n".join(str(e) for e in cast("list[object]", errors)))
    raise AdminError(str(fields.get("error") or "the manager refused, without a reason"))
