"""Which number a pool gets."""

import pytest

from was.isolation.identities import IdRange, NoIdLeftError, choose_id, first_unmapped

RANGE = IdRange(1000, 8)


def _free(number):
    return False


def test_a_name_gets_the_same_number_every_time():
    """Of the range, and another one in another home or for another name, as a rule."""
    wide = IdRange(480_000, 44_288)
    number = choose_id("shop", "/srv", wide, (), _free)
    assert 480_000 <= number < 480_000 + 44_288
    assert choose_id("shop", "/srv", wide, (), _free) == number
    assert choose_id("shop", "/srv2", wide, (), _free) != number
    assert choose_id("blog", "/srv", wide, (), _free) != number


def test_no_number_is_given_twice():
    """The next free one is taken, until none is left."""
    given = []
    for n in range(8):
        given.append(choose_id(f"pool{n}", "/srv", RANGE, given, _free))
    assert sorted(given) == list(range(1000, 1008))
    with pytest.raises(NoIdLeftError, match="all 8 ids from 1000 on are taken"):
        choose_id("one more", "/srv", RANGE, given, _free)


def test_what_the_machine_has_given_to_somebody_is_not_taken():
    """A user or group of the machine keeps its number."""
    own = choose_id("shop", "/srv", RANGE, (), _free)
    assert choose_id("shop", "/srv", RANGE, (), lambda number: number == own) != own


@pytest.mark.parametrize(
    ("id_map", "first"),
    [
        ("         0          0 4294967295\n", None),
        ("         0       1000          1\n", 1),
        ("         0       1000          1\n         1     100000      65536\n", 480_000),
    ],
)
def test_a_user_namespace_has_only_what_its_map_says(id_map, first):
    """That of the machine has all; one of rootless containers 65,537; one of `unshare -r` root."""
    assert first_unmapped(id_map, (0, 1, 65_536, 480_000)) == first
