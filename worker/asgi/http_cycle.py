"""The messages of one HTTP request of ASGI 3, as a state machine. Pure.

    EXPECT_START ─start─▶ EXPECT_BODY ─body(more)─▶ EXPECT_BODY
                               │ body, pathsend
                               ├──────────▶ COMPLETE
                               └─(trailers promised)─▶ EXPECT_TRAILERS ─trailers─▶ COMPLETE

`take` reads a message that the application sends: a message that has no place in the table, or that
is ill-formed, raises LocalProtocolError into the application's `await send(...)`, and the state
stays as it was. What is to be done is what `take` returns, with the details in attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

import msgspec

from was.errors import LocalProtocolError
from was.worker.asgi.fields import EncodedFields, encode
from was.worker.fields import bounded

__all__ = ["BODY", "FILE", "HELD", "HINT", "TABLE", "TRAILERS", "HttpCycle", "State"]


class State(IntEnum):
    """What an application has said so far."""

    EXPECT_START = 1
    EXPECT_BODY = 2
    EXPECT_TRAILERS = 3
    COMPLETE = 4


# Looking a member up on its class is slow where it is done for every request.
_EXPECT_START = State.EXPECT_START
_EXPECT_BODY = State.EXPECT_BODY
_EXPECT_TRAILERS = State.EXPECT_TRAILERS
_COMPLETE = State.COMPLETE

# What is to be done about a message.
HELD: Final = 0  # the start waits for the first of the body
BODY: Final = 1
FILE: Final = 2
TRAILERS: Final = 3
HINT: Final = 4

_START = "http.response.start"
_BODY = "http.response.body"
_PATHSEND = "http.response.pathsend"
_TRAILERS = "http.response.trailers"
_HINT = "http.response.early_hint"

# Who is not in here is refused. The state after it depends on the message's own `more_…`.
TABLE: dict[tuple[State, str], int] = {
    (State.EXPECT_START, _START): HELD,
    (State.EXPECT_START, _HINT): HINT,
    (State.EXPECT_BODY, _HINT): HINT,
    (State.EXPECT_BODY, _BODY): BODY,
    (State.EXPECT_BODY, _PATHSEND): FILE,
    (State.EXPECT_TRAILERS, _TRAILERS): TRAILERS,
}
# The same by state.
_ROWS = {
    state: {kind: action for (own, kind), action in TABLE.items() if own is state}
    for state in State
}


class HttpCycle(msgspec.Struct, eq=False):
    """One request's side of the application. A Struct: made for every request, and so in C."""

    state: State = _EXPECT_START
    status: int = 0
    _fields: EncodedFields | None = None
    has_length: bool = False
    data: bytes = b""  # of the last body message
    more: bool = False  # whether the body goes on after it
    path: str = ""  # of a pathsend
    trailers: bytes = b""
    missing: int = 0  # bytes of a promised Content-Length that have not come
    _wants_trailers: bool = False

    @property
    def fields(self) -> EncodedFields:
        """Those of the start, once it has come."""
        assert self._fields is not None
        return self._fields

    def take(self, message: Mapping[str, Any]) -> int:
        """Read one message: what is to be done now. Raises LocalProtocolError."""
        try:
            action = _ROWS[self.state].get(message["type"])
        except (TypeError, KeyError):
            raise LocalProtocolError(f"a message must be a dict with a type: {message!r}") from None
        if action == BODY:
            data = message.get("body", b"")
            if type(data) is not bytes:
                data = _bytes_of(data)
            if self.has_length:
                missing = self.missing - len(data)
                if missing < 0:
                    raise LocalProtocolError("more body than Content-Length promised")
                self.missing = missing
            self.data = data
            if message.get("more_body"):
                self.more = True
            else:
                self.more = False
                self.state = _EXPECT_TRAILERS if self._wants_trailers else _COMPLETE
        elif action == HELD:
            self._take_start(message)
        elif action == FILE:
            self._take_path(message)
        elif action == TRAILERS:
            self._take_trailers(message)
        elif action == HINT:
            self.data = _links(message)
        else:
            raise LocalProtocolError(f"{message['type']!r} was sent in state {self.state.name}")
        return action

    def take_back(self) -> None:
        """The last of the body cannot be sent: it is as if it had not been said."""
        if self.has_length:
            self.missing += len(self.data)
        self.state = _EXPECT_BODY

    def _take_start(self, message: Mapping[str, Any]) -> None:
        status = message.get("status")
        if type(status) is not int or not 200 <= status <= 599:
            if not isinstance(status, int) or not 200 <= int(status) <= 599:
                raise LocalProtocolError(f"not a status of a response: {status!r}")
            status = int(status)  # http.HTTPStatus
        fields = self._fields = encode(message.get("headers") or ())
        self.status = status
        length = fields.content_length
        if length >= 0:
            self.has_length = True
            self.missing = length
        if message.get("trailers"):
            self._wants_trailers = True
        self.state = _EXPECT_BODY

    def _take_path(self, message: Mapping[str, Any]) -> None:
        path = message.get("path")
        if not isinstance(path, str) or not path.startswith("/"):
            raise LocalProtocolError(f"pathsend wants an absolute path, not {path!r}")
        self.path = path
        self.data = b""
        self.more = False
        self.state = _EXPECT_TRAILERS if self._wants_trailers else _COMPLETE

    def _take_trailers(self, message: Mapping[str, Any]) -> None:
        self.trailers = bounded(self.trailers + encode(message.get("headers") or ()).block)
        if not message.get("more_trailers", False):
            self.state = State.COMPLETE


def _bytes_of(data: object) -> bytes:
    if isinstance(data, memoryview):
        return data.tobytes()
    if not isinstance(data, bytes | bytearray):
        raise LocalProtocolError(f"body must be bytes, not {type(data).__name__}")
    return bytes(data)


def _links(message: Mapping[str, Any]) -> bytes:
    try:
        links = [(b"Link", bytes(link)) for link in message.get("links", ())]
    except TypeError:
        raise LocalProtocolError("links must be an iterable of bytes") from None
    return bounded(encode(links).block)
