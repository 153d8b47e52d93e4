"""EXTENSION_CONTROL_BLOCK as extensions in Python see it: the names and types of pywin32's.

Attributes are bytes. After DoneWithSession every call raises RuntimeError. Our code runs unmarked
(see application_calls): a request past its time limit is interrupted in the extension's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from was.worker.isapi.constants import IoFlag, Status, Win32
from was.worker.isapi.errors import ServerFunctionError, invalid
from was.worker.isapi.face import ExtensionError
from was.worker.isapi.reply import FilePart, Part, Reply, check_vector
from was.worker.isapi.server_names import as_asked, to_bytes
from was.worker.isapi.session import UNKNOWN_LENGTH, Session
from was.worker.isapi.site_paths import url_text
from was.worker.isapi.tokens import token_of
from was.worker.threads.application_calls import outside

if TYPE_CHECKING:
    from was.worker.isapi.session import Completion

__all__ = ["VERSION", "ControlBlock"]

P = ParamSpec("P")
T = TypeVar("T")

VERSION = 0x00080000  # 8.0: high word major
LOG_BYTES = 80

Callback = Callable[[Any, Any, int, int], object]
# Of a vector: memory, or a region of an open file.
Element = bytes | bytearray | memoryview | str | tuple[int, int, int]


def _bytes(data: object) -> bytes:
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytes):
        return data
    if data is None:
        return b""
    return bytes(memoryview(data))  # type: ignore[arg-type]


def _part(element: Element) -> Part:
    if not isinstance(element, tuple):
        return _bytes(element)
    file, offset, size = element
    return FilePart(int(file), int(offset), int(size))


def _text(value: str | bytes | None) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value or ""


def _url(value: str | bytes) -> str:
    return url_text(value) if isinstance(value, bytes) else value


class ControlBlock:
    """The `ecb` of one request."""

    softspace = 1

    def __init__(self, session: Session, number: int) -> None:
        self._session = session
        self._completion: tuple[Callback, object] | None = None
        self.ConnID = number
        self.Version = VERSION
        self.TotalBytes = session.total_bytes
        self.AvailableBytes = len(session.preload)
        self.AvailableData = session.preload
        context, paths = session.context, session.paths
        self.Method = to_bytes("REQUEST_METHOD", context.method)
        self.QueryString = to_bytes("QUERY_STRING", context.query)
        self.PathInfo = to_bytes("PATH_INFO", paths.path_info)
        self.PathTranslated = to_bytes("PATH_TRANSLATED", paths.path_translated)
        self.ContentType = to_bytes("CONTENT_TYPE", session.variable("CONTENT_TYPE"))

    def _call(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ours in the extension's name; its failure is the extension's kind of error."""
        self._insist_on_session()
        try:
            return outside(self._session.proof, function, *args, **kwargs)
        except ServerFunctionError as error:
            raise ExtensionError(error.number, str(error), name) from None

    def _insist_on_session(self) -> None:
        if self._session.is_over:
            raise RuntimeError("the session is over: DoneWithSession was called")

    # ── attributes ──────────────────────────────────────────────────────────────────────────────

    @property
    def HttpStatusCode(self) -> int:
        """dwHttpStatusCode: for the log, where no headers were sent."""
        return self._session.log_status or 200

    @HttpStatusCode.setter
    def HttpStatusCode(self, value: int) -> None:
        self._session.log_status = int(value)

    @property
    def LogData(self) -> bytes:
        """Write only."""
        raise AttributeError("LogData can only be set")

    @LogData.setter
    def LogData(self, value: str | bytes) -> None:
        self._call("LogData", self._session.append_log, _text(value)[:LOG_BYTES])

    # ── reading ─────────────────────────────────────────────────────────────────────────────────

    def GetServerVariable(self, name: str, *default: object) -> object:
        """The value as bytes, as str for UNICODE_ names; `default` where the name is unknown."""
        try:
            value = self._call("GetServerVariable", self._session.variable, name)
        except ExtensionError:
            if default:
                return default[0]
            raise
        return as_asked(name, value)

    def ReadClient(self, nbytes: int | None = None) -> bytes:
        """Body bytes after AvailableData: so many, or to the end; fewer only at the end."""
        session = self._session
        left = UNKNOWN_LENGTH if nbytes is None else int(nbytes)
        if nbytes is None and session.total_bytes != UNKNOWN_LENGTH:
            left = session.total_bytes - len(session.preload)
        parts: list[bytes] = []
        while left > 0:
            data = self._call("ReadClient", session.read, left)
            if not data:
                break
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    # ── writing ─────────────────────────────────────────────────────────────────────────────────

    def WriteClient(self, data: object, reserved: int = 0) -> int:
        """Send body bytes (str as UTF-8); with HSE_IO_ASYNC the callback says when they went."""
        raw = _bytes(data)
        parts: list[Part] = [raw]
        if reserved & IoFlag.ASYNC:
            self._later("WriteClient", lambda reply: reply.write(parts, flush=True))
            return len(raw)
        written: int = self._call(
            "WriteClient", self._session.do_now, lambda reply: reply.write(parts)
        )
        return written

    def write(self, data: object, reserved: int = 0) -> int:
        """WriteClient, so that `print(…, file=ecb)` works."""
        return self.WriteClient(data, reserved)

    def flush(self) -> None:
        """Nothing: what is written is the server's already."""

    def SendResponseHeaders(
        self, status: str | bytes, headers: str | bytes = "", keep_alive: bool = False
    ) -> None:
        """Status and fields, once. Keep-alive depends on what the client can see of the end."""
        del keep_alive
        self._call(
            "SendResponseHeaders",
            self._session.do_now,
            lambda reply: reply.send_headers(_text(status), _text(headers)),
        )

    def SetFlushFlag(self, flag: bool) -> None:
        """Whether each write leaves at once."""

        def set_flag(reply: Reply) -> None:
            reply.flushes = bool(flag)

        self._call("SetFlushFlag", self._session.do_now, set_flag)

    def TransmitFile(
        self,
        callback: Callback,
        param: object,
        hFile: object,
        statusCode: str | bytes | None,
        BytesToWrite: int,
        Offset: int,
        head: str | bytes | None,
        tail: str | bytes | None,
        flags: int,
    ) -> None:
        """Send head, a file's region (`hFile`: a descriptor) and tail; then the callback."""
        file = FilePart(int(hFile), Offset, BytesToWrite) if hFile else None  # type: ignore[call-overload]
        has_headers = bool(flags & IoFlag.SEND_HEADERS)
        parts: list[Part] = [] if has_headers else [_bytes(head)]
        parts += [_bytes(tail)] if file is None else [file, _bytes(tail)]
        headers = _text(head) if has_headers else None

        def work(reply: Reply) -> int:
            return reply.send(flags, _text(statusCode), headers, parts)

        self._call("TransmitFile", self._check_file, file, flags)
        self._call(
            "TransmitFile", self._session.do_later, work, self._completion_of(callback, param)
        )

    def VectorSend(
        self,
        elements: Sequence[Element],
        statusCode: str | bytes | None = None,
        headers: str | bytes | None = None,
        flags: int = IoFlag.SYNC,
    ) -> None:
        """HSE_REQ_VECTOR_SEND: memory, or regions of files as (hFile, offset, size), in this order.

        With HSE_IO_ASYNC the callback of IOCompletion says when they went. Ours: pywin32 has none.
        """
        parts = [_part(element) for element in elements]
        texts = _text(statusCode), None if headers is None else _text(headers)
        self._call("VectorSend", check_vector, flags, statusCode is not None, headers is not None)

        def work(reply: Reply) -> int:
            return reply.send(flags, *texts, parts)

        if flags & IoFlag.ASYNC:
            self._later("VectorSend", work)
        else:
            self._call("VectorSend", self._session.do_now, work)

    def _check_file(self, file: FilePart | None, flags: int) -> None:
        if not flags & IoFlag.ASYNC:
            raise invalid("HSE_IO_ASYNC is missing in flags")
        if file is not None and file.fd < 0:
            raise ServerFunctionError(Win32.INVALID_HANDLE, "not a file")

    def Redirect(self, url: str | bytes) -> None:
        """302 to another URL."""
        self._call("Redirect", self._session.do_now, lambda reply: reply.redirect(_text(url)))

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def DoneWithSession(self, status: int = Status.SUCCESS) -> None:
        """The request is over; nothing of this object may be used after it."""
        self._call("DoneWithSession", self._session.done, int(status))

    def close(self, status: int = Status.SUCCESS) -> None:
        """DoneWithSession."""
        self.DoneWithSession(status)

    # ── the rest ────────────────────────────────────────────────────────────────────────────────

    def MapURLToPath(self, url: str | bytes) -> bytes:
        """The file that a URL of the site stands for."""
        path = self._call("MapURLToPath", self._session.map_path, _url(url))
        return to_bytes("PATH_TRANSLATED", path)

    def IsKeepAlive(self) -> int:
        """1 if the client's Connection field says keep-alive."""
        value = self._call("IsKeepAlive", self._session.context.request.get_header, "Connection")
        return int((value or "").strip().lower() == "keep-alive")

    def IsKeepConn(self) -> bool:
        """Whether the connection may be kept."""
        return self._call("IsKeepConn", self._session.keeps_connection)

    def IsSessionActive(self) -> bool:
        """Whether the client is still there."""
        return self._call("IsSessionActive", self._session.is_connected)

    def GetImpersonationToken(self) -> int:
        """A number for the user of the request."""
        return self._call("GetImpersonationToken", token_of, self._session.context.user)

    def GetAnonymousToken(self, path: str | bytes) -> int:
        """A number for the anonymous user, who is the same at every path."""
        del path
        return self._call("GetAnonymousToken", token_of, None)

    def IOCompletion(self, func: Callback, arg: object = None) -> int:
        """What is called when an asynchronous operation has ended: (ecb, arg, bytes, error)."""
        self._completion = (func, arg)
        return 1

    # A sample that comes with pywin32 calls it by this name.
    ReqIOCompletion = IOCompletion

    def _completion_of(self, function: Callback, argument: object) -> Completion:
        def complete(count: int, error: int) -> None:
            function(self, argument, count, error)

        return complete

    def _later(self, name: str, work: Callable[[Reply], int]) -> None:
        self._call(name, self._session.do_later, work, self._registered())

    def _registered(self) -> Completion:
        self._insist_on_session()
        if self._completion is None:
            raise ExtensionError(
                Win32.INVALID_PARAMETER, "IOCompletion comes first", "IOCompletion"
            )
        return self._completion_of(*self._completion)

    def ExecURL(
        self,
        url: str | bytes | None,
        method: str | bytes | None,
        clientHeaders: str | bytes | None,
        info: object,
        entity: object,
        flags: int,
    ) -> None:
        """Have another URL, or this one by the next handler, answer; then the callback."""
        if info is not None or entity is not None:
            raise TypeError("info and entity must be None")
        from was.worker.isapi.child_urls import execute_url  # not every extension has children

        completion = self._registered()
        self._call(
            "ExecURL",
            execute_url,
            self._session,
            completion,
            None if url is None else _url(url),
            None if method is None else _text(method),
            None if clientHeaders is None else _text(clientHeaders),
            flags,
        )

    def GetExecURLStatus(self) -> tuple[int, int, int]:
        """Status, sub-status and Win32 error of the last ExecURL."""

        def read() -> tuple[int, int, int]:
            child = self._session.child
            if child.status == 0:
                raise invalid("no ExecURL has ended")
            return child.status, child.sub_status, child.win32

        return self._call("GetExecURLStatus", read)

    def ReportUnhealthy(self, reason: str | bytes | None = None) -> None:
        """Have the worker replaced."""
        self._call("ReportUnhealthy", self._session.report_unhealthy, _text(reason))
