"""Reads one HTTP/1.1 response from bytes: sans-io, and exact about where it ends.

A response ends at its Content-Length, at its last chunk, with its head (HEAD, 204, 304), or, when
none of these is given, with the stream. Whether the stream may end *here* is the question the load
client asks, so `eof` answers it and nothing is guessed. Interim responses (1xx) are counted and
left out.
"""

from __future__ import annotations

from enum import Enum, auto

__all__ = ["MalformedResponseError", "ResponseReader"]

MAX_HEAD_BYTES = 64 * 1024


class MalformedResponseError(Exception):
    """The peer's bytes are no HTTP/1.x response, or go on after the end of one."""


class _At(Enum):
    HEAD = auto()
    LENGTH = auto()
    CHUNK_SIZE = auto()
    CHUNK_DATA = auto()
    CHUNK_END = auto()
    TRAILERS = auto()
    CLOSE = auto()
    DONE = auto()


class ResponseReader:
    """Feed it bytes until `is_complete`; then read status, fields and body off it.

    At most `keep_bytes` of the body are kept, all of it is counted.
    """

    def __init__(self, method: str, *, keep_bytes: int = 256) -> None:
        self.status = 0
        self.version = ""
        self.fields: list[tuple[str, str]] = []
        self.interim: list[int] = []
        self.body = bytearray()
        self.received = 0
        self._method = method
        self._keep = keep_bytes
        self._at = _At.HEAD
        self._buffer = bytearray()
        self._left = 0

    @property
    def has_begun(self) -> bool:
        """Whether a byte of the response has come."""
        return bool(self._buffer) or self._at is not _At.HEAD or bool(self.interim)

    @property
    def is_complete(self) -> bool:
        """Whether all of the response has come."""
        return self._at is _At.DONE

    @property
    def surplus(self) -> bytes:
        """Bytes after the end of the response (the next one's, when requests were pipelined)."""
        return bytes(self._buffer) if self._at is _At.DONE else b""

    @property
    def will_close(self) -> bool:
        """Whether the peer has announced that it closes after this response."""
        tokens = [t.strip().lower() for t in self.field("connection").split(",")]
        if self.version == "HTTP/1.0":
            return "keep-alive" not in tokens
        return "close" in tokens or (self._at is _At.CLOSE)

    def field(self, name: str) -> str:
        """A response field's value by its name in lower case; "" when there is none."""
        return next((value for key, value in self.fields if key == name), "")

    def feed(self, data: bytes) -> bool:
        """Take more bytes; whether the response is complete now.

        Raises MalformedResponseError.
        """
        self._buffer += data
        while self._step():
            pass
        return self._at is _At.DONE

    def eof(self) -> bool:
        """The stream has ended; whether the response may end here."""
        if self._at is _At.CLOSE:
            self._at = _At.DONE
        return self._at is _At.DONE

    def _step(self) -> bool:
        """Make one step; whether another may follow without more bytes."""
        match self._at:
            case _At.HEAD:
                return self._read_head()
            case _At.LENGTH | _At.CHUNK_DATA:
                return self._read_counted()
            case _At.CHUNK_SIZE:
                return self._read_chunk_size()
            case _At.CHUNK_END:
                if (line := self._line()) is None:
                    return False
                if line:
                    raise MalformedResponseError("no line end after a chunk")
                self._at = _At.CHUNK_SIZE
                return True
            case _At.TRAILERS:
                if (line := self._line()) is None:
                    return False
                if not line:
                    self._at = _At.DONE
                return bool(line)
            case _At.CLOSE:
                self._take(len(self._buffer))
                return False
            case _At.DONE:
                return False

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise MalformedResponseError("the head has no end")
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = lines[0].partition(" ")
        if version not in {"HTTP/1.1", "HTTP/1.0"} or not rest[:3].isdigit():
            raise MalformedResponseError(f"not a status line: {lines[0][:80]!r}")
        status = int(rest[:3])
        fields: list[tuple[str, str]] = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise MalformedResponseError(f"not a field: {line[:80]!r}")
            fields.append((name.lower(), value.strip()))
        if 100 <= status < 200 and status != 101:
            self.interim.append(status)
            return True
        self.status, self.version, self.fields = status, version, fields
        self._at = self._framing()
        return True

    def _framing(self) -> _At:
        if self._method == "HEAD" or self.status in {101, 204, 304}:
            return _At.DONE
        coding, length = self.field("transfer-encoding"), self.field("content-length")
        if coding:
            if coding.lower() != "chunked" or length:
                raise MalformedResponseError(f"coding {coding!r} beside length {length!r}")
            return _At.CHUNK_SIZE
        if not length:
            return _At.CLOSE
        if not length.isdigit():
            raise MalformedResponseError(f"content-length {length!r}")
        self._left = int(length)
        return _At.LENGTH if self._left else _At.DONE

    def _read_counted(self) -> bool:
        count = min(self._left, len(self._buffer))
        self._take(count)
        self._left -= count
        if self._left:
            return False
        self._at = _At.DONE if self._at is _At.LENGTH else _At.CHUNK_END
        return True

    def _read_chunk_size(self) -> bool:
        if (line := self._line()) is None:
            return False
        try:
            self._left = int(line.partition(b";")[0], 16)
        except ValueError:
            raise MalformedResponseError(f"chunk size {line[:40]!r}") from None
        self._at = _At.CHUNK_DATA if self._left else _At.TRAILERS
        return True

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _take(self, count: int) -> None:
        room = self._keep - len(self.body)
        if room > 0:
            self.body += self._buffer[: min(count, room)]
        self.received += count
        del self._buffer[:count]
