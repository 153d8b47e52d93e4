"""A filter in Python: pywin32's `fc` and `fv`, and the object that __FilterFactory__ makes."""

from __future__ import annotations

from typing import Any

from was.log import log
from was.worker.isapi import filter_data as data
from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import ServerFunctionError
from was.worker.isapi.face import FilterError, InternalReloadException
from was.worker.isapi.filter_flags import FilterStatus, Notify
from was.worker.isapi.filter_session import Connection, FilterSession
from was.worker.isapi.neighbours import win32api
from was.worker.isapi.note import CallNote
from was.worker.isapi.python_image import EntryPoints, PythonImage
from was.worker.isapi.server_names import as_asked
from was.worker.threads.application_calls import outside

__all__ = ["REVISION", "PythonFilter"]

REVISION = 0x00070000
ENTRY_POINTS = EntryPoints("__FilterFactory__", "GetFilterVersion", "TerminateFilter", 0)


def _latin(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class FilterVersion:
    """`fv`."""

    def __init__(self) -> None:
        self.ServerFilterVersion = REVISION
        self.FilterVersion = REVISION
        self.Flags = 0
        self.FilterDesc: str | bytes = b""


def _ask(name: str, session: FilterSession | None, function: Any, *arguments: object) -> Any:
    """Call ours in the filter's name: unmarked, and failing as FilterError.

    At the connection's end there is no session, and nothing may be asked.
    """
    if session is None:
        raise FilterError(Win32.INVALID_PARAMETER, "the connection has ended", name)
    try:
        return outside(session.context.proof, function, session, *arguments)
    except ServerFunctionError as error:
        raise FilterError(error.number, str(error), name) from None


class HeaderFunctions:
    """HTTP_FILTER_PREPROC_HEADERS, and what has its form."""

    def __init__(self, session: FilterSession, headers: data.Headers) -> None:
        self._session = session
        self._headers = headers
        self.HttpStatus = headers.status

    def _call(self, name: str, function: Any, *arguments: str) -> Any:
        def on_headers(_: FilterSession) -> Any:
            return function(*arguments)

        return _ask(name, self._session, on_headers)

    def GetHeader(self, name: str | bytes, *default: object) -> object:
        """The value as bytes; `default` where there is none."""
        try:
            return self._call("GetHeader", self._headers.get, _latin(name)).encode("latin-1")
        except FilterError:
            if default:
                return default[0]
            raise

    def SetHeader(self, name: str | bytes, value: str | bytes) -> None:
        """Set a field; empty removes it."""
        self._call("SetHeader", self._headers.set, _latin(name), _latin(value))

    def AddHeader(self, name: str | bytes, value: str | bytes) -> None:
        """Add a field."""
        self._call("AddHeader", self._headers.add, _latin(name), _latin(value))


class _Bytes:
    """An attribute of ours, a str, as the bytes a filter reads and sets: UTF-8."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type | None = None) -> bytes:
        value: str = getattr(owner.data, self._name)
        return value.encode("utf-8", "surrogateescape")

    def __set__(self, owner: Any, value: str | bytes) -> None:
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        setattr(owner.data, self._name, value)


class _Number:
    """A number of ours."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type | None = None) -> int:
        return int(getattr(owner.data, self._name))

    def __set__(self, owner: Any, value: int) -> None:
        setattr(owner.data, self._name, int(value))


class _Shown:
    def __init__(self, shown: Any) -> None:
        self.data = shown


class UrlMapData(_Shown):
    """HTTP_FILTER_URL_MAP: PhysicalPath can be set."""

    URL = _Bytes("url")
    PhysicalPath = _Bytes("path")


class AuthentData(_Shown):
    """HTTP_FILTER_AUTHENT: both can be set."""

    User = _Bytes("user")
    Password = _Bytes("password")


class DeniedData(_Shown):
    """HTTP_FILTER_ACCESS_DENIED."""

    URL = _Bytes("url")
    PhysicalPath = _Bytes("path")
    Reason = _Number("reason")


class LogData(_Shown):
    """HTTP_FILTER_LOG: what is set is what is logged."""

    ClientHostName = _Bytes("client")
    ClientUserName = _Bytes("user")
    ServerName = _Bytes("server")
    Operation = _Bytes("operation")
    Target = _Bytes("target")
    Parameters = _Bytes("parameters")
    HttpStatus = _Number("status")
    Win32Status = _Number("win32")


class RawDataBlock:
    """HTTP_FILTER_RAW_DATA: InData can be set."""

    def __init__(self, shown: data.RawData) -> None:
        self._shown = shown

    @property
    def InData(self) -> bytes:
        """The block."""
        return self._shown.data

    @InData.setter
    def InData(self, value: str | bytes) -> None:
        self._shown.data = value.encode() if isinstance(value, str) else bytes(value)


_KINDS: dict[type, type[_Shown]] = {
    data.UrlMap: UrlMapData,
    data.Authentication: AuthentData,
    data.AccessDenied: DeniedData,
    data.LogFields: LogData,
}


class FilterContext:
    """`fc`: one event of one request, or the end of a connection."""

    Revision = REVISION

    def __init__(
        self,
        connection: Connection,
        owner: PythonFilter,
        event: int,
        session: FilterSession | None = None,
        shown: object = None,
    ) -> None:
        self._connection = connection
        self._owner = owner
        self._session = session
        self._shown = shown
        self.NotificationType = int(event)
        self.fIsSecurePort = connection.secure

    @property
    def FilterContext(self) -> Any:
        """Any object; kept for the connection."""
        return self._connection.contexts.get(self._owner)

    @FilterContext.setter
    def FilterContext(self, value: Any) -> None:
        self._connection.contexts[self._owner] = value

    def GetData(self) -> Any:
        """What the event shows; None where that is nothing."""
        shown, session = self._shown, self._session
        if isinstance(shown, data.Headers) and session is not None:
            return HeaderFunctions(session, shown)
        if isinstance(shown, data.RawData):
            return RawDataBlock(shown)
        kind = _KINDS.get(type(shown))
        return None if kind is None else kind(shown)

    def GetServerVariable(self, name: str, *default: object) -> object:
        """The value as bytes, as str for UNICODE_ names; `default` where the name is unknown."""
        try:
            value = _ask("GetServerVariable", self._session, FilterSession.variable, name)
        except FilterError:
            if default:
                return default[0]
            raise
        return as_asked(name, value)

    def WriteClient(self, content: str | bytes, reserved: int = 0) -> None:
        """Send bytes to the client."""
        del reserved
        raw = content.encode() if isinstance(content, str) else bytes(content)
        _ask("WriteClient", self._session, FilterSession.write_client, raw)

    def write(self, content: str | bytes) -> None:
        """WriteClient."""
        self.WriteClient(content)

    def AddResponseHeaders(self, content: str | bytes, reserved: int = 0) -> None:
        """Fields for whatever the response will be."""
        del reserved
        _ask("AddResponseHeaders", self._session, FilterSession.add_headers, _latin(content))

    def SendResponseHeader(self, status: str | bytes, header: str | bytes) -> None:
        """Begin an answer of the filter's own; return SF_STATUS_REQ_FINISHED after it."""
        send = FilterSession.send_headers
        _ask("SendResponseHeader", self._session, send, _latin(status), _latin(header))

    def AddHeadersOnDenial(self, content: str | bytes) -> None:
        """Fields for the response should it be a 401. Ours: pywin32 has no name for it."""
        add = FilterSession.add_denial_headers
        _ask("AddHeadersOnDenial", self._session, add, _latin(content))

    def DisableNotifications(self, flags: int) -> None:
        """This filter hears no more of these events of this request."""
        _ask("DisableNotifications", self._session, FilterSession.disable, int(flags))


class PythonFilter:
    """One module with a __FilterFactory__."""

    def __init__(self, path: str) -> None:
        """Import it and ask its version. Raises ImageError."""
        self.path = path
        self.note = CallNote("HttpFilterProc", path)
        version = FilterVersion()
        self._image = PythonImage(path, ENTRY_POINTS, version)
        self.flags: int = int(version.Flags)
        log("isapi_loaded", library=path, description=_latin(version.FilterDesc))

    def notify(self, session: FilterSession, event: int, shown: object) -> int:
        """HttpFilterProc; None is "go on"."""
        connection = session.connection
        # Whatever it has asked for: as with pywin32's loader, it hears of the connection's end.
        connection.contexts.setdefault(self, None)
        block = FilterContext(connection, self, event, session, shown)
        current = self._image.object
        win32api.SetLastError(0)
        try:
            status = current.HttpFilterProc(block)
        except InternalReloadException:
            status = self._image.reload(current).HttpFilterProc(block)
        session.last_error = win32api.GetLastError()
        if status is None:
            return FilterStatus.NEXT_NOTIFICATION
        if not isinstance(status, int):
            raise TypeError(f"HttpFilterProc returned {status!r}, which is not an SF_STATUS_")
        return status

    def end_connection(self, connection: Connection) -> None:
        """HttpFilterProc with END_OF_NET_SESSION, then its FilterContext is let go of.

        A filter that has not asked for the event may stumble over it: that is no fault of its own.
        """
        try:
            self._image.object.HttpFilterProc(
                FilterContext(connection, self, Notify.END_OF_NET_SESSION)
            )
        except Exception:
            if self.flags & Notify.END_OF_NET_SESSION:
                raise

    def terminate(self) -> None:
        """TerminateFilter."""
        self._image.object.TerminateFilter(0)
