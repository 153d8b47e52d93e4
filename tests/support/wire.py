"""A blocking client for tests that care about the very bytes on the wire."""

import contextlib
import json
import socket
from collections.abc import Iterator

from harness.response_reader import ResponseReader

LIMIT_S = 60.0


class CutShortError(Exception):
    """The connection ended within a response (`begun`) or before one."""

    def __init__(self, response: "ResponseReader", cause: str) -> None:
        super().__init__(f"{cause} after {response.received} body bytes")
        self.response = response
        self.begun = response.has_begun


class Answer:
    """One response, whole."""

    def __init__(self, reader: ResponseReader) -> None:
        self.status = reader.status
        self.version = reader.version
        self.fields = reader.fields
        self.interim = reader.interim
        self.body = bytes(reader.body)
        self.will_close = reader.will_close

    def field(self, name: str) -> str:
        """A field's value by lower-case name, "" when there is none."""
        return next((value for key, value in self.fields if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for key, value in self.fields if key == name]

    def json(self):
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Wire:
    """One connection. What was read beyond a response is kept for the next."""

    def __init__(self, port: int, *, limit_s: float = LIMIT_S, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=limit_s, source_address=(source, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = port
        self._rest = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def request(
        self,
        target: str = "/",
        method: str = "GET",
        body: bytes | None = None,
        fields: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request and read its response."""
        self.send_request(target, method, body, fields)
        return self.read(method)

    def send_request(
        self,
        target: str = "/",
        method: str = "GET",
        body: bytes | None = None,
        fields: dict[str, str] | None = None,
    ) -> None:
        """Send one request, without waiting."""
        lines = [f"{method} {target} HTTP/1.1"]
        given = {"Host": f"127.0.0.1:{self.port}", **(fields or {})}
        if body is not None:
            given.setdefault("Content-Length", str(len(body)))
        lines += [f"{name}: {value}" for name, value in given.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))

    def read(self, method: str = "GET") -> Answer:
        """Read one response; CutShortError when the connection ends within it."""
        reader = ResponseReader(method, keep_bytes=1 << 30)
        data, self._rest = self._rest, b""
        while not reader.feed(data):
            try:
                data = self.socket.recv(262144)
            except ConnectionResetError:
                raise CutShortError(reader, "reset") from None
            if not data:
                if reader.eof():
                    break
                raise CutShortError(reader, "end of stream")
        self._rest = reader.surplus
        return Answer(reader)

    def read_some(self) -> bytes:
        """Whatever comes next; b"" at the end of the stream, or when it is reset."""
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        with contextlib.suppress(ConnectionResetError):
            return self.socket.recv(65536)
        return b""

    def read_until(self, mark: bytes) -> bytes:
        """Bytes up to and with `mark`, or all when the stream ends before."""
        got = b""
        while mark not in got and (data := self.read_some()):
            got += data
        return got

    def is_closed(self) -> bool:
        """Whether the peer closes: waits for the end of the stream."""
        return self.read_some() == b""

    def half_close(self) -> None:
        """Send no more, but listen on."""
        self.socket.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def many(port: int, count: int) -> Iterator[list[Wire]]:
    """So many connections at once."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Wire(port)) for _ in range(count)]


def get(port: int, target: str = "/", **fields: str) -> Answer:
    """One GET over a connection of its own."""
    with Wire(port) as wire:
        return wire.request(target, fields={k.replace("_", "-"): v for k, v in fields.items()})


def post(port: int, target: str, body: bytes, kind: str = "application/octet-stream") -> Answer:
    """One POST over a connection of its own."""
    with Wire(port) as wire:
        return wire.request(target, "POST", body, {"Content-Type": kind})
