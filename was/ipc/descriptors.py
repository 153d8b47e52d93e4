"""Messages with descriptors over Unix SEQPACKET sockets, with the peer's credentials.

One message is one datagram: a byte that says where the content is (0: it follows; 1: in a memfd
that travels as the first descriptor, for what exceeds a datagram), the content, and up to 250
descriptors. The kernel keeps the order and never joins or splits.

Every descriptor received belongs to the receiver, which must close it: `recv` returns them even
when the content turns out to be ill-formed.
"""

from __future__ import annotations

import array
import fcntl
import os
import signal
import socket
import stat
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import asyncio  # a worker has no use for it

__all__ = [
    "ControlLink",
    "ControlSocket",
    "in_parts",
    "is_regular",
    "listen_control",
    "take_output",
]

INLINE_BYTES = 60_000
_Socket = socket.socket  # an application may put something else in its place (PySocks)
MAX_DESCRIPTORS = 250
PART_DESCRIPTORS = 200  # a memfd is one more
MAX_MESSAGE_BYTES = 256 * 1024 * 1024

# How many messages a link holds for a peer that does not read (SIGSTOP) before it is given up. In
# all they may be as long as two of the longest that it would take of that peer.
MAX_UNSENT = 10_000

# What is read of one peer in a turn of the loop: so many messages, and no further one beyond this.
MESSAGES_A_TURN = 32
BYTES_A_TURN = 1024 * 1024

_Item = TypeVar("_Item")


def in_parts(items: Iterable[_Item]) -> Iterator[tuple[list[_Item], bool]]:
    """What has a descriptor each, in as many messages as they need: at least one.

    With each part whether further ones follow.
    """
    left = list(items)
    while len(left) > PART_DESCRIPTORS:
        yield left[:PART_DESCRIPTORS], True
        left = left[PART_DESCRIPTORS:]
    yield left, False


def listen_control(path: str, mode: int = 0o666) -> socket.socket:
    """A listening SEQPACKET socket at `path`, replacing a stale one; who may connect: `mode`.

    The peer's credentials decide what it is, not the reach of the path.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)
        listening.bind(path)
        os.chmod(path, mode)
        listening.listen(1024)
    except BaseException:
        listening.close()
        raise
    return listening


def is_regular(fd: int) -> bool:
    """Whether a descriptor that somebody passed is a regular file's, which can be sent from.

    A pipe or a device would hold up who reads it, or never end. A file system of another user's
    making (FUSE) refuses even to be asked.
    """
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False


def take_output(fd: int) -> None:
    """Write to `fd` in place of what standard output and standard error have been until now."""
    for number in (1, 2):
        os.dup2(fd, number)


class ControlSocket:
    """One end of a control connection, blocking or not as its socket is.

    `is_short`: the last message has come without some of its descriptors, for which this process
    had no room. The kernel has closed them.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.is_short = False

    @classmethod
    def connect(cls, path: str, timeout_s: float | None = None) -> ControlSocket:
        """Connect to a listening control socket; raises OSError."""
        sock = _Socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.settimeout(timeout_s)
            sock.connect(path)
            sock.settimeout(None)
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    def peer(self) -> tuple[int, int, int]:
        """(pid, uid, gid) of the peer when it connected."""
        raw = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, gid = struct.unpack("3i", raw)
        return pid, uid, gid

    def send(self, content: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send one message; raises BlockingIOError (nothing sent) or another OSError."""
        if len(content) <= INLINE_BYTES:
            self._send(b"\0" + content, descriptors)
            return
        fd = os.memfd_create("was-message", os.MFD_CLOEXEC)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            self._send(b"\1", [fd, *descriptors])
        finally:
            os.close(fd)

    def _send(self, data: bytes, descriptors: Sequence[int]) -> None:
        if len(descriptors) > MAX_DESCRIPTORS:
            raise ValueError(f"{len(descriptors)} descriptors in one message")
        rights = array.array("i", descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else []
        self.sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)

    def recv(self, limit_bytes: int = MAX_MESSAGE_BYTES) -> tuple[bytes, list[int]] | None:
        """The next message and its descriptors, None at the end; raises OSError.

        Content beyond `limit_bytes`, or in what is no memfd, comes as b"": reading from whatever a
        peer calls a message could block, or fill the memory.
        """
        space = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
        data, ancillary, flags, _ = self.sock.recvmsg(
            INLINE_BYTES + 1, space, socket.MSG_CMSG_CLOEXEC
        )
        self.is_short = bool(flags & socket.MSG_CTRUNC)
        fds = array.array("i")
        for level, kind, raw in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(raw[: len(raw) - len(raw) % fds.itemsize])
        descriptors = list(fds)
        if not data:
            for fd in descriptors:
                os.close(fd)
            return None
        if data[0] == 0:
            return data[1:], descriptors
        if not descriptors:
            return b"", []
        content = b""
        try:
            fcntl.fcntl(descriptors[0], fcntl.F_GET_SEALS)  # refused but for memory
            size = os.fstat(descriptors[0]).st_size
            if size <= limit_bytes:
                content = os.pread(descriptors[0], size, 0)
        except OSError:
            pass
        finally:
            os.close(descriptors[0])
        return content, descriptors[1:]

    def continue_at_end(self) -> None:
        """The end of a peer that says nothing here continues this process (SIGCONT).

        So a process that its peer has stopped is not left stopped when the peer is killed.
        """
        fcntl.fcntl(self.sock, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(self.sock, fcntl.F_SETSIG, signal.SIGCONT)
        flags = fcntl.fcntl(self.sock, fcntl.F_GETFL)
        fcntl.fcntl(self.sock, fcntl.F_SETFL, flags | os.O_ASYNC)

    def close(self) -> None:
        """Close this end."""
        self.sock.close()


class ControlLink:
    """A control connection on an event loop.

    `on_message(content, descriptors)` is called for each message in order, `on_close()` once, when
    the peer has gone or the connection broke. Sends never block: what a stopped peer does not take
    waits here, with duplicates of its descriptors.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        end: ControlSocket,
        on_message: Callable[[bytes, list[int]], None],
        on_close: Callable[[], None],
        limit_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        """`limit_bytes`: a longer message comes as b""; for peers that are not trusted (yet)."""
        self._loop = loop
        self._limit_bytes = limit_bytes
        self._end = end
        self._on_message = on_message
        self._on_close = on_close
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._unsent_bytes = 0
        self.is_closed = False
        end.sock.setblocking(False)
        self._fd = end.sock.fileno()
        loop.add_reader(self._fd, self._readable)

    def peer(self) -> tuple[int, int, int]:
        """(pid, uid, gid) of the peer."""
        return self._end.peer()

    def trust(self) -> None:
        """It is known who the peer is: it may say, and be told, whatever is a message."""
        self._limit_bytes = MAX_MESSAGE_BYTES

    @property
    def is_short(self) -> bool:
        """Whether the last message has come without some of its descriptors: no room here."""
        return self._end.is_short

    @property
    def is_behind(self) -> bool:
        """Whether the peer has not taken everything yet."""
        return bool(self._unsent)

    def read(self) -> None:
        """Read what is there, without waiting for the loop to say so."""
        if not self.is_closed:
            self._readable()

    def send(self, content: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send, or keep for later; the caller may close its descriptors on return."""
        if self.is_closed:
            return
        if self._unsent:
            self._keep(content, descriptors)
            return
        try:
            self._end.send(content, descriptors)
        except BlockingIOError:
            self._keep(content, descriptors)
            self._loop.add_writer(self._fd, self._writable)
        except OSError:
            self._broken()

    def _keep(self, content: bytes, descriptors: Sequence[int]) -> None:
        self._unsent_bytes += len(content)
        if len(self._unsent) >= MAX_UNSENT or self._unsent_bytes > 2 * self._limit_bytes:
            self._broken()
            return
        self._unsent.append((content, [os.dup(fd) for fd in descriptors]))

    def _writable(self) -> None:
        while self._unsent:
            content, descriptors = self._unsent[0]
            try:
                self._end.send(content, descriptors)
            except BlockingIOError:
                return
            except OSError:
                self._broken()
                return
            self._unsent.popleft()
            self._unsent_bytes -= len(content)
            for fd in descriptors:
                os.close(fd)
        self._loop.remove_writer(self._fd)

    def _readable(self) -> None:
        # So much a turn and no more: a chatty peer must hold up nobody, nor fill the memory.
        read_bytes = 0
        for _ in range(MESSAGES_A_TURN):
            if self.is_closed or read_bytes > BYTES_A_TURN:
                return
            try:
                message = self._end.recv(self._limit_bytes)
            except BlockingIOError:
                return
            except OSError:
                message = None
            if message is None:
                self._broken()
                return
            read_bytes += len(message[0])
            self._on_message(*message)

    def _broken(self) -> None:
        # From the loop, so that a send() never calls back into its caller.
        if not self.is_closed:
            self.close()
            self._loop.call_soon(self._on_close)

    def close(self) -> None:
        """Close without a call of `on_close`."""
        if self.is_closed:
            return
        self.is_closed = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._end.close()
        for _, descriptors in self._unsent:
            for fd in descriptors:
                os.close(fd)
        self._unsent.clear()
