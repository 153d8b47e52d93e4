"""Who has to leave when connections take too many descriptors."""

from dataclasses import dataclass
from types import SimpleNamespace

from was.listener.crowd import budget, crowded_port, who_leaves
from was.listener.room import Room


@dataclass
class Guest:
    """A connection to a port."""

    id: int
    port: int
    is_waiting: bool = True
    descriptors: int = 1

    @property
    def peer(self):
        """Addresses as a connection has them."""
        return ("127.0.0.1", 50_000, "127.0.0.1", self.port)


def _guests(count, port, first=0, **more):
    return [Guest(first + n, port, **more) for n in range(count)]


def test_nobody_leaves_while_there_is_room():
    """The limit itself is still allowed."""
    assert who_leaves(_guests(64, 80), 64) == []


def test_room_is_made_where_the_crowd_is():
    """On the port with most connections, by its oldest; some more than needed go at once."""
    crowd, few = _guests(60, 80, first=100), _guests(5, 81)
    leaving = who_leaves([*few, *crowd], 64)
    assert leaving == crowd[: 1 + 64 // 32]


def test_the_crowded_port_is_the_one_whose_clients_hold_most():
    """Descriptors count, not connections; where nobody is there is no crowd."""
    assert crowded_port([*_guests(5, 80), *_guests(2, 81, descriptors=3)]) == 81
    assert crowded_port([]) == 0


def test_who_waits_for_an_answer_stays():
    """A connection on which a request runs is closed only where all are busy: the last to come."""
    busy = _guests(64, 80, is_waiting=False)
    idle = Guest(200, 80)
    assert who_leaves([*busy, idle], 64) == [idle]
    last = Guest(300, 80, is_waiting=False)
    assert who_leaves([last, *busy], 64) == [last]


def test_it_is_descriptors_that_are_counted():
    """A few who take files slowly are more of a crowd than many who only keep their connections."""
    downloads = _guests(20, 80, is_waiting=False, descriptors=3)
    idle = _guests(50, 81, first=100)
    assert who_leaves([*downloads, *idle], 110) == []
    assert who_leaves([*downloads, *idle], 105) == downloads[:-3:-1]


def test_who_holds_very_many_goes_first():
    """However early it came: one response of hundreds of files is not to cost others theirs."""
    hoarder = Guest(1, 80, is_waiting=False, descriptors=900)
    busy = _guests(20, 80, first=100, is_waiting=False, descriptors=3)
    assert who_leaves([hoarder, *busy], 900) == [hoarder]


def test_some_descriptors_are_kept_for_everything_else():
    """Workers, spools and logs need some too."""
    assert 1 <= budget(1) < budget(1024) < 1024


def test_far_beyond_their_share_only_the_crowd_gets_no_files(monkeypatch):
    """Within a turn, before room is made: those of all other ports are still sent theirs."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (120, 120))
    loop, spools = SimpleNamespace(time=lambda: 1.0), SimpleNamespace(held_descriptors=0)
    room = Room(loop, spools)
    crowd, other = _guests(60, 80), Guest(100, 81)
    room.connections = [*crowd, other]
    spools.held_descriptors = 38
    assert room.may_hold_more(crowd[0])
    spools.held_descriptors = 39  # 100: beyond 90 by a third of the rest
    assert not room.may_hold_more(crowd[0])
    assert room.may_hold_more(other)
