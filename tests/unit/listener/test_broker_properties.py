"""Queue and broker through any interleaving: every request ends once, none runs twice unasked."""

import random
import tempfile
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.listener_cast import Router
from support.listener_world import World

from was.errors import LocalProtocolError
from was.ipc.channel import Sent
from was.listener import fate, time_limits, worker_deaths
from was.listener.broker import PoolBroker
from was.listener.incarnation import Incarnation
from was.listener.ledger import Standing
from was.listener.quarantine import Quarantine

KINDS = (
    ["ask"] * 10
    + ["say_more"] * 8
    + ["read", "start"] * 15
    + ["pull"] * 8
    + ["begin", "more", "end"] * 5
    + ["abort", "crash", "wait", "read_again", "online", "leave"] * 2
    + ["die", "die_speaking", "replace", "wait_long", "lie", "stop_reading", "offline"]
    + ["half_close", "stop_taking", "take_again"]
)
METHODS = ["GET", "GET", "HEAD", "POST", "PUT"]
REPLAYS = ["none", "safe", "idempotent"]
STEPS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 50), st.sampled_from(METHODS)),
    min_size=30,
    max_size=150,
)


def pick(items, number):
    items = list(items)
    return items[number % len(items)] if items else None


def take_step(world: World, step: str, number: int, method: str) -> bool:
    """One thing happens; False when there is nothing that it could happen to."""
    process = pick(world.alive, number)
    item = pick(process.ready_for(step), number) if process else None
    match step:
        case "ask":
            world.ask(number, method, "/crash" if number % 5 == 0 else "/")
        case "say_more":
            speaking = pick([p for p in world.people if p.unsent and not p.is_over], number)
            if speaking is None:
                return False
            speaking.say_more()
        case "leave":
            person = pick([p for p in world.people if not p.is_over], number)
            if person is None:
                return False
            person.leave()
        case "half_close":
            person = pick([p for p in world.people if not p.is_over and not p.unsent], number)
            if person is None:
                return False
            person.half_close()
        case "stop_taking" | "take_again":
            person = pick([p for p in world.people if not p.has_left], number)
            if person is None:
                return False
            person.stop_taking() if step == "stop_taking" else person.take_again()
        case "wait":
            world.wait(number / 10)
        case "wait_long":
            world.wait(number)
        case "offline" | "online":
            world.set_accepting(step == "online")
        case _ if process is None:
            return False
        case "read":
            process.read()
        case "die":
            world.kill(process)
        case "die_speaking":
            world.kill(process, [process.end(i) for i in process.ready_for(step)[: number % 3]])
        case "replace":
            world.replace(process)
        case "lie":
            process.lie()
        case "stop_reading":
            world.router.not_reading.add(process.channel.identity)
        case "read_again":
            world.router.not_reading.discard(process.channel.identity)
        case "crash":
            if item is None:
                return False
            process.start(item)
            world.kill(process)
        case _ if item is None:
            return False
        case "start":
            process.start(item)
        case "pull":
            process.pull(item)
        case "begin":
            process.begin(item)
        case "more":
            process.more(item)
        case "abort":
            process.abort(item)
        case "end":
            process.finish(item)
    return True


def run_world(steps, replay, streaming, seen=None):
    """One life of a listener, from its first step to the check of everything at its end."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(folder, replay=replay, streaming=streaming)
        try:
            for step, number, method in steps:
                if take_step(world, step, number, method) and seen is not None:
                    seen[step] += 1
                world.check_now()
            world.finish()
            world.check()
            if seen is not None:
                seen.update(world.outcomes())
        finally:
            world.close()


@settings(max_examples=200)
@given(STEPS, st.sampled_from(REPLAYS), st.booleans())
def test_every_request_ends_once_and_none_runs_twice_unasked(steps, replay, streaming):
    """Dispatch, start, chunk, end, death, give-back, time limit, disconnect: in any order."""
    run_world(steps, replay, streaming)


# ── is the property worth anything? ─────────────────────────────────────────────────────────────


def many_lives(count, seed=1, seen=None):
    """The same lives each time, however the library above would choose."""
    chance = random.Random(seed)
    for _ in range(count):
        steps = [
            (chance.choice(KINDS), chance.randint(0, 50), chance.choice(METHODS))
            for _ in range(chance.randint(30, 150))
        ]
        run_world(steps, chance.choice(REPLAYS), chance.random() < 0.5, seen)


def test_everything_that_can_happen_does():
    """No step and no outcome is so rare that the property says nothing of it."""
    seen = Counter()
    many_lives(120, seen=seen)
    outcomes = {"200", "502", "503", "504", "cut", "repeated", "given back", "overdue", "pulled"}
    assert {kind: seen[kind] for kind in {*KINDS, *outcomes} if seen[kind] < 5} == {}


def _answers_after_504(patch):
    """A request that was answered for its worker is not forgotten."""
    abandon = PoolBroker.abandon

    def not_quite(pool, request):
        connection = request.connection
        abandon(pool, request)
        request.connection = connection

    patch.setattr(PoolBroker, "abandon", not_quite)


def _credit_comes_back_with_the_504(patch):
    abandon = PoolBroker.abandon

    def too_early(pool, request):
        if request.worker is not None and request.id in request.worker.outstanding:
            request.worker.free_slots.append(request.slot)
        abandon(pool, request)

    patch.setattr(PoolBroker, "abandon", too_early)


def _takes_back_what_had_begun(patch):
    patch.setattr(
        worker_deaths,
        "decide_fate",
        lambda request, has_started: fate.decide_fate(request, has_started=False),
    )


def _believes_no_scoreboard(patch):
    patch.setattr(worker_deaths, "has_started", lambda *_: False)


def _forgets_what_had_not_begun(patch):
    queue_again = PoolBroker.queue_again
    patch.setattr(PoolBroker, "queue_again", lambda pool, r: r.attempt < 2 and queue_again(pool, r))


def _leaves_last_words_unread(patch):
    patch.setattr(Router, "has_message", lambda _: False)


def _keeps_what_was_given_back(patch):
    patch.setattr(Incarnation, "release", lambda *_: None)


def _dispatches_to_who_stops(patch):
    patch.setattr(PoolBroker, "take_from_dispatch", lambda *_: None)


def _goes_on_in_the_middle_of_a_body(patch):
    give = PoolBroker._give

    def in_the_middle(pool, worker, request, now):
        at = request.pull_offset
        give(pool, worker, request, now)
        request.pull_offset = at

    patch.setattr(PoolBroker, "_give", in_the_middle)


def _counts_the_limit_from_the_dispatch(patch):
    patch.setattr(time_limits, "has_started", lambda *_: True)


def _drops_what_a_worker_does_not_read(patch):
    patch.setattr(Router, "send", lambda *_: Sent.YES)


def _runs_suspects_together(patch):
    patch.setattr(Quarantine, "judge", lambda *_: Standing.CLEAR)


HARM = [
    _answers_after_504,
    _credit_comes_back_with_the_504,
    _takes_back_what_had_begun,
    _believes_no_scoreboard,
    _forgets_what_had_not_begun,
    _leaves_last_words_unread,
    _keeps_what_was_given_back,
    _dispatches_to_who_stops,
    _goes_on_in_the_middle_of_a_body,
    _counts_the_limit_from_the_dispatch,
    _drops_what_a_worker_does_not_read,
    _runs_suspects_together,
]


@pytest.mark.parametrize("harm", HARM)
def test_the_property_finds(harm, monkeypatch):
    """Code that is broken on purpose is found out."""
    harm(monkeypatch)
    with pytest.raises((AssertionError, LocalProtocolError)):
        many_lives(200)
