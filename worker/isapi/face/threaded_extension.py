"""isapi.threaded_extension: an extension that answers on threads of its own.

HttpExtensionProc puts the control block in a queue and returns HSE_STATUS_PENDING; a thread of the
pool takes it and calls `Dispatch`, which you override. It ends the request by DoneWithSession.
"""

from __future__ import annotations

import html
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from was.worker.isapi.face import isapicon
from was.worker.isapi.face.simple import SimpleExtension
from was.worker.isapi.neighbours import pywintypes, win32event, win32file, win32security

__all__ = ["ISAPI_REQUEST", "ISAPI_SHUTDOWN", "ThreadPoolExtension", "WorkerThread"]

# Keys of what is posted to the completion port.
ISAPI_REQUEST = 1
ISAPI_SHUTDOWN = 2


class WorkerThread(threading.Thread):
    """Takes requests from the port until it is told to end."""

    def __init__(self, extension: ThreadPoolExtension, io_req_port: int) -> None:
        self.running = False
        self.io_req_port = io_req_port
        self.extension = extension
        super().__init__(name="isapi-pool", daemon=True)

    def run(self) -> None:
        """Until ISAPI_SHUTDOWN."""
        self.running = True
        while self.running:
            errno, count, key, overlapped = win32file.GetQueuedCompletionStatus(
                self.io_req_port, win32event.INFINITE
            )
            if key == ISAPI_SHUTDOWN and overlapped is None:
                break
            dispatcher = self.extension.dispatch_map.get(key)
            if dispatcher is None:
                raise RuntimeError(f"nothing handles the completion key {key}")
            dispatcher(errno, count, key, overlapped)

    def call_handler(self, cblock: Any) -> None:
        """Have the extension answer."""
        self.extension.Dispatch(cblock)


class ThreadPoolExtension(SimpleExtension):
    """Override Dispatch."""

    max_workers = 20
    worker_shutdown_wait = 15000  # milliseconds
    io_req_port: int

    def __init__(self) -> None:
        self.workers: list[WorkerThread] = []
        # What is called for a completion key. An extension may add keys of its own, and post them
        # to io_req_port.
        self.dispatch_map: dict[int, Callable[[int, int, int, Any], None]] = {
            ISAPI_REQUEST: self.DispatchConnection
        }

    def GetExtensionVersion(self, vi: Any) -> None:
        """Start the threads."""
        super().GetExtensionVersion(vi)
        self.io_req_port = win32file.CreateIoCompletionPort(
            win32file.INVALID_HANDLE_VALUE, None, 0, 0
        )
        self.workers = []
        for _ in range(self.max_workers):
            worker = WorkerThread(self, self.io_req_port)
            worker.start()
            self.workers.append(worker)

    def HttpExtensionProc(self, control_block: Any) -> int:
        """Queue the request."""
        overlapped = pywintypes.OVERLAPPED()
        overlapped.object = control_block
        win32file.PostQueuedCompletionStatus(self.io_req_port, 0, ISAPI_REQUEST, overlapped)
        return isapicon.HSE_STATUS_PENDING

    def TerminateExtension(self, status: int) -> None:
        """Tell the threads to end, and wait for them at most worker_shutdown_wait."""
        for worker in self.workers:
            worker.running = False
        for _ in self.workers:
            win32file.PostQueuedCompletionStatus(self.io_req_port, 0, ISAPI_SHUTDOWN, None)
        deadline = time.monotonic() + self.worker_shutdown_wait / 1000
        for worker in self.workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        self.dispatch_map = {}
        win32file.CloseHandle(self.io_req_port)

    def DispatchConnection(self, errCode: int, bytes: int, key: int, overlapped: Any) -> None:  # noqa: A002 the name callers use
        """One request, on a thread of the pool: as its user, with its errors shown."""
        del errCode, bytes, key
        control_block = overlapped.object
        overlapped.object = None  # the block and what it holds must not live longer than this
        try:
            token = control_block.GetImpersonationToken()
            win32security.SetThreadToken(None, token)
            try:
                self.Dispatch(control_block)
            finally:
                win32security.SetThreadToken(None, None)
        except BaseException:  # noqa: BLE001 a thread of the pool lives on
            self.HandleDispatchError(control_block)

    def Dispatch(self, ecb: Any) -> None:
        """Answer one request, and end it by DoneWithSession."""
        raise NotImplementedError("the extension must implement Dispatch")

    def HandleDispatchError(self, ecb: Any) -> None:
        """Dispatch raised: the traceback goes to the log and, if it still can, to the client."""
        text = traceback.format_exc()
        print(text, file=sys.stderr)
        try:
            ecb.SendResponseHeaders(
                "500 Internal Server Error", "Content-Type: text/html\r\n\r\n", False
            )
            print("<H2>An error occurred</H2>", file=ecb)
            if ecb.GetServerVariable("REMOTE_ADDR") == ecb.GetServerVariable("LOCAL_ADDR"):
                print(f"<pre>{html.escape(text)}</pre>", file=ecb)
            ecb.HttpStatusCode = 500
        except Exception:  # noqa: BLE001 it had answered already
            traceback.print_exc()
        try:
            ecb.DoneWithSession(isapicon.HSE_STATUS_ERROR)
        except RuntimeError:
            return  # it had ended already
