"""Who may add which URL."""

import pytest

from was.config.urls import parse_prefix
from was.ipc.served import UrlReservation
from was.listener.reservations import Reservations, Who

USERS = {"alice": 1001, "bob": 1002}
GROUPS = {"www": 33}
ADMINISTRATORS = frozenset([0, 500])
RESERVED = [
    UrlReservation("http://+:80/", [], ["www"]),
    UrlReservation("http://+:80/alice/", ["alice", "1003"], []),
    UrlReservation("http://+:80/alice/closed/", ["alice"], [], listen=False),
    UrlReservation("http://*:80/all/", ["*"], []),
]


@pytest.mark.parametrize(
    ("uid", "groups", "url", "may"),
    [
        (0, (), "http://+:81/x/", True),  # an administrator needs no reservation
        (500, (), "http://+:81/x/", True),
        (1001, (), "http://+:81/x/", False),  # nobody else without one
        (1001, (), "http://+:80/alice/", True),
        (1001, (), "http://+:80/Alice/below/", True),
        (1001, (), "http://+:80/alices/", False),  # whole segments
        (1002, (33,), "http://+:80/alice/", False),  # the longest reservation decides
        (1002, (33,), "http://+:80/other/", True),
        (1003, (), "http://+:80/alice/", True),  # by number
        (1001, (), "http://+:80/alice/closed/", False),
        (1002, (), "http://*:80/all/", True),
        (1001, (), "http://*:80/alice/", False),  # another bucket
        (1001, (), "http://host:80/alice/", False),
    ],
)
def test_the_longest_reservation_of_the_bucket_decides(uid, groups, url, may):
    """Users and groups that it names may; without one administrators alone."""
    reservations = Reservations(RESERVED, USERS.get, GROUPS.get)
    who = Who(uid, frozenset(groups))
    assert reservations.may_listen(who, parse_prefix(url), ADMINISTRATORS) is may
