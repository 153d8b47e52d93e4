"""The opening handshake (RFC 6455, 4.2): what the client wants, and the fields that grant it. Pure.

The listener has seen to it that Upgrade counts (HTTP/1.1, named by Connection); what is checked
here is the rest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

__all__ = ["VERSION", "BadHandshakeError", "Handshake", "is_upgrade", "read_handshake"]

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSION = "13"


class BadHandshakeError(Exception):
    """The client asks for a WebSocket in a way that cannot be granted: 400.11, or 426."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


class Handshake:
    """What the client has asked for."""

    __slots__ = ("accept", "extensions", "subprotocols")

    def __init__(self, accept: str, subprotocols: list[str], extensions: list[str]) -> None:
        self.accept = accept  # the value of Sec-WebSocket-Accept
        self.subprotocols = subprotocols
        self.extensions = extensions


def is_upgrade(method: str, version: int, fields: list[tuple[str, str]]) -> bool:
    """Whether a request wants to become a WebSocket."""
    if method != "GET" or version < 11:
        return False
    for name, value in fields:
        if len(name) == 7 and name.lower() == "upgrade":
            return "websocket" in _tokens(value.lower()) and "upgrade" in _tokens(
                _value(fields, "connection").lower()
            )
    return False


def read_handshake(fields: list[tuple[str, str]]) -> Handshake:
    """Check key and version. Raises BadHandshakeError."""
    if _value(fields, "sec-websocket-version").strip() != VERSION:
        raise BadHandshakeError("Sec-WebSocket-Version is not 13", 426)
    key = _value(fields, "sec-websocket-key").strip()
    try:
        is_key = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        is_key = False
    if not is_key:
        raise BadHandshakeError("Sec-WebSocket-Key is not 16 bytes in base64")
    digest = hashlib.sha1((key + _GUID).encode("ascii"), usedforsecurity=False).digest()
    return Handshake(
        base64.b64encode(digest).decode("ascii"),
        _tokens(_value(fields, "sec-websocket-protocol")),
        _tokens(_value(fields, "sec-websocket-extensions")),
    )


def _value(fields: list[tuple[str, str]], wanted: str) -> str:
    return ", ".join(value for name, value in fields if name.lower() == wanted)


def _tokens(value: str) -> list[str]:
    return [token.strip() for token in value.split(",") if token.strip()]
