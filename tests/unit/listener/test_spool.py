"""Spools: what is written is read back, in memory or in a file, and the account balances."""

import os

from hypothesis import given
from hypothesis import strategies as st

from was.listener.spool import MAX_AHEAD, Spool, SpoolAccount


def test_small_bodies_stay_in_memory(tmp_path):
    """Up to the limit no file is made."""
    spool = Spool(SpoolAccount(tmp_path, 1 << 20), 10)
    spool.append(b"0123456789")
    assert spool.file == -1
    assert spool.read(3, 4) == b"3456"
    spool.close()


def test_beyond_the_limit_bytes_lie_in_a_file_without_a_name(tmp_path):
    """The file has no name, so it is gone with the process, and holds every byte."""
    spool = Spool(SpoolAccount(tmp_path, 1 << 20), 10)
    spool.append(b"01234567")
    spool.append(b"89abcdef")
    assert spool.file >= 0
    assert os.listdir(tmp_path) == []
    assert spool.read(0, 100) == b"0123456789abcdef"
    spool.close()


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(0, 100))
def test_what_is_written_is_read_and_the_account_balances(pieces, limit):
    """Any pieces, any memory limit: the bytes come back, and closing returns the account to 0."""
    account = SpoolAccount("/tmp", 1 << 20)
    spool = Spool(account, limit)
    for piece in pieces:
        spool.append(piece)
    whole = b"".join(pieces)
    assert account.held_bytes == len(whole) == spool.size
    assert spool.read(0, 10_000) == whole
    assert spool.read(len(whole) // 2, 7) == whole[len(whole) // 2 :][:7]
    spool.close()
    spool.close()
    assert account.held_bytes == 0


def test_restart_lets_everything_go(tmp_path):
    """After a restart offsets count from 0 and the account holds nothing of before."""
    account = SpoolAccount(tmp_path, 1 << 20)
    spool = Spool(account, 4)
    spool.append(b"0123456789")
    spool.restart()
    assert account.held_bytes == 0
    spool.append(b"abcdefgh")
    assert spool.read(0, 100) == b"abcdefgh"
    spool.close()


class Response:
    """Stands for a response that could run ahead of its client."""

    def __init__(self, order):
        self.order = order
        self.told = 0

    def may_run(self):
        self.told += 1


def test_only_the_oldest_few_run_ahead(tmp_path):
    """Many slow clients at once: the oldest responses spool first, so that slots come free."""
    account = SpoolAccount(tmp_path, 1 << 20)
    responses = [Response(order) for order in range(MAX_AHEAD + 3)]
    for response in reversed(responses):
        account.may_run_ahead(response)
    allowed = [response.order for response in responses if account.may_run_ahead(response)]
    assert allowed == list(range(MAX_AHEAD))
    account.leave(responses[0])
    assert responses[MAX_AHEAD].told
    assert account.may_run_ahead(responses[MAX_AHEAD])
    assert not account.may_run_ahead(responses[MAX_AHEAD + 1])


def test_nobody_runs_ahead_of_a_full_account(tmp_path):
    """Above the cap even the oldest waits for its client."""
    account = SpoolAccount(tmp_path, 10)
    spool = Spool(account, 100)
    spool.append(b"0123456789")
    first = Response(1)
    assert not account.may_run_ahead(first)
    spool.close()
    assert account.may_run_ahead(first)
