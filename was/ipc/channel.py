"""The ZeroMQ ends of the request road: the only file that imports zmq.

ZeroMQ's descriptor is edge-triggered, and a *send* consumes the edge too: whoever sends and then
waits for the descriptor can wait for ever with a readable message. So after every send and receive
EVENTS is looked at again, and one function does all the receiving (`RouterChannel.pump`): at most
64 messages, then it re-arms itself behind the loop's other work while more wait. It runs on the
descriptor, after each flush, and from a tick whose hits are counted and must stay 0.

The listener binds one ROUTER per pool; each worker connects one DEALER per listener process. The
identity is 16 random bytes that only the manager, the listener and that worker know. MANDATORY
makes a send to a worker that is not there an error instead of silence; HANDOVER is off, so nobody
can take a live worker's identity over.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import termios
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import zmq
from zmq.constants import POLLIN, SocketOption

from was.ipc.messages import CHUNK_BYTES

if TYPE_CHECKING:
    import asyncio  # a worker has no use for it

__all__ = [
    "BATCH_BYTES",
    "MAX_MESSAGE_BYTES",
    "Context",
    "DealerChannel",
    "RouterChannel",
    "Sent",
    "WorkerPoller",
    "rehearse_dealer",
]

MAX_MESSAGE_BYTES: Final = 2 * 1024 * 1024
HIGH_WATER_BATCHES: Final = 256
RECEIVES_A_TURN: Final = 64
# Nor longer than this: 64 batches as large as they may be would hold up everybody else.
RECEIVING_S: Final = 0.005
# How long the two looks of the tick may take to be one.
GLANCE_S: Final = 0.0001
# How long a message that waited unseen is remembered.
SUSPECT_S: Final = 60.0
LINGER_MS: Final = 2000

# A batch is cut before it could exceed MAXMSGSIZE at the other end.
BATCH_BYTES: Final = MAX_MESSAGE_BYTES - 4 * CHUNK_BYTES

_EVENTS: Final = SocketOption.EVENTS
_POLLIN: Final = int(POLLIN)
MOST_SOCKETS = 65536

# As numbers: joining two members of an enumeration takes longer than a send.
_SEND: Final = int(zmq.NOBLOCK)
_SEND_FIRST: Final = int(zmq.NOBLOCK | zmq.SNDMORE)


class Context:
    """ZeroMQ's context of one process. Make it after any fork, never before."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        limit = self._context.get(zmq.SOCKET_LIMIT)
        self._context.set(zmq.MAX_SOCKETS, min(MOST_SOCKETS, int(limit)))
        self._has_threads = False

    def socket(self, kind: int) -> zmq.Socket[bytes]:
        """A socket with the settings both ends share."""
        if self._has_threads:
            sock = self._context.socket(kind)
        else:
            self._has_threads = True
            before = _threads()
            sock = self._context.socket(kind)  # the first one starts ZeroMQ's threads
            _let_others_go_first(_threads() - before)
        sock.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        sock.setsockopt(zmq.SNDHWM, HIGH_WATER_BATCHES)
        sock.setsockopt(zmq.RCVHWM, HIGH_WATER_BATCHES)
        sock.setsockopt(zmq.RECONNECT_IVL, 10)
        sock.setsockopt(zmq.LINGER, 0)
        return sock

    def close(self) -> None:
        """Close; what lingers is given at most LINGER_MS."""
        self._context.term()


def _threads() -> set[int]:
    return {int(task) for task in os.listdir("/proc/self/task")}


def _let_others_go_first(threads: set[int]) -> None:
    """Keep ZeroMQ's threads from preempting the thread that gives them work.

    A batch that is handed over wakes the I/O thread, which would push the sender off its processor
    in the middle of its turn. SCHED_BATCH threads wake without preempting (measured: 4 to 5 % more
    requests on two processors). ZeroMQ could set this itself, but aborts where it is refused.
    """
    for thread in threads:
        with suppress(OSError):
            os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))


class Sent(Enum):
    """What became of a batch."""

    YES = 1
    NOT_READING = 2  # EAGAIN: the peer's high-water mark; keep the batch, stop dispatching
    NOT_THERE = 3  # EHOSTUNREACH: no such identity connected; wait for the pidfd to tell


def _monitor(context: Context, sock: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
    """The end at which ZeroMQ tells of connections that begin and end.

    Without a high-water mark: ZeroMQ's I/O thread, the only one, *waits* while its monitor's queue
    is full, and a stranger who connects and leaves often enough would stop every pool's messages.
    """
    address = f"inproc://monitor-{id(sock)}"
    sock.monitor(address, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
    end = context.socket(zmq.PAIR)
    end.setsockopt(zmq.RCVHWM, 0)
    end.connect(address)
    return end


class RouterChannel:
    """The listener's end for one pool: a ROUTER bound at `endpoint`, pumped on the loop.

    `on_message(identity, data, source)` gets every message, `source` being the descriptor of the
    connection it came by when `wants_source(identity)` says that it is asked for, else -1.
    `after_pump()` runs once after the messages of a pump.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        endpoint: str,
        *,
        on_message: Callable[[bytes, Any, int], None],
        wants_source: Callable[[bytes], bool],
        after_pump: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._on_message = on_message
        self._wants_source = wants_source
        self._after_pump = after_pump
        sock = context.socket(zmq.ROUTER)
        sock.setsockopt(zmq.ROUTER_MANDATORY, 1)
        sock.setsockopt(zmq.ROUTER_HANDOVER, 0)
        self._monitor = _monitor(context, sock)
        self._disconnected: set[int] = set()
        self._path = endpoint.removeprefix("ipc://")
        self.connections: set[int] = set()  # by descriptor, as of the last `read_disconnects`
        # Where somebody wants to know: the connections that whole messages have come by.
        self.heard: set[int] | None = None
        try:
            sock.bind(endpoint)
        except BaseException:
            sock.disable_monitor()
            self._monitor.close(0)
            sock.close(0)
            raise
        self._sock = sock
        # Typed by what these options are, not by what any option may be.
        self._getsockopt: Callable[[int], int] = sock.getsockopt  # type: ignore[assignment]
        self._recv = sock.recv
        self._send = sock.send
        self._is_scheduled = False
        self._is_closed = False
        self._was_used = True  # since the last tick
        self._suspected_at = -SUSPECT_S
        self._fd = self._getsockopt(zmq.FD)
        self._fd_poll = select.poll()
        self._fd_poll.register(self._fd, select.POLLIN)
        loop.add_reader(self._fd, self.pump)
        self.schedule()

    def pump(self) -> None:
        """Receive what is there, at most 64 messages or 5 ms, then re-arm while more wait."""
        self._is_scheduled = False
        self._was_used = True
        if self._is_closed:
            return
        recv = self._recv
        getsockopt = self._getsockopt
        received = 0
        end = 0.0
        while getsockopt(_EVENTS) & _POLLIN:
            if received == 0:
                end = time.monotonic() + RECEIVING_S
            elif received == RECEIVES_A_TURN or time.monotonic() > end:
                self.schedule()
                break
            received += 1
            identity = recv()
            # A frame knows whether there are more: asking the socket takes longer than receiving.
            frame = recv(copy=False)
            source = int(frame.get(zmq.SRCFD)) if self._wants_source(identity) else -1
            if self.heard is not None:
                self.heard.add(int(frame.get(zmq.SRCFD)))
            self._on_message(identity, frame.buffer, source)
            while frame.more:
                # Nobody of ours sends further frames: one who does is told apart here.
                self._on_message(identity, b"", -1)
                frame = recv(copy=False)
            if self._is_closed:
                return
        if received:
            self._after_pump()

    def schedule(self) -> None:
        """Pump in the next turn of the loop."""
        if not self._is_scheduled and not self._is_closed:
            self._is_scheduled = True
            self._loop.call_soon(self.pump)

    def missed_an_edge(self) -> bool:
        """For the tick: messages wait that nothing was going to read. Reads them; must be False.

        Looks only at a channel that nobody used since the tick before. What was forgotten on a busy
        one the next use finds. A message that comes just between the two looks below, which is
        nobody's fault, cannot be told from a forgotten one; but it comes so once in hours, and what
        forgets does it again: the first in a while is read, and held against nobody.
        """
        was_used = self._was_used
        self._was_used = False
        if was_used or self._is_scheduled or self._is_closed:
            return False
        # In this order: asking for EVENTS consumes the descriptor's edge. A descriptor that has
        # fired was going to be served in this very turn.
        began = time.monotonic()
        has_fired = bool(self._fd_poll.poll(0))
        if not self._getsockopt(_EVENTS) & _POLLIN:
            return False
        self.schedule()
        now = time.monotonic()
        if has_fired or now - began >= GLANCE_S:
            return False  # held up between the two looks it may have come just then
        since, self._suspected_at = now - self._suspected_at, now
        return since < SUSPECT_S

    def has_message(self) -> bool:
        """Whether a message waits now."""
        return not self._is_closed and bool(self._getsockopt(_EVENTS) & _POLLIN)

    def send(self, identity: bytes, batch: bytes) -> Sent:
        """Send one batch; never blocks."""
        self._was_used = True
        try:
            # What becomes of both is decided with the first.
            self._send(identity, _SEND_FIRST)
            self._send(batch, _SEND)
        except zmq.Again:
            result = Sent.NOT_READING
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            result = Sent.NOT_THERE
        else:
            result = Sent.YES
        # The send may have eaten the descriptor's edge.
        if not self._is_scheduled and self._getsockopt(_EVENTS) & _POLLIN:
            self.schedule()
        return result

    def read_disconnects(self) -> None:
        """Take notice of the connections that ended; call it now and then, or memory fills."""
        monitor = self._monitor
        while int(monitor.getsockopt(_EVENTS)) & _POLLIN:
            frames = monitor.recv_multipart()
            event, value = struct.unpack("=hi", frames[0][:6])
            if event == zmq.EVENT_ACCEPTED:
                self.connections.add(value)
            else:
                self.connections.discard(value)
                self._disconnected.add(value)

    def has_disconnected(self, source: int) -> bool:
        """Whether the connection with this descriptor was seen to end since `forget_disconnect`."""
        return source in self._disconnected

    def forget_disconnect(self, source: int) -> None:
        """The descriptor is a new connection's: what was noted of it speaks of a former one."""
        self.read_disconnects()
        self._disconnected.discard(source)

    def cut_strangers(self, known: Collection[int], most: int) -> int:
        """End all connections beside the known, if they are more than so many; how many it were."""
        if len(self.connections) <= most + len(known):
            return 0
        strangers = self.connections.difference(known)
        for connection in strangers:
            self.cut(connection)
        return len(strangers)

    def is_arriving(self, connection: int) -> bool:
        """Whether bytes have come by a connection that ZeroMQ has not read yet."""
        count = bytearray(4)
        with suppress(OSError):
            fcntl.ioctl(connection, termios.FIONREAD, count)
        return any(count)

    def cut(self, connection: int) -> int:
        """End a connection, with all that was kept of it; the peer's pid, 0 if it is there no more.

        Its descriptor is ZeroMQ's, which may have closed it meanwhile: what it is, is looked at by
        a duplicate, and only a connection to this very endpoint is ended.
        """
        try:
            sock = socket.socket(fileno=os.dup(connection))
        except OSError:
            return 0
        with sock:
            try:
                if sock.family != socket.AF_UNIX or sock.getsockname() != self._path:
                    return 0
                raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return 0
        return int(struct.unpack("3i", raw)[0])

    def close(self) -> None:
        """Unbind and forget what was not sent (but for LINGER_MS)."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._fd)
        self._sock.disable_monitor()
        self._monitor.close(0)
        self._sock.close(LINGER_MS)


class DealerChannel:
    """A worker's end towards one listener process. One thread at a time may use it."""

    def __init__(self, context: Context, endpoint: str, identity: bytes) -> None:
        sock = context.socket(zmq.DEALER)
        sock.setsockopt(zmq.IDENTITY, identity)
        sock.connect(endpoint)
        self.sock = sock
        self._getsockopt: Callable[[int], int] = sock.getsockopt  # type: ignore[assignment]
        self._recv = sock.recv
        self._send = sock.send
        self.fd = self._getsockopt(zmq.FD)

    def has_message(self) -> bool:
        """Whether a message waits now. Not asked, the descriptor may stay silent about it."""
        return bool(self._getsockopt(_EVENTS) & _POLLIN)

    def receive(self) -> bytes | None:
        """The next batch, None when there is none now."""
        if not self._getsockopt(_EVENTS) & _POLLIN:
            return None
        return self._recv()

    def send(self, batch: bytes) -> bool:
        """Send one batch; False when the listener is not reading now."""
        try:
            self._send(batch, _SEND)
        except zmq.Again:
            return False
        return True

    def close(self, *, linger: bool) -> None:
        """Close; with `linger`, what was sent is still delivered for up to 2 s."""
        self.sock.close(LINGER_MS if linger else 0)


def rehearse_dealer() -> None:
    """What a worker does to connect, done once and undone: no thread and no descriptor is left.

    So what ZeroMQ writes to as it begins is this process's own already when it matters.
    """
    context = Context()
    dealer = DealerChannel(context, "ipc:///nonexistent/rehearsal", bytes(16))
    dealer.send(b"")
    dealer.close(linger=False)
    context.close()


class WorkerPoller:
    """Waits for any of a worker's channels or its eventfd. Used by the leader only, but `fds`.

    A channel's descriptor is as silent as the top of this file says: whoever waits has looked at
    EVENTS since he last sent or received there, which `DealerChannel.receive` does.
    """

    def __init__(self, wake_fd: int) -> None:
        self._epoll = select.epoll()
        self._wake_fd = wake_fd
        self.fds: tuple[int, ...] = ()  # readable: there may be something to do
        self.add_descriptor(wake_fd)

    def add(self, channel: DealerChannel) -> None:
        """Watch a channel."""
        self.add_descriptor(channel.fd)

    def remove(self, channel: DealerChannel) -> None:
        """Stop watching a channel; call before it is closed."""
        self._epoll.unregister(channel.fd)
        self.fds = tuple(fd for fd in self.fds if fd != channel.fd)

    def heard_ring(self) -> None:
        """Have the eventfd be silent until somebody rings again."""
        with suppress(BlockingIOError):
            os.read(self._wake_fd, 8)

    def add_descriptor(self, fd: int) -> None:
        """Let the wait end when a descriptor can be read, too."""
        self._epoll.register(fd, select.EPOLLIN)
        self.fds = (*self.fds, fd)

    def wait(self, timeout_ms: int) -> None:
        """Wait until something can be received or somebody rang the eventfd."""
        for ready, _ in self._epoll.poll(timeout_ms / 1000):
            if ready == self._wake_fd:
                self.heard_ring()

    def close(self) -> None:
        """Nobody waits any more."""
        self._epoll.close()
