"""The ledger of deaths: who is suspect, who is refused, what is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from was.listener.ledger import FEW, MAX_KEYS, DeathLedger, Standing, key_of

WINDOW_S = 300.0
KEY = key_of(1, "GET", "/crash", "192.0.2.1")


def standing(ledger, now=1000.0, key=KEY):
    return ledger.standing(key, now, 2)


def test_the_key_is_site_method_path_and_client():
    """A request that differs in one of them has another past; the query makes no difference."""
    others = [
        (2, "GET", "/crash", "192.0.2.1"),
        (1, "POST", "/crash", "192.0.2.1"),
        (1, "GET", "/", "192.0.2.1"),
        (1, "GET", "/crash", "192.0.2.2"),
    ]
    assert len({KEY, *(key_of(*other) for other in others)}) == 5


def test_one_death_among_few_makes_a_suspect():
    """Who ran alone, or nearly, when the worker died is suspect from the next request on."""
    ledger = DeathLedger(WINDOW_S)
    ledger.death(KEY, 1000.0, is_blamed=False, running=FEW)
    assert standing(ledger) is Standing.SUSPECT


def test_one_death_among_many_makes_none():
    """Who ran beside many others is suspect only after a second death."""
    ledger = DeathLedger(WINDOW_S)
    ledger.death(KEY, 1000.0, is_blamed=False, running=FEW + 1)
    assert standing(ledger) is Standing.CLEAR
    ledger.death(KEY, 1001.0, is_blamed=False, running=FEW + 1)
    assert standing(ledger) is Standing.SUSPECT


def test_blamed_deaths_quarantine():
    """poisonCrashes deaths laid to a key: it is refused; other keys are not."""
    ledger = DeathLedger(WINDOW_S)
    for _ in range(2):
        assert standing(ledger) is not Standing.QUARANTINED
        ledger.death(KEY, 1000.0, is_blamed=True, running=1)
    assert standing(ledger) is Standing.QUARANTINED
    assert standing(ledger, key=key_of(1, "GET", "/crash", "192.0.2.2")) is Standing.CLEAR


def test_as_many_answers_as_deaths_clear():
    """A key that is answered as often as it met deaths is like any other."""
    ledger = DeathLedger(WINDOW_S)
    for _ in range(2):
        ledger.death(KEY, 1000.0, is_blamed=True, running=1)
    ledger.answer(KEY, 1001.0)
    assert standing(ledger, 1001.0) is Standing.QUARANTINED
    ledger.answer(KEY, 1002.0)
    assert standing(ledger, 1002.0) is Standing.CLEAR


def test_a_quarantine_ends_with_the_window():
    """Deaths are forgotten once they are older than the window."""
    ledger = DeathLedger(WINDOW_S)
    for _ in range(2):
        ledger.death(KEY, 1000.0, is_blamed=True, running=1)
    assert standing(ledger, 1000.0 + WINDOW_S * 0.8) is Standing.QUARANTINED
    assert standing(ledger, 1000.0 + WINDOW_S) is Standing.CLEAR
    ledger.forget_old(1000.0 + WINDOW_S)
    assert not ledger.keys


def test_a_quarantine_is_told_once():
    """One line in the log for all that it refuses; another when the key falls back."""
    ledger = DeathLedger(WINDOW_S)
    for _ in range(2):
        ledger.death(KEY, 1000.0, is_blamed=True, running=1)
    assert [ledger.tell_once(KEY) for _ in range(3)] == [True, False, False]
    for _ in range(2):
        ledger.answer(KEY, 1000.0)
    standing(ledger)
    assert ledger.tell_once(KEY)


def test_answers_of_unknown_keys_are_not_kept():
    """Only deaths make entries."""
    ledger = DeathLedger(WINDOW_S)
    ledger.answer(KEY, 1000.0)
    assert not ledger.keys


@given(st.lists(st.tuples(st.integers(0, 3 * MAX_KEYS), st.booleans()), max_size=60))
def test_memory_is_bounded(events):
    """However many keys meet deaths, so many are kept, and of each so many steps."""
    ledger = DeathLedger(WINDOW_S)
    for number in range(MAX_KEYS - 5):
        ledger.death(number, 0.0, is_blamed=False, running=9)
    now = 0.0
    for key, is_answer in events:
        now += 20.0
        if is_answer:
            ledger.answer(key, now)
        else:
            ledger.death(key, now, is_blamed=False, running=9)
            assert key in ledger.keys
        assert len(ledger.keys) <= MAX_KEYS
    assert all(len(past.steps) <= 6 for past in ledger.keys.values())
