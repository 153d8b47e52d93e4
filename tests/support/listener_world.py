"""A listener among clients and workers that do whatever they may, whenever they may.

Built on the rig: real service, broker and connections. What a worker is sent lies unread until it
reads; what it has said when it dies may still be on its way; a worker may stop reading. Clients
send their bodies piece by piece, use a connection again, pipeline, and leave.

`World.check` says what must hold at the end, and is what the property is about: every request that
was sent whole is answered exactly once with its own answer, or cut where its client can see it, and
none that had begun and may not be repeated was begun again.
"""

from collections import Counter

from support.listener_cast import LIMITS, Person, Process, Router, Timers, number_of
from support.listener_rig import SLOTS, Rig
from was.ipc.served import PoolQueue

REPEATABLE = {
    "none": set(),
    "safe": {"GET", "HEAD"},
    "idempotent": {"GET", "HEAD", "PUT"},
}


class World:
    """One listener, and all there is to happen."""

    def __init__(self, folder, *, replay="safe", streaming=False, engine="llhttp"):
        self.replay = replay
        self.rig = rig = Rig(folder, engine, replay=replay, streaming=streaming, **LIMITS)
        self.timers = Timers(rig.now)
        rig.loop.call_later = self.timers.call_later
        rig.loop.time = lambda: self.timers.now
        self.router = rig.router = rig.pool.router = Router()
        rig.service.channels[:] = [self.router]
        self.numbers = 0
        self.methods = {}
        self.sizes = {}  # of bodies
        self.starts = Counter()  # by number
        self.promised = set()  # numbers whose answer a worker has given to the end
        self.seen = Counter()
        self.people = []
        self.processes = []
        for _ in range(2):
            self.new_process()

    def new_number(self):
        self.numbers += 1
        return self.numbers

    def new_process(self):
        self.processes.append(Process(self))

    @property
    def alive(self):
        return [process for process in self.processes if not process.is_dead]

    # what workers tell

    def dispatched(self, item):
        number = number_of(item)
        self.methods[number] = item.method
        assert not self.starts[number] or self.may_repeat(number), "begun, and dispatched again"

    def started(self, item):
        self.starts[number_of(item)] += 1

    def may_repeat(self, number):
        return self.methods[number] in REPEATABLE[self.replay]

    # what happens

    def wait(self, seconds):
        end = self.rig.now + seconds
        while self.rig.now < end:
            self.timers.advance(min(end, self.rig.now + 1.0))
            self.rig.pass_time(self.timers.now - self.rig.now)

    def ask(self, number, method, path="/"):
        free = [p for p in self.people if not p.is_over and not p.unsent]
        if not free or number % 4:
            self.people.append(Person(self))
            free = self.people[-1:]
        free[number % len(free)].ask(method, path, number)

    def set_accepting(self, accepting):
        settings = PoolQueue(
            "Pool",
            accepting,
            "" if accepting else "AppOffline",
            replay=self.replay,
            streaming=self.rig.pool.settings.streaming,
            **LIMITS,
        )
        self.rig.service.set_pools([settings])
        self.rig.turn()

    def replace(self, process):
        """Overlapped recycling: the successor is active, the old one is told to finish."""
        self.new_process()
        if not process.is_silent:
            self.rig.pool.activate(
                self.processes[-1].incarnation.worker_id, [process.incarnation.worker_id]
            )
            self.rig.turn()

    def kill(self, process, last_words=()):
        process.die(last_words)
        if len(self.alive) < 2:
            self.new_process()

    # how it ends

    def finish(self):
        """Everybody does what is still to be done, until nothing is left."""
        self.set_accepting(True)
        self.router.not_reading.clear()
        for person in self.people:
            person.take_again()
        self.wait(1)
        for process in self.alive:
            if process.is_silent:
                self.kill(process)
        if not any(not p.is_stopped and not p.incarnation.is_draining for p in self.alive):
            self.new_process()
        for _ in range(200):
            self.rig.turn()
            busy = [p for p in self.alive if p.held or p.unread()]
            speaking = [p for p in self.people if p.unsent and not p.is_over]
            if not busy and not speaking:
                break
            for person in speaking:
                person.say_more()
            for process in busy:
                process.read()
                for item in list(process.held.values()):
                    process.start(item)
                    if item.pull and item.id not in process.pulled | process.cancelled:
                        process.pull(item)
                    else:
                        process.finish(item)
        else:
            raise AssertionError("requests that never end")

    def check(self):
        """What must hold whatever has happened."""
        pool = self.rig.pool
        for person in self.people:
            person.check()
        for number, count in self.starts.items():
            assert count == 1 or self.may_repeat(number), (number, count)
            assert count <= 4
        assert len(pool.queue) == 0
        assert not pool.queue.has_waiting()
        for process in self.alive:
            assert not process.channel.is_faulty
            assert process.incarnation.outstanding == {}
            assert sorted(process.incarnation.free_slots) == list(range(SLOTS))
            assert process.incarnation.suspect is None
            assert process.incarnation.unsent == []
        assert set(pool.workers.values()) == {p.incarnation for p in self.alive}
        assert pool.account.held_bytes == 0
        for person in self.people:
            if person.unsent and not person.is_over:
                person.leave()  # a part of a body may lie in memory until it is whole
        assert self.rig.service.spool_memory.held_bytes == 0

    def check_now(self):
        """What must hold at every moment."""
        for process in self.alive:
            incarnation = process.incarnation
            used = [request.slot for request in incarnation.outstanding.values()]
            assert sorted(incarnation.free_slots + used) == list(range(SLOTS))
            running = incarnation.outstanding.values()
            suspects = [request for request in running if request.is_suspect]
            assert len(suspects) <= 1
            assert not suspects or incarnation.suspect is suspects[0]

    def outcomes(self):
        """How often what became of the requests."""
        seen = self.seen.copy()
        for person in self.people:
            whole, rest = person.answers()
            seen.update(str(status) for status, *_ in whole)
            seen["cut"] += bool(rest) and not person.has_left
        seen["repeated"] += sum(count > 1 for count in self.starts.values())
        return seen

    def close(self):
        """Give descriptors back."""
        del self.rig.loop.call_later
        del self.rig.loop.time
        for process in self.processes:
            process.channel.board.close()
        self.rig.close()
