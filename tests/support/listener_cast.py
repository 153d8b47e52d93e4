"""Who takes part in a listener's world: clients and workers, and the road between them."""

from dataclasses import dataclass, field

from support.listener_rig import FakeRouter, FakeWorker
from was.ipc import codec
from was.ipc import messages as m
from was.ipc.channel import Sent
from was.load.response_reader import ResponseReader

PIECE = 20_000
BODY = 3 * PIECE
LIMITS = {
    "queue_length": 20,
    "body_spool": PIECE,
    "failure_interval_s": 60.0,
    "time_limit_s": 40.0,
    "idle_time_limit_s": 20.0,
    "queue_time_limit_s": 30.0,
}


class Router(FakeRouter):
    """Workers that do not read; words of the dead that are still on their way."""

    def __init__(self):
        super().__init__()
        self.not_reading = set()
        self.on_the_way = []

    def send(self, identity, batch):
        if identity in self.not_reading:
            return Sent.NOT_READING
        return super().send(identity, batch)

    def has_message(self):
        return bool(self.on_the_way)

    def pump(self):
        if self.on_the_way:
            process, item = self.on_the_way.pop(0)
            process.channel.tell(item)


@dataclass
class Timers:
    """call_later of a loop whose time is the world's."""

    now: float = 0.0
    due: list = field(default_factory=list)

    def call_later(self, delay, function, *arguments):
        timer = Timer(self.now + delay, function, arguments)
        self.due.append(timer)
        return timer

    def advance(self, now):
        self.now = now
        for timer in [t for t in self.due if t.at <= now]:
            self.due.remove(timer)
            if not timer.is_cancelled:
                timer.function(*timer.arguments)


class Timer:
    """What call_later returns."""

    def __init__(self, at, function, arguments):
        self.at, self.function, self.arguments = at, function, arguments
        self.is_cancelled = False

    def cancel(self):
        self.is_cancelled = True


class Person:
    """A client: what it has sent, and what it saw."""

    def __init__(self, world):
        self.world = world
        self.client = world.rig.client()
        self.sent = []  # (method, number) of every request whose head has gone
        self.size = self.unsent = 0  # of the last one's body
        self.has_left = False
        self.is_done = False  # it has closed its half
        self.was_slow = False

    @property
    def transport(self):
        return self.client.transport

    @property
    def is_over(self):
        gone = self.has_left or self.transport.is_lost or self.transport.is_ended
        return gone or self.is_done

    def ask(self, method, path, kind):
        """Send a request, its body in part or whole."""
        number = self.world.new_number()
        head = f"{method} {path}?{number} HTTP/1.1\r\nHost: a\r\n"
        self.sent.append((method, number))
        if method in {"POST", "PUT"}:
            self.size = self.unsent = self.world.sizes[number] = BODY if kind % 3 else 10
            self.client.send(f"{head}Content-Length: {self.size}\r\n\r\n".encode())
            self.say_more()
        else:
            self.client.send(f"{head}\r\n".encode())

    def say_more(self):
        """A further piece of the body; a connection that answered already may not want it."""
        if self.is_over:
            return
        size = min(self.unsent, PIECE)
        start = self.size - self.unsent
        self.unsent -= size
        self.client.send(BYTES[start : start + size])

    def leave(self):
        self.has_left = True
        self.client.leave()

    def half_close(self):
        """It has asked for all it wants, and reads on."""
        self.is_done = True
        self.client.end()

    def stop_taking(self):
        """It reads nothing: the transport is full."""
        self.was_slow = True
        self.client.connection.pause_writing()

    def take_again(self):
        if self.client.connection.is_paused:
            self.client.connection.resume_writing()
            self.world.rig.turn()

    def answers(self):
        """(status, body) of the whole answers, and the beginning of one that is not whole."""
        data, whole = self.transport.sent, []
        for method, _ in self.sent:
            if not data:
                break
            reader = ResponseReader(method, keep_bytes=1 << 20)
            reader.feed(data)
            if not reader.is_complete and self.transport.is_ended and not self.transport.is_aborted:
                reader.eof()
            if not reader.is_complete:
                return whole, data
            whole.append((reader.status, bytes(reader.body), reader.will_close))
            data = reader.surplus
        return whole, data

    def check(self):
        """Exactly one answer for each request, in order, each its own; or an end it can see."""
        whole, rest = self.answers()
        for (method, number), (status, body, _) in zip(self.sent, whole, strict=False):
            if status == 200 and method != "HEAD":
                assert body.startswith(b"%d:" % number), (number, body[:40])
            assert status == 200 or number not in self.world.promised, (number, status)
        if self.has_left:
            return
        missing = self.sent[len(whole) :]
        if not missing:
            assert not rest, ("more than was asked for", rest[:80])
        elif whole and whole[-1][2]:
            assert not rest, ("more than was announced", rest[:80])
        elif self.transport.is_aborted:
            assert rest or self.unsent or self.was_slow, (
                "cut before anything of an answer had been sent",
                missing,
            )
        else:
            assert not rest, ("half an answer", rest[:80])
            assert self.unsent, ("never answered", missing)
        if missing and not (self.was_slow and self.transport.is_aborted):
            assert missing[0][1] not in self.world.promised


BYTES = bytes(range(256)) * (BODY // 256 + 1)


class Process:
    """A worker process: it reads when it likes, and does with each request what it likes."""

    def __init__(self, world):
        self.world = world
        self.channel = FakeWorker(world.rig, world.new_number())
        self.read_to = 0
        self.held = {}
        self.started = set()
        self.begun = set()  # answers
        self.cancelled = set()
        self.bodies = {}
        self.pulled = set()  # bodies, to the end
        self.is_stopped = False
        self.is_dead = False

    @property
    def incarnation(self):
        return self.channel.incarnation

    @property
    def is_silent(self):
        """Nothing that it says counts."""
        return self.is_dead or self.channel.is_faulty

    def unread(self):
        return self.channel.inbox[self.read_to :]

    def read(self):
        """Take in what has come."""
        items, self.read_to = self.unread(), len(self.channel.inbox)
        for item in items:
            match item:
                case m.Request():
                    assert not self.is_stopped, "a request after StopListening"
                    assert item.slot not in {held.slot for held in self.held.values()}
                    self.world.dispatched(item)
                    self.held[item.id] = item
                    self.bodies[item.id] = bytearray(item.body)
                case m.BodyChunk() if item.id in self.held:
                    body = self.bodies[item.id]
                    body += item.data
                    self.world.seen["pulled"] += 1
                    assert body == BYTES[: len(body)], "not the body that the client sends"
                    if item.last:
                        assert len(body) == self.world.sizes[number_of(self.held[item.id])]
                        self.pulled.add(item.id)
                case m.CancelRequest() if item.id in self.held:
                    self.cancelled.add(item.id)
                    if item.overdue:
                        self.world.seen["overdue"] += 1
                        assert item.id in self.started, "overdue before it began"
                case m.StopListening():
                    self.is_stopped = True
        if self.is_stopped:
            self._give_back()

    def _give_back(self):
        unbegun = [item for item in self.held.values() if item.id not in self.started]
        for item in unbegun:
            self._forget(item)
        if unbegun:
            self.world.seen["given back"] += 1
            self.tell(m.GivenBack([(i.id, i.attempt) for i in unbegun]))
        self.say_bye()

    def say_bye(self):
        if self.is_stopped and not self.held and not self.incarnation.has_left:
            self.tell(m.Bye())

    def tell(self, item):
        if not self.is_silent:
            self.channel.tell(item)

    def _forget(self, item):
        del self.held[item.id]
        for known in (self.started, self.begun, self.cancelled, self.pulled):
            known.discard(item.id)

    # what it may do with one request

    def ready_for(self, step):
        """The requests that this may happen to."""
        started, begun = self.started, self.begun
        match step:
            case "start":
                found = [i for i in self.held.values() if i.id not in started]
            case "pull":
                found = [i for i in self.held.values() if i.pull]
            case "begin":
                found = [i for i in self.held.values() if i.id in started - begun]
            case "more":
                found = [i for i in self.held.values() if i.id in begun]
            case "crash":
                found = [i for i in self.held.values() if i.path == "/crash"]
            case _:
                found = [i for i in self.held.values() if i.id in started]
        return found

    def start(self, item):
        if item.id not in self.started:
            self.channel.start(item)
            self.started.add(item.id)
            self.world.started(item)

    def pull(self, item):
        self.tell(m.BodyPull(item.id, item.attempt, PIECE))

    def begin(self, item):
        self.begun.add(item.id)
        first = b"%d:" % number_of(item)
        self.tell(m.Response(item.id, item.attempt, 200, "OK", b"", -1, first, True))

    def more(self, item):
        self.tell(m.ResponseChunk(item.id, item.attempt, b"more", True))

    def end(self, item):
        """The END as a message, once."""
        request = self.incarnation.outstanding.get(item.id)
        if not self.is_silent and request is not None and request.connection is not None:
            self.world.promised.add(number_of(item))
        is_begun = item.id in self.begun
        self._forget(item)
        if is_begun:
            return m.ResponseChunk(item.id, item.attempt, b"", False)
        body = b"%d:" % number_of(item)
        return m.Response(item.id, item.attempt, 200, "OK", b"", len(body), body, False)

    def finish(self, item):
        self.tell(self.end(item))
        self.say_bye()

    def abort(self, item):
        self._forget(item)
        self.tell(m.AbortResponse(item.id, item.attempt, "", 0))
        self.say_bye()

    def lie(self):
        """An answer to a request that it was never given."""
        self.channel.tell_raw(
            codec.encode(m.ToListener(1, [m.Response(1 << 40, 1, 200, "OK", b"", 0, b"", False)]))
        )
        assert self.channel.is_faulty

    def die(self, last_words=()):
        """SIGKILL; some of what it had said is read only now."""
        self.world.router.not_reading.discard(self.channel.identity)
        self.world.router.on_the_way += [(self.channel and self, item) for item in last_words]
        self.channel.die()
        self.is_dead = True


def number_of(item):
    return int(item.query)
