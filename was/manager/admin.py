"""The socket that the command line talks to: one line of JSON each way.

Each connection carries one request. A client that hangs up before its answer harms nobody; lines
are bounded; who may connect is decided by the socket's mode (0600).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from typing import Any, cast

from was.ipc.endpoints import SOCKET_PATH_LIMIT, Home, SocketFolder
from was.log import log
from was.manager.inbox import AdminAsked, Inbox

__all__ = ["AdminServer"]

LINE_LIMIT = 64 * 1024
READ_LIMIT_S = 30.0


class AdminServer:
    """Reads requests, puts them into the inbox, writes the answers."""

    def __init__(self, home: Home, folder: SocketFolder, inbox: Inbox) -> None:
        self._link = home.admin_socket
        self._path = str(self._link)
        if len(os.fsencode(self._path)) > SOCKET_PATH_LIMIT:
            self._path = str(folder.path / "admin")
        self._inbox = inbox
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen; replaces a stale socket."""
        for path in (self._path, self._link):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._connected, self._path, limit=LINE_LIMIT
            )
        finally:
            os.umask(before)
        if self._path != str(self._link):
            os.symlink(self._path, self._link)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            answer = await self._answer(reader)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> dict[str, Any]:
        try:
            line = await asyncio.wait_for(reader.readline(), READ_LIMIT_S)
            request: object = json.loads(line)
        except ValueError as error:  # also: a line over the limit
            log("admin_error", error=str(error))
            return {"ok": False, "error": "the request is not a line of JSON", "kind": "usage"}
        if not isinstance(request, dict):
            return {"ok": False, "error": "the request is not an object", "kind": "usage"}
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait(AdminAsked(cast("dict[str, Any]", request), future))
        return await future

    async def close(self) -> None:
        """Stop listening; whoever still waits is told that the server has stopped."""
        if self._server is not None:
            self._server.close()
            for path in (self._path, self._link):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        for task in self._clients:
            task.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=1.0)
