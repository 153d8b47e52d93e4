"""HTTP/1 framing engines behind one interface: bytes in, body and left-over out. No I/O.

The head scanner has decided what a message is; an engine reads the head too, as a second opinion,
and frames the body. Whatever an engine refuses that the scanner took is a RemoteProtocolError: two
readers disagree, so nobody acts on the message.

    engine.begin(head_bytes, head)   True: the message has no body, the next begin() may follow
    engine.feed(data)                (pieces of body, complete?, bytes of the next message)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

from was.listener.head import Head, Limits

__all__ = ["Engine", "EngineFactory", "EngineName", "select"]

EngineName: TypeAlias = Literal["auto", "h11", "llhttp"]


class Engine(Protocol):
    """One for each connection, used for its messages one after the other.

    After any RemoteProtocolError the connection is over: an engine is not used again.
    """

    def begin(self, head_bytes: bytes, head: Head) -> bool:
        """Take a scanned head; True when the message is complete with it."""
        ...

    def feed(self, data: bytes) -> tuple[list[bytes], bool, bytes]:
        """Take bytes of the body of the message begun last, until it is complete."""
        ...


EngineFactory: TypeAlias = Callable[[Limits], Engine]


def select(name: EngineName) -> EngineFactory:
    """The engine of that name; `auto` is llhttp where httptools is installed.

    Raises ImportError for `llhttp` where it is not.
    """
    if name != "h11":
        try:
            from was.listener.engines.llhttp import LlhttpEngine
        except ImportError:
            if name == "llhttp":
                raise
        else:
            return LlhttpEngine
    from was.listener.engines.h11 import H11Engine

    return H11Engine
