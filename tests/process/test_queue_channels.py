"""A listener's broker with real channels: what other processes can do to it by way of ZeroMQ."""

import asyncio
import os
import select
import socket
import stat
import struct
import time

import pytest
import zmq
from harness.meter import descriptors
from support.listener_rig import SLOTS

from was.ipc import codec
from was.ipc import listener_control as lc
from was.ipc import messages as m
from was.ipc.descriptors import ControlSocket
from was.ipc.scoreboard import make_scoreboard
from was.ipc.served import ListenerSettings, PoolQueue
from was.listener import time_limits
from was.listener.broker import Incarnation
from was.listener.descriptors import MAX_ACCEPTED, MAX_KEPT, MAX_READ, NOTE
from was.listener.service import ListenerService
from was.listener.worker_messages import EARLY_WORKERS

LIMIT_S = 60.0


class Queue:
    """A listener with one pool on a real endpoint; its loop runs while a test waits."""

    def __init__(self, folder):
        self.loop = asyncio.new_event_loop()
        self.notices = []
        self.service = service = ListenerService(self.loop, "nowhere")
        service.manager.tell = self.notices.append
        service.tick = lambda: None  # the tests look for themselves
        service.welcome(
            lc.ListenerWelcome(1, ListenerSettings(str(folder), str(folder), str(folder)))
        )
        service.set_pools([PoolQueue("Pool", True)])
        self.pool = service.pools["Pool"]
        self.endpoint = service.queue_endpoint("Pool")
        self.context = zmq.Context()
        self.dealers = []
        self.add_worker(1)

    def add_worker(self, number):
        """Announce a worker, connect as it, and wait until it is attached."""
        incarnation = self.announce(number)
        dealer = self.greet(number)
        self.wait(lambda: incarnation.is_attached)
        return incarnation, dealer

    def announce(self, number):
        """As the manager does."""
        identity = number.to_bytes(16, "big")
        pidfd = os.pidfd_open(os.getpid())
        incarnation = Incarnation(
            number, os.getpid(), identity, SLOTS, pidfd, make_scoreboard(SLOTS)
        )
        self.pool.add_worker(incarnation)
        return incarnation

    def greet(self, number):
        """Connect as a worker and say Hello."""
        dealer = self.dealer(number.to_bytes(16, "big"))
        self.send(dealer, m.Hello(m.PROTOCOL_VERSION, number, os.getpid(), SLOTS))
        return dealer

    def dealer(self, identity):
        dealer = self.context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.IDENTITY, identity)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(self.endpoint.queue)
        self.dealers.append(dealer)
        return dealer

    def send(self, dealer, *items):
        dealer.send(codec.encode(m.ToListener(1, list(items))))

    def wait(self, is_so):
        """Run the listener until something is so."""

        async def look():
            deadline = self.loop.time() + LIMIT_S
            while not is_so():
                assert self.loop.time() < deadline
                time_limits.expire(self.pool, self.loop.time())
                await asyncio.sleep(0.005)

        self.loop.run_until_complete(look())

    def faults(self):
        return [n.worker_id for n in self.notices if isinstance(n, lc.WorkerFaulty)]

    def close(self):
        for dealer in self.dealers:
            dealer.close()
        self.context.term()
        self.pool.close()
        self.service.programs.close()
        self.service.records.logs.close()
        self.service.context.close()
        self.loop.close()


@pytest.fixture
def queue(tmp_path, monkeypatch):
    short = tmp_path / "q"
    short.mkdir()
    # A Unix socket's path is short; the test's folder need not be.
    monkeypatch.chdir(short)
    made = Queue(short)
    yield made
    made.close()


def works(queue, number):
    """Another worker of the pool comes and is heard."""
    queue.add_worker(number)
    return True


def test_visitors_that_come_and_go_stop_nobody(queue):
    """ZeroMQ tells of each ended connection: however many there are, its thread never waits."""
    path = queue.endpoint.queue.removeprefix("ipc://")
    patience = struct.pack("ll", int(LIMIT_S), 0)
    for _ in range(6000):
        with socket.socket(socket.AF_UNIX) as visitor:
            # Not settimeout(): a full backlog is to be waited for.
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
            visitor.connect(path)
    assert works(queue, 2)
    assert queue.faults() == []


def test_a_message_beyond_the_limit_is_a_fault(queue):
    """3 MiB in one message end the connection; the worker that lives on without it is replaced."""
    _, dealer = queue.add_worker(2)
    dealer.send(bytes(3 << 20))
    queue.wait(lambda: queue.faults() == [2])
    assert works(queue, 3)


def test_a_message_of_many_frames_is_a_fault(queue):
    """Nobody of ours sends more than one frame."""
    _, dealer = queue.add_worker(2)
    dealer.send_multipart([codec.encode(m.ToListener(1, [])), b"more", b"and more"])
    queue.wait(lambda: queue.faults() == [2])
    assert works(queue, 3)


def half_a_message(path):
    """A connection that has shaken hands as a DEALER; each of its frames announces another."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path.removeprefix("ipc://"))
    sock.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48))
    assert len(sock.recv(64, socket.MSG_WAITALL)) == 64
    kind = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
    sock.sendall(b"\x04" + bytes([len(kind)]) + kind)
    sock.setblocking(False)
    return sock


def test_a_message_without_end_is_cut(queue, monkeypatch):
    """Frame after frame, each to be followed by one more: ZeroMQ would keep them all. Who sends
    whole messages meanwhile, or nothing, keeps its connection."""
    monkeypatch.setattr("was.listener.half_messages.CALM_BYTES", 0)
    _, dealer = queue.add_worker(2)
    frame = b"\x03" + (60_000).to_bytes(8, "big") + bytes(60_000)
    rest = b""
    with half_a_message(queue.endpoint.queue) as flood:

        def is_cut():
            nonlocal rest
            queue.send(dealer)
            try:
                while True:
                    rest = (rest or frame)[flood.send(rest or frame) :]
            except BlockingIOError:
                queue.service._half_messages.look()
                return False
            except OSError:
                return True

        queue.wait(is_cut)
    assert queue.service.records.counters["half_messages"] == 1
    assert queue.faults() == []
    assert works(queue, 3)


def test_a_crowd_of_strangers_is_shown_out(queue, monkeypatch):
    """Each costs the listener a descriptor; the workers among them stay."""
    monkeypatch.setattr("was.listener.time_limits.MOST_STRANGERS", 20)
    path = queue.endpoint.queue.removeprefix("ipc://")
    before = len(descriptors(os.getpid()))
    visitors = [socket.socket(socket.AF_UNIX) for _ in range(200)]
    for visitor in visitors:
        visitor.connect(path)

    def are_few():
        return len(descriptors(os.getpid())) - before - len(visitors) <= 20

    queue.wait(lambda: queue.service.records.counters["queue_crowded"] and are_few())
    for visitor in visitors:
        visitor.close()
    assert queue.faults() == []
    queue.add_worker(2)
    assert queue.faults() == []


def test_only_a_connection_to_the_queue_is_cut(queue):
    """ZeroMQ may have closed the descriptor, and somebody else have it now."""
    ours, theirs = socket.socketpair()
    assert queue.pool.router.cut(ours.fileno()) == 0
    theirs.send(b"still there")
    assert ours.recv(20) == b"still there"
    ours.close()
    assert queue.pool.router.cut(ours.fileno()) == queue.pool.router.cut(9999) == 0
    theirs.close()


def test_strangers_are_counted_and_forgotten(queue):
    """An identity that nobody announced has no say."""
    stranger = queue.dealer(b"nobody knows me!")
    queue.send(stranger, m.Hello(m.PROTOCOL_VERSION, 1, os.getpid(), SLOTS))
    queue.wait(lambda: queue.service.records.counters["messages_from_strangers"] == 1)
    assert queue.faults() == []


def test_a_worker_may_speak_before_it_is_announced(queue):
    """Manager and worker come by two roads: whichever is read first, the worker is attached."""
    queue.greet(2)
    strangers = queue.service.records.counters
    queue.wait(lambda: strangers["messages_from_strangers"] == 1)
    assert queue.announce(2).is_attached
    for number in range(3, 40):  # the first words of some are kept, of others forgotten
        queue.greet(number)
    queue.wait(lambda: strangers["messages_from_strangers"] == 38)
    attached = [queue.announce(number).is_attached for number in range(3, 40)]
    assert sum(attached) == EARLY_WORKERS


def test_a_flood_is_taken_in_turns(queue):
    """While one worker floods its channel, the loop turns and another worker is heard."""
    _, dealer = queue.add_worker(2)
    dealer.setsockopt(zmq.SNDHWM, 0)
    for _ in range(20_000):
        queue.send(dealer)
    assert works(queue, 3)


def test_messages_that_take_long_are_few_a_turn(queue):
    """However heavy each is: the loop is not held for 64 of them."""
    _, dealer = queue.add_worker(2)
    router = queue.pool.router
    heard = []

    def slow(*_):
        heard.append(1)
        end = time.monotonic() + 0.003
        while time.monotonic() < end:
            pass

    router._on_message = slow
    for _ in range(50):
        queue.send(dealer)
    assert wait_readable(router)
    router.pump()
    assert 1 <= len(heard) <= 4
    queue.wait(lambda: len(heard) == 50)


def wait_readable(router):
    end = time.monotonic() + LIMIT_S
    while not router.has_message():
        assert time.monotonic() < end
    return True


def test_a_new_connection_is_not_taken_for_an_old_one(queue):
    """That a former connection with the same descriptor ended says nothing of the present one."""
    former, dealer = queue.add_worker(2)
    dealer.close()
    router = queue.pool.router
    queue.wait(lambda: router.has_disconnected(former.source))
    former.has_left = True
    # Which descriptor the next one gets is the kernel's affair: let all have been used before.
    router._disconnected.update(range(1000))
    present, _ = queue.add_worker(3)
    assert not router.has_disconnected(present.source)


def test_what_is_passed_aside_is_a_regular_file_or_nothing(queue, tmp_path):
    """Pipes, devices, folders, sockets and notes that are no notes are closed."""
    door = queue.pool.door
    side = ControlSocket.connect(queue.endpoint.descriptors)
    (tmp_path / "file").write_bytes(b"content")
    read_end, write_end = os.pipe()
    names = [os.open(name, os.O_RDONLY) for name in ("/dev/null", "/", str(tmp_path / "file"))]
    before = descriptors(os.getpid())
    for token, fd in enumerate([read_end, *names], 1):
        side.send(NOTE.pack(9, token), [fd])
    side.send(b"no note", [read_end])
    side.send(NOTE.pack(9, 8), [read_end, read_end])
    side._send(b"\1", [read_end, read_end])  # content in a "memfd" that is none
    side.send(bytes(1 << 20), [read_end])
    got = [door.take(os.getpid(), 9, token) for token in (1, 2, 3, 4, 5, 8)]
    assert [fd >= 0 for fd in got] == [False, False, False, True, False, False]
    assert stat.S_ISREG(os.fstat(got[3]).st_mode)
    os.close(got[3])
    door.forget(os.getpid())
    side.close()
    now = descriptors(os.getpid())
    assert {fd for fd in now if fd not in before and "/proc/" not in now[fd]} == set()
    for fd in (read_end, write_end, *names):
        os.close(fd)


def test_what_is_passed_in_vain_costs_the_worker_its_own(queue, tmp_path):
    """Under one name again and again, or under many that no message says: what is kept is bounded,
    and what is named last is found behind it all."""
    door = queue.pool.door
    side = ControlSocket.connect(queue.endpoint.descriptors)
    side.sock.setblocking(False)
    (tmp_path / "file").write_bytes(b"content")
    file = os.open(tmp_path / "file", os.O_RDONLY)
    before = len(descriptors(os.getpid()))

    def passed(names):
        for number, token in enumerate(names):
            side.send(NOTE.pack(9, token), [file])
            if number % 100 == 99:
                assert door.take(os.getpid(), 8, 8) == -1
        got = door.take(os.getpid(), 9, names[-1])
        assert got >= 0
        os.close(got)

    passed([7] * 500)
    assert len(descriptors(os.getpid())) == before + 1  # the door's end of `side`
    passed(range(1, 1000))
    assert len(descriptors(os.getpid())) <= before + 1 + MAX_KEPT
    door.forget(os.getpid())
    side.close()
    os.close(file)


def test_a_flood_at_the_side_door_is_left(queue):
    """Who sends notes, or knocks, faster than can be read does not hold the loop."""
    door = queue.pool.door
    side = ControlSocket.connect(queue.endpoint.descriptors)
    read = knocked = 0

    class Flood:
        is_short = False

        def recv(self, limit_bytes):
            nonlocal read
            read += 1
            return b"no note", []

        def close(self):
            side.close()

    class Knocks:
        def accept(self):
            nonlocal knocked
            knocked += 1
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            theirs.close()
            return ours, None

    door._ends[os.getpid()] = Flood()
    listening, door._listening = door._listening, Knocks()
    queue.pool.workers[1].pid = 1
    assert door.take(os.getpid(), 9, 9) == -1
    assert read <= 2 * MAX_READ
    assert knocked <= MAX_ACCEPTED
    door._listening = listening


def test_a_file_that_cannot_even_be_asked_what_it_is_is_none(queue, tmp_path, monkeypatch):
    """A file system of the worker's own (FUSE) refuses fstat to everybody else."""
    side = ControlSocket.connect(queue.endpoint.descriptors)
    (tmp_path / "file").write_bytes(b"content")
    file = os.open(tmp_path / "file", os.O_RDONLY)
    side.send(NOTE.pack(9, 1), [file])
    before = len(descriptors(os.getpid()))

    def refuse(_fd):
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", refuse)
        assert queue.pool.door.take(os.getpid(), 9, 1) == -1
    assert len(descriptors(os.getpid())) == before + 1
    side.close()
    os.close(file)


def test_only_workers_come_in_by_the_side_door(queue):
    """A process that is no worker of the pool costs the listener no descriptor."""
    door = queue.pool.door
    queue.pool.workers[1].pid = 1
    before = len(descriptors(os.getpid()))
    sides = [ControlSocket.connect(queue.endpoint.descriptors) for _ in range(5)]
    assert door.take(1, 9, 1) == -1
    assert len(descriptors(os.getpid())) == before + len(sides)
    for side in sides:
        side.close()


def test_the_tick_finds_what_was_forgotten_and_nothing_else(queue, monkeypatch):
    """A message that no event will tell of is found, and read, by the second tick at the latest.

    One alone may have come between the two looks; the second within a minute is said. (Also if
    this machine is slow to look: the second look counts, however long after the first.)
    """
    monkeypatch.setattr("was.ipc.channel.GLANCE_S", LIMIT_S)
    router = None
    for worker_id, is_said in ((2, False), (3, True)):
        incarnation, dealer = queue.add_worker(worker_id)
        router = queue.pool.router
        assert [router.missed_an_edge() for _ in range(3)] == [False, False, False]
        queue.loop.remove_reader(router._fd)
        queue.send(dealer, m.Hello(9, 9, 9, 9))
        queue.wait(lambda fd=router._fd: select.select([fd], [], [], 0)[0])
        assert router.has_message()  # which takes the edge away
        assert router.missed_an_edge() is is_said
        queue.wait(lambda wanted=incarnation.worker_id: wanted in queue.faults())
        queue.loop.add_reader(router._fd, router.pump)
    assert [router.missed_an_edge() for _ in range(3)] == [False, False, False]
