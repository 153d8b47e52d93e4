"""The messages of one WebSocket of ASGI 3, as a state machine. Pure.

    CONNECTING ─accept─▶ OPEN ─send─▶ OPEN ─close─▶ OVER
        │ close ──────────────────────────────────▶ OVER (403)
        └ http.response.start ─▶ DENYING ─http.response.body─▶ OVER

A message that has no place raises LocalProtocolError into `await send(...)`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any, Final

from was.errors import LocalProtocolError
from was.worker.asgi.fields import EncodedFields, encode

__all__ = [
    "ACCEPT",
    "CLOSE",
    "DENY",
    "DENY_BODY",
    "REFUSE",
    "SEND",
    "TABLE",
    "SocketState",
    "WebSocketCycle",
]


class SocketState(Enum):
    """What the application has said so far."""

    CONNECTING = 1
    DENYING = 2
    OPEN = 3
    OVER = 4


ACCEPT: Final = 1
REFUSE: Final = 2
DENY: Final = 3
DENY_BODY: Final = 4
SEND: Final = 5
CLOSE: Final = 6

TABLE: dict[tuple[SocketState, str], tuple[int, SocketState]] = {
    (SocketState.CONNECTING, "websocket.accept"): (ACCEPT, SocketState.OPEN),
    (SocketState.CONNECTING, "websocket.close"): (REFUSE, SocketState.OVER),
    (SocketState.CONNECTING, "websocket.http.response.start"): (DENY, SocketState.DENYING),
    (SocketState.DENYING, "websocket.http.response.body"): (DENY_BODY, SocketState.DENYING),
    (SocketState.OPEN, "websocket.send"): (SEND, SocketState.OPEN),
    (SocketState.OPEN, "websocket.close"): (CLOSE, SocketState.OVER),
}
_OWN = ("sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-protocol")


class WebSocketCycle:
    """One WebSocket's side of the application; the client has `offered` subprotocols."""

    __slots__ = (
        "code",
        "data",
        "fields",
        "more",
        "offered",
        "reason",
        "state",
        "status",
        "subprotocol",
    )

    def __init__(self, offered: Collection[str] = ()) -> None:
        self.state = SocketState.CONNECTING
        self.offered = offered
        self.fields = EncodedFields()
        self.subprotocol = ""
        self.data: str | bytes = b""
        self.status = 0
        self.more = False
        self.code = 1000
        self.reason = ""

    def take(self, message: Mapping[str, Any]) -> int:
        """Read one message: what is to be done now. Raises LocalProtocolError."""
        try:
            kind = message["type"]
        except (TypeError, KeyError):
            raise LocalProtocolError(f"a message must be a dict with a type: {message!r}") from None
        found = TABLE.get((self.state, kind))
        if found is None:
            raise LocalProtocolError(f"{kind!r} was sent in state {self.state.name}")
        action, after = found
        if action == SEND:
            self.data = _data_of(message)
        elif action == ACCEPT:
            self._take_accept(message)
        elif action in (CLOSE, REFUSE):
            self.code = _code_of(message)
            self.reason = str(message.get("reason") or "")
        elif action == DENY:
            status = message.get("status")
            if not isinstance(status, int) or not 200 <= status <= 599:
                raise LocalProtocolError(f"not a status of a response: {status!r}")
            self.status = int(status)
            self.fields = encode(message.get("headers") or ())
        else:
            data = message.get("body", b"")
            if not isinstance(data, bytes):
                raise LocalProtocolError(f"body must be bytes, not {type(data).__name__}")
            self.data = data
            self.more = bool(message.get("more_body", False))
            if not self.more:
                after = SocketState.OVER
        self.state = after
        return action

    def _take_accept(self, message: Mapping[str, Any]) -> None:
        subprotocol = message.get("subprotocol")
        if subprotocol is not None and not isinstance(subprotocol, str):
            raise LocalProtocolError(f"subprotocol must be str, not {subprotocol!r}")
        if subprotocol and subprotocol not in self.offered:
            # RFC 6455 4.2.2 and 4.1: it is one of the client's, or the client ends the connection.
            known = ", ".join(self.offered) or "none"
            raise LocalProtocolError(f"subprotocol {subprotocol!r}: the client offers {known}")
        fields = encode(message.get("headers") or ())
        for name, _ in fields.pairs:
            if name.lower() in _OWN:
                raise LocalProtocolError(f"{name} is the server's to say")
        self.subprotocol = subprotocol or ""
        self.fields = fields


def _data_of(message: Mapping[str, Any]) -> str | bytes:
    """Exactly one of text and bytes."""
    text, data = message.get("text"), message.get("bytes")
    if (text is None) == (data is None):
        raise LocalProtocolError("websocket.send wants one of text and bytes")
    if text is not None:
        if not isinstance(text, str):
            raise LocalProtocolError(f"text must be str, not {type(text).__name__}")
        return text
    if not isinstance(data, bytes | bytearray):
        raise LocalProtocolError(f"bytes must be bytes, not {type(data).__name__}")
    return bytes(data)


def _code_of(message: Mapping[str, Any]) -> int:
    code = message.get("code", 1000)
    is_sent = isinstance(code, int) and (
        (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999
    )
    if not is_sent:
        raise LocalProtocolError(f"not a close code that can be sent: {code!r}")
    return int(code)
