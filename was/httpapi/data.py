"""Requests and responses as programs see them: HTTP_REQUEST, HTTP_RESPONSE, HTTP_DATA_CHUNK."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Chunk", "FileChunk", "HttpRequest", "HttpResponse"]


@dataclass(frozen=True, slots=True)
class FileChunk:
    """HttpDataChunkFromFileHandle: a region of an open regular file; length -1 = to its end.

    The descriptor may be closed as soon as the call that was given the chunk has returned.
    """

    fd: int
    offset: int = 0
    length: int = -1

    def size(self) -> int:
        """The region's length in bytes."""
        if self.length >= 0:
            return self.length
        return max(0, os.fstat(self.fd).st_size - self.offset)


Chunk: TypeAlias = bytes | FileChunk


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """HTTP_REQUEST: one request that was received. `url` is the full URL as cooked by the listener.

    `url_context` is what the prefix that matched was added with, `prefix` that prefix. `headers`
    keep the order and letter case in which they were sent; names and values are latin-1.
    """

    id: int
    connection_id: int
    attempt: int  # 1, or more when a process that had the request before has died
    verb: str
    raw_url: str
    url: str
    path: str
    query: str
    version: tuple[int, int]
    headers: tuple[tuple[str, str], ...]
    remote_address: tuple[str, int]
    local_address: tuple[str, int]
    url_context: int
    prefix: str
    content_length: int  # -1: not known before the end

    def header(self, name: str) -> str | None:
        """The value of a header, several of one name joined by commas; None if there is none."""
        wanted = name.lower()
        found = [value for known, value in self.headers if known.lower() == wanted]
        return ", ".join(found) if found else None

    @property
    def has_body(self) -> bool:
        """HTTP_REQUEST_FLAG_MORE_ENTITY_BODY_EXISTS, before the first byte was read."""
        return self.content_length != 0


@dataclass(slots=True)
class HttpResponse:
    """HTTP_RESPONSE: what is sent. Without a Content-Length header the listener frames the body."""

    status: int = 200
    reason: str = ""
    headers: Sequence[tuple[str, str]] = ()
    chunks: Sequence[Chunk] = field(default=())

    @classmethod
    def text(cls, body: str, status: int = 200, content_type: str = "text/plain") -> HttpResponse:
        """A response of one text, in UTF-8."""
        headers = [("Content-Type", f"{content_type}; charset=utf-8")]
        return cls(status, "", headers, [body.encode()])
