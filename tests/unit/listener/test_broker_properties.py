"""Queue and broker through any interleaving: every request ends once, none runs twice unasked.

Some requests are for a URL that kills, so that suspects, poison and quarantine come about; time
passes, so that all limits do.
"""

import os
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from was.ipc import codec
from was.ipc import messages as m
from was.ipc.channel import Sent
from was.ipc.scoreboard import RequestState, ScoreboardWriter, make_scoreboard
from was.listener.broker import PoolBroker
from was.listener.incarnation import Incarnation
from was.listener.request import ClientRequest, Progress

SLOTS = 3


class FakeLoop:
    """Calls what is due at once: a death is settled in the step in which it happens."""

    def add_reader(self, *_):
        pass

    def remove_reader(self, *_):
        pass

    def call_later(self, _delay, function, *arguments):
        return SimpleNamespace(cancel=lambda: None)

    def time(self):
        return self.now

    now = 1000.0


class FakeService:
    """What the broker asks of its listener."""

    def __init__(self):
        self.loop = FakeLoop()
        self.time = self.loop.time
        self.epoch = 1
        self.spool_folder = Path("/nonexistent")
        self.settled_facts = []
        self.faults = []
        self.overdue_workers = []

    def mark(self, pool):
        pool.turn()

    def demand(self, *_, **__):
        pass

    def count(self, _name):
        pass

    def scaled(self, seconds):
        return seconds

    def attached(self, _worker_id):
        pass

    def drained(self, _worker_id):
        pass

    def faulty(self, _worker_id, detail):
        self.faults.append(detail)

    def settled(self, worker_id, facts, _finished):
        self.settled_facts.append((worker_id, facts))

    def overdue(self, worker_id, _request, *, is_responding):
        self.overdue_workers.append(worker_id)

    def log_request(self, *_):
        pass


class FakeConnection:
    """A client: counts how its one request ended."""

    def __init__(self, number):
        self.id = number
        self.peer = ("127.0.0.1", 1, "127.0.0.1", 80)
        self.ends = []

    def _over(self, request, how):
        self.ends.append(how)
        request.progress = Progress.ENDED
        request.connection = None

    def on_response(self, request, item, _fd):
        if item.more:
            request.progress = Progress.RESPONDING
        else:
            self._over(request, "answered")

    def on_chunk(self, request, item, _fd):
        if not item.more:
            self._over(request, "answered")

    def on_abort(self, request, _item):
        if request.progress is Progress.RESPONDING:
            self.abort_of(request)
        else:
            self.fail(request, 502, "")

    def fail(self, request, status, _reason):
        request.pool.abandon(request)
        self.ends.append(status)

    def abort(self, _why, _reason=""):
        self.abort_of(self.request)

    def holds_worker_back(self):
        return False

    def abort_of(self, request):
        request.pool.abandon(request)
        self.ends.append("cut")


class World:
    """One pool, its workers as they would behave, and what became of each request."""

    def __init__(self, replay):
        self.service = FakeService()
        self.pool = PoolBroker(
            self.service,
            m.PoolQueue(
                "p",
                True,
                queue_length=20,
                replay=replay,
                failure_interval_s=60.0,
                time_limit_s=40.0,
                idle_time_limit_s=20.0,
            ),
        )
        self.pool.router = self
        self.workers = {}
        self.connections = []
        self.runs = Counter()
        self.requests = []
        self.next_id = 0
        self.next_worker = 0

    # the router's side

    def send(self, identity, batch):
        worker = next(w for w in self.workers.values() if w.incarnation.identity == identity)
        for item in codec.decode_to_worker(batch).items:
            if isinstance(item, m.Request):
                assert item.slot not in worker.slots_in_use()
                self.check_suspects(worker.incarnation)
                assert not worker.is_stopped
                worker.held[item.id] = item
            elif isinstance(item, m.CancelRequest) and item.overdue:
                assert item.id in worker.started
            elif isinstance(item, m.StopListening):
                worker.is_stopped = True
        return Sent.YES

    def pump(self):
        pass

    def has_message(self):
        return False

    def read_disconnects(self):
        pass

    def has_disconnected(self, source):
        return source not in self.workers  # its number; a dead one is taken out first

    def check_suspects(self, incarnation):
        """A request that has seen a death is the only such one of its worker."""
        held = incarnation.outstanding.values()
        suspects = [request for request in held if request.is_suspect]
        assert len(suspects) <= 1
        assert not suspects or incarnation.suspect is suspects[0]

    # what can happen

    def add_worker(self):
        self.next_worker += 1
        fd = make_scoreboard(SLOTS)
        incarnation = Incarnation(
            self.next_worker,
            os.getpid(),
            self.next_worker.to_bytes(16, "big"),
            SLOTS,
            os.pidfd_open(os.getpid()),
            fd,
        )
        worker = FakeWorker(incarnation, ScoreboardWriter(fd))
        self.workers[self.next_worker] = worker
        self.pool.workers[self.next_worker] = incarnation
        self.pool.by_identity[incarnation.identity] = incarnation
        incarnation.is_attached = True
        incarnation.source = self.next_worker
        self.pool.activate(self.next_worker, [])

    def submit(self, method, path="/"):
        self.next_id += 1
        connection = FakeConnection(self.next_id)
        head = SimpleNamespace(
            method=method,
            target=path,
            path=path,
            query="",
            version=11,
            fields=[("Host", "a")],
            size=40,
        )
        request = ClientRequest(
            self.next_id, connection, head, self.pool, 1, "/", 1000.0, 1000.0, 40
        )
        connection.request = request
        self.connections.append(connection)
        self.requests.append((request, connection, method))
        self.pool.submit(request)

    def tell(self, worker, item):
        self.pool.hearing.on_message(
            worker.incarnation.identity, codec.encode(m.ToListener(1, [item])), -1
        )
        self.pool.turn()

    def start(self, worker, item):
        words, row = worker.board.words, worker.board.row(item.slot)
        words[row] = item.id << 11 | item.attempt << 3 | RequestState.STARTED
        worker.started.add(item.id)
        self.runs[item.id] += 1

    def begin_response(self, worker, item):
        worker.responding.add(item.id)
        self.tell(worker, m.Response(item.id, item.attempt, 200, "OK", b"", -1, b"x", True))

    def end(self, worker, item):
        del worker.held[item.id]
        worker.started.discard(item.id)
        if item.id in worker.responding:
            worker.responding.discard(item.id)
            self.tell(worker, m.ResponseChunk(item.id, item.attempt, b"", False))
        else:
            self.tell(worker, m.Response(item.id, item.attempt, 200, "OK", b"", 0, b"", False))

    def die(self, worker):
        del self.workers[worker.incarnation.worker_id]
        worker.board.close()
        self.pool.deaths.on_death(worker.incarnation)

    def crashing(self, worker):
        """A request that kills the worker once it runs, None if it has none."""
        held = (item for item in worker.held.values() if item.path == "/crash")
        return next(held, None)

    def wait(self, seconds):
        self.service.loop.now += seconds
        self.pool.limits.expire(self.service.loop.now)

    def drain(self, worker):
        self.pool.drain(worker.incarnation.worker_id, graceful=True)
        self.pool.turn()
        unbegun = [i for i in worker.held.values() if i.id not in worker.started]
        for item in unbegun:
            del worker.held[item.id]
        if unbegun:
            self.tell(worker, m.GivenBack([(i.id, i.attempt) for i in unbegun]))

    def leave(self, connection):
        if not connection.ends and connection.request.connection is connection:
            connection.ends.append("gone")
            self.pool.client_gone(connection.request)


class FakeWorker:
    """A worker process: what it holds, what it has begun."""

    def __init__(self, incarnation, board):
        self.incarnation = incarnation
        self.board = board
        self.held = {}
        self.started = set()
        self.responding = set()
        self.is_stopped = False

    def slots_in_use(self):
        return {item.slot for item in self.held.values()}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["submit"] * 4
            + ["start"] * 5
            + ["end"] * 2
            + ["crash"] * 2
            + ["respond", "die", "drain", "leave", "wait"]
        ),
        st.integers(0, 50),
        st.sampled_from(["GET", "POST"]),
    ),
    min_size=25,
    max_size=80,
)


def pick(items, number):
    items = list(items)
    return items[number % len(items)] if items else None


@settings(max_examples=150)
@given(STEPS, st.sampled_from(["none", "safe", "idempotent"]))
def test_every_request_ends_once_and_none_runs_twice_unasked(steps, replay):
    """Dispatch, start, response, end, death, give-back, a client that leaves: in any order."""
    world = World(replay)
    world.add_worker()
    world.add_worker()
    for step, number, method in steps:
        worker = pick(world.workers.values(), number)
        held = pick(worker.held.values(), number) if worker else None
        if step == "submit":
            world.submit(method, "/crash" if number % 5 == 0 else "/")
        elif step == "wait":
            world.wait(number)
        elif step == "leave" and world.connections:
            world.leave(pick(world.connections, number))
        elif worker is None:
            continue
        elif step == "start" and held and held.id not in worker.started:
            world.start(worker, held)
        elif step == "respond" and held and held.id in worker.started - worker.responding:
            world.begin_response(worker, held)
        elif step == "end" and held and held.id in worker.started:
            world.end(worker, held)
        elif step == "crash":
            crashing = world.crashing(worker)
            if crashing is None:
                continue
            if crashing.id not in worker.started:
                world.start(worker, crashing)
            world.die(worker)
            world.add_worker()
        elif step == "die":
            world.die(worker)
            world.add_worker()
        elif step == "drain" and not worker.is_stopped:
            world.drain(worker)
            world.add_worker()
    finish_all(world)

    assert world.service.faults == []
    for request, connection, method in world.requests:
        assert len(connection.ends) == 1, (request.id, connection.ends)
        if replay == "none" or method == "POST":
            assert world.runs[request.id] <= 1
    assert len(world.pool.queue) == 0
    assert world.pool.account.held_bytes == 0
    for worker in world.workers.values():
        assert worker.incarnation.outstanding == {}
        assert sorted(worker.incarnation.free_slots) == list(range(SLOTS))
        assert worker.incarnation.suspect is None
    for worker in list(world.workers.values()):
        worker.board.close()
        world.pool.forget(worker.incarnation)


def finish_all(world):
    """Let every worker do what it still has to do, until nothing is left."""
    for _ in range(1000):
        busy = [w for w in world.workers.values() if w.held]
        if not busy:
            return
        for worker in busy:
            for item in list(worker.held.values()):
                if item.id not in worker.started:
                    world.start(worker, item)
                world.end(worker, item)
    raise AssertionError("requests that never end")
