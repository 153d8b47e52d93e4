"""The request queue: order, limit, places that are kept."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from was.listener.queue import RequestQueue


@dataclass(eq=False)
class Waiting:
    id: int
    is_queued: bool = False

    def __lt__(self, other):
        return self.id < other.id


def filled(count, limit=100):
    queue = RequestQueue(limit)
    requests = [Waiting(arrival) for arrival in range(count)]
    for request in requests:
        assert queue.offer(request)
    return queue, requests


def test_requests_leave_in_the_order_they_came():
    """The oldest request is taken first."""
    queue, requests = filled(5)
    assert [queue.take() for _ in range(5)] == requests
    assert queue.take() is None


def test_the_limit_counts_waiting_requests():
    """A full queue refuses; a request taken makes room for one."""
    queue, _ = filled(3, limit=3)
    assert not queue.offer(Waiting(9))
    queue.take()
    assert queue.offer(Waiting(10))


def test_a_request_given_back_takes_its_old_place():
    """What comes back from a worker goes before everything that arrived after it."""
    queue, requests = filled(3)
    first = queue.take()
    queue.give_back(first)
    assert queue.take() is first
    assert queue.take() is requests[1]


def test_given_back_requests_do_not_count_against_the_limit():
    """A request that was admitted once is never refused, nor does it make another one refused."""
    queue, _ = filled(2, limit=2)
    taken = queue.take()
    assert queue.offer(Waiting(7))
    queue.give_back(taken)
    assert len(queue) == 3
    assert not queue.offer(Waiting(8))


def test_a_withdrawn_request_is_never_taken():
    """The client has gone: its request is skipped, and its place is free at once."""
    queue, requests = filled(2, limit=2)
    queue.withdraw(requests[0])
    assert queue.offer(Waiting(5))
    assert queue.take() is requests[1]


def test_withdrawing_what_was_given_back_frees_no_place():
    """A given-back request held no place of the limit, so withdrawing it gives none."""
    queue, requests = filled(2, limit=2)
    first = queue.take()
    assert queue.offer(Waiting(6))
    queue.give_back(first)
    queue.withdraw(first)
    assert not queue.offer(Waiting(7))
    assert queue.peek() is requests[1]


@given(st.lists(st.tuples(st.sampled_from("otgw"), st.integers(0, 30)), max_size=200))
def test_the_queue_agrees_with_a_sorted_list(steps):
    """Whatever happens in whatever order: the oldest waiting request is next, none is lost."""
    queue = RequestQueue(8)
    waiting = {}  # arrival -> (request, counted)
    out = []
    arrival = 0
    for step, number in steps:
        if step == "o":
            request = Waiting(arrival)
            arrival += 1
            counted = sum(1 for _, c in waiting.values() if c)
            assert queue.offer(request) == (counted < 8)
            if counted < 8:
                waiting[request.id] = (request, True)
        elif step == "t":
            expected = waiting[min(waiting)][0] if waiting else None
            taken = queue.take()
            assert taken is expected
            if taken is not None:
                del waiting[taken.id]
                out.append(taken)
        elif step == "g" and out:
            request = out.pop(number % len(out))
            queue.give_back(request)
            waiting[request.id] = (request, False)
        elif step == "w" and waiting:
            key = sorted(waiting)[number % len(waiting)]
            queue.withdraw(waiting.pop(key)[0])
        assert len(queue) == len(waiting)
        assert [r.id for r in queue] == sorted(waiting)
        assert queue.has_waiting() == bool(waiting)


def test_what_is_set_aside_lets_others_pass():
    """A request set aside waits where it is taken from on purpose, oldest first."""
    queue, requests = filled(4)
    for _ in range(2):
        queue.set_aside(queue.take())
    assert queue.has_aside
    assert len(queue) == 4
    assert list(queue) == requests
    assert [queue.take(), queue.take(), queue.take()] == [requests[2], requests[3], None]
    assert queue.has_waiting()
    assert [queue.take_aside() for _ in range(3)] == [requests[0], requests[1], None]
    assert not queue.has_waiting()


def test_what_is_set_aside_comes_back_to_its_place():
    """A request that may pass after all is taken before those that came later."""
    queue, requests = filled(3)
    for _ in range(2):
        queue.set_aside(queue.take())
    queue.bring_back(lambda request: request is requests[1])
    assert [queue.take(), queue.take(), queue.take()] == [requests[1], requests[2], None]
    assert queue.take_aside() is requests[0]


def test_what_is_set_aside_can_be_withdrawn_and_drained():
    """Waiting aside is waiting: a client may leave, a queue may close."""
    queue, requests = filled(3)
    for _ in range(2):
        queue.set_aside(queue.take())
    queue.withdraw(requests[0])
    assert len(queue) == 2
    assert queue.take_aside() is requests[1]
    queue.set_aside(requests[1])
    assert queue.drain() == requests[1:]
    assert len(queue) == 0
    assert not queue.has_waiting()


def test_what_another_queue_gets_is_out_of_this_one():
    """What waited, came back or was set aside; the others keep their places, and the limit."""
    queue = RequestQueue(3)
    requests = [Waiting(i) for i in range(5)]
    for request in requests[2:]:
        assert queue.offer(request)
    queue.give_back(requests[0])
    queue.set_aside(requests[1])
    assert queue.take_those(lambda r: r.id in {0, 1, 3}) == [requests[0], requests[1], requests[3]]
    other = RequestQueue(3)
    assert other.offer(requests[3])
    assert queue.offer(Waiting(5))
    assert not queue.offer(Waiting(6))
    assert [r.id for r in queue] == [2, 4, 5]
    assert queue.take_aside() is None
    assert [queue.take() for _ in range(2)] == [requests[2], requests[4]]
    assert other.take() is requests[3]
