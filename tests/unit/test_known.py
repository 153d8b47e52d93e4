"""Dictionaries that have a bound."""

from was.known import keep


def test_what_is_kept_never_is_more_than_its_bound():
    """One that is full begins anew, with what came last in it."""
    known: dict[int, str] = {}
    for number in range(10):
        assert keep(known, number, str(number), 3) == str(number)
        assert len(known) <= 3
        assert known[number] == str(number)
    assert known == {9: "9"}
