"""A listener without sockets: real service, broker and connections; transports, router and clock
are made of lists, so that a test decides what happens when.
"""

import asyncio
import os
import socket

from was.ipc import codec
from was.ipc import listener_control as lc
from was.ipc import messages as m
from was.ipc.channel import Sent
from was.ipc.scoreboard import RequestState, ScoreboardWriter, make_scoreboard
from was.ipc.served import ListenerSettings, LogSettings, PoolQueue, PoolRoute, SiteRoute
from was.listener import time_limits, worker_deaths
from was.listener.connection import ClientConnection
from was.listener.deadlines import expire
from was.listener.incarnation import Incarnation
from was.listener.service import ListenerService

SLOTS = 4


class FakeTransport:
    """What a client would see, and how much of it is still on its way (`buffered`)."""

    def __init__(self, connection, loop):
        self.connection = connection
        self.loop = loop
        self.sent = b""
        self.buffered = 0
        self.is_reading = True
        self.is_ended = False
        self.is_aborted = False
        self.is_lost = False
        self.is_reset = False
        self.has_peer_reset = False

    def get_extra_info(self, name):
        if name == "socket":
            return self
        return ("127.0.0.1", 40000 if name == "peername" else 80)

    def setsockopt(self, _level, option, _value):
        if option == socket.SO_LINGER:
            self.is_reset = True

    def getsockopt(self, _level, option, size):
        assert (option, size) == (socket.TCP_INFO, 1)
        return bytes([7 if self.has_peer_reset else 8])  # TCP_CLOSE, TCP_CLOSE_WAIT

    def set_write_buffer_limits(self, high, low):
        pass

    def get_write_buffer_size(self):
        return self.buffered

    def write(self, data):
        self.sent += data

    def is_closing(self):
        return self.is_lost

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.is_ended = True

    def close(self):
        self.is_ended = True
        if not self.buffered:
            self._lose()

    def abort(self):
        self.is_aborted = True
        self._lose()

    def _lose(self):
        if not self.is_lost:
            self.is_lost = True
            self.loop.call_soon(self.connection.connection_lost, None)


class FakeRouter:
    """Keeps what is sent, by identity."""

    def __init__(self):
        self.sent = {}
        self.ended = set()
        self.answer = Sent.YES
        self.attempts = 0

    def send(self, identity, batch):
        self.attempts += 1
        if self.answer is Sent.YES:
            self.sent.setdefault(identity, []).extend(codec.decode_to_worker(batch).items)
        return self.answer

    def pump(self):
        pass

    def has_message(self):
        return False

    def missed_an_edge(self):
        return False

    def read_disconnects(self):
        pass

    def has_disconnected(self, source):
        return source in self.ended

    def forget_disconnect(self, source):
        self.ended.discard(source)

    def cut_strangers(self, known, most):
        return 0

    def close(self):
        pass


class FakeDoor:
    """Descriptors that workers passed, by token."""

    def __init__(self):
        self.passed = {}

    def take(self, _pid, _request_id, token):
        return self.passed.pop(token, -1)

    def forget(self, _pid):
        pass

    def close(self):
        pass


class Client:
    """A client's connection, from its own side."""

    def __init__(self, rig):
        self.rig = rig
        self.connection = ClientConnection(rig.service, "http")
        self.transport = FakeTransport(self.connection, rig.loop)
        self.connection.connection_made(self.transport)

    def send(self, data):
        self.connection.data_received(data)
        self.rig.turn()

    def get(self, path="/"):
        self.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())

    def end(self):
        if not self.connection.eof_received():
            self.transport.close()
        self.rig.turn()

    def leave(self):
        self.transport.abort()
        self.rig.turn()

    def statuses(self):
        return [int(part[:3]) for part in self.transport.sent.split(b"HTTP/1.1 ")[1:]]


class FakeWorker:
    """A worker's queue channel; what it is sent lies in `inbox`."""

    def __init__(self, rig, number, reserve=0):
        self.rig = rig
        fd = make_scoreboard(SLOTS + reserve)
        self.board = ScoreboardWriter(fd)
        self.identity = number.to_bytes(16, "big")
        pidfd = os.pidfd_open(os.getpid())
        self.incarnation = Incarnation(
            number, os.getpid(), self.identity, SLOTS, pidfd, fd, 0, reserve
        )
        rig.pool.add_worker(self.incarnation)
        self.tell(m.Hello(m.PROTOCOL_VERSION, number, os.getpid(), SLOTS), source=100 + number)
        rig.pool.activate(number, [])
        rig.turn()

    @property
    def inbox(self):
        return self.rig.router.sent.setdefault(self.identity, [])

    def requests(self):
        return [item for item in self.inbox if isinstance(item, m.Request)]

    def chunks(self):
        return [item for item in self.inbox if isinstance(item, m.BodyChunk)]

    def tell(self, *items, source=-1):
        self.tell_raw(codec.encode(m.ToListener(1, list(items))), source)

    def tell_raw(self, data, source=-1):
        self.rig.pool.hearing.on_message(self.identity, data, source)
        self.rig.pool.turn()
        self.rig.turn()

    def start(self, request):
        row = self.board.row(request.slot)
        self.board.words[row] = request.id << 11 | request.attempt << 3 | RequestState.STARTED

    def answer(self, request, body=b"hello", **changes):
        fields = {"status": 200, "reason": "OK", "block": b"", "length": len(body), "more": False}
        fields.update(changes)
        self.tell(m.Response(request.id, request.attempt, body=body, **fields))

    def die(self):
        self.rig.router.ended.add(self.incarnation.source)
        worker_deaths.on_death(self.rig.pool, self.incarnation)
        self.rig.turn()

    @property
    def is_faulty(self):
        return self.incarnation.is_faulty


class Rig:
    """One pool, one site, as many workers and clients as a test wants."""

    def __init__(self, folder, engine="auto", **pool):
        self.loop = asyncio.new_event_loop()
        self.now = 1000.0
        self.notices = []
        self.service = service = ListenerService(self.loop, "nowhere")
        service.time = lambda: self.now
        service.tick = lambda: None  # however slow the machine: `pass_time` looks at the limits
        service.manager.tell = self.notices.append
        service.welcome(
            lc.ListenerWelcome(1, ListenerSettings(str(folder), str(folder), str(folder), engine))
        )
        service.set_pools([PoolQueue("Pool", True, **pool)])
        self.pool = service.pools["Pool"]
        self.router = self.pool.router = FakeRouter()
        self.door = self.pool.door = FakeDoor()
        service.channels.append(self.router)
        log = LogSettings(False, str(folder), "Daily", 0, False, 0)
        self.site = SiteRoute(1, "Site", True, [("http", "*:80:")], [PoolRoute("/", "Pool")], log)
        service.routes.configure([self.site], service.pools, service.scaled)
        self.workers = []
        self.clients = []

    def worker(self, reserve=0):
        self.workers.append(FakeWorker(self, len(self.workers) + 1, reserve))
        return self.workers[-1]

    def client(self):
        self.clients.append(Client(self))
        return self.clients[-1]

    def turn(self):
        """A few turns of the loop: whatever was to happen soon has happened."""
        for _ in range(4):
            self.loop.run_until_complete(asyncio.sleep(0))

    def pass_time(self, seconds):
        """Time goes by; every limit is looked at as it passes."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 1.0)
            time_limits.expire(self.pool, self.now)
            for connection in list(self.service.connections):
                if 0.0 < connection.deadline < self.now:
                    expire(connection)
            self.service.half_closed.look(self.now)
            self.turn()

    def close(self):
        for client in self.clients:
            client.transport.abort()
        self.turn()
        self.pool.close()
        self.service.programs.close()
        for worker in self.workers:
            worker.board.close()
        self.service.records.logs.close()
        self.service.context.close()
        self.loop.close()
