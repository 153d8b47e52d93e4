"""One request to a FastCGI process, against the clock. The process is this test."""

import os
import socket
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from was.worker.fastcgi import records, run
from was.worker.fastcgi.connection import Connection
from was.worker.fastcgi.records import EndRequest, RecordType
from was.worker.fastcgi.run import FastCgiRun, FastCgiTimeoutError
from was.worker.fastcgi.settings import FastCgiApplication

STEP_S, ACTIVITY_TIMEOUT_S, LONG_S = 20.0, 200, 10_000
BODY = [b"x" * 65528] * 30  # several times what a socket keeps; longer than the limit to take
END = records.stream(RecordType.STDIN, 1, b"")


class Turns:
    """In place of `select.poll` and the clock: with each wait STEP_S pass, and `turn` is called."""

    POLLIN = POLLOUT = 0

    def __init__(self, turn) -> None:
        self.now = 0.0
        self._turn = turn

    def poll(self, limit_ms: float = -1):
        if limit_ms < 0:
            return self
        self.now += STEP_S
        self._turn()
        return []

    def register(self, *_: object) -> None:
        """Nothing is waited for."""

    def monotonic(self) -> float:
        return self.now


class Client:
    """A request whose body comes piece by piece, each when `pieces` has it."""

    method = "POST"
    proof = 0
    application = SimpleNamespace(
        requests=SimpleNamespace(max_replays=0, replay=SimpleNamespace(covers=lambda _: False))
    )

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.gone = self.started = False
        self.words, self.row = [0], 0
        self.exchange = self.request = self

    def ring_on_arrival(self, _bell: object) -> None:
        """It is never waited for."""

    def poll_body(self) -> bool:
        return bool(self.pieces)

    def read_entity_body(self, _most: int) -> bytes:
        return self.pieces.pop(0)


@pytest.fixture
def wires():
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    connection = Connection(ours)
    with theirs:
        yield connection, theirs
    connection.close()


def _run(
    monkeypatch, connection: Connection, client: Client, turns: Turns, feed=None
) -> EndRequest:
    monkeypatch.setattr(run, "select", turns)
    monkeypatch.setattr(run, "time", turns)
    monkeypatch.setattr(run, "own_bell", lambda: -1)
    settings = FastCgiApplication(
        full_path="x", activity_timeout=ACTIVITY_TIMEOUT_S, request_timeout=LONG_S
    )
    answer = SimpleNamespace(can_flush=False, feed=feed)
    return FastCgiRun(client, answer, settings, LONG_S).run(connection, b"", keep=True)


def _end(theirs: socket.socket) -> None:
    theirs.sendall(records.encode(RecordType.END_REQUEST, 1, bytes(8)))


def test_a_process_that_reads_is_not_quiet(monkeypatch, wires):
    """activityTimeout: a long body is taken piece by piece, and nothing said meanwhile."""
    connection, theirs = wires
    seen = bytearray()

    def take() -> None:
        seen.extend(theirs.recv(65536))
        if seen.endswith(END):
            _end(theirs)

    end = _run(monkeypatch, connection, Client([*BODY, b""]), Turns(take))
    assert end.protocol_status == 0
    assert len(seen) > sum(map(len, BODY))


@pytest.mark.parametrize("body", [[], BODY])
def test_a_process_that_never_reads_is_quiet(monkeypatch, wires, body):
    """Its time counts from the last byte that its socket has taken, which is at once."""
    connection, _ = wires
    turns = Turns(lambda: None)
    with pytest.raises(FastCgiTimeoutError):
        _run(monkeypatch, connection, Client([*body, b""]), turns)
    assert turns.now < ACTIVITY_TIMEOUT_S + STEP_S


def test_a_slow_client_costs_no_process(monkeypatch, wires):
    """activityTimeout does not pass while the client's body is waited for; afterwards it does."""
    connection, theirs = wires
    client = Client([b"half"])
    steps = iter([*[lambda: None] * 15, lambda: client.pieces.extend([b"rest", b""])])
    turns = Turns(lambda: next(steps, lambda: _end(theirs))())
    assert _run(monkeypatch, connection, client, turns) == EndRequest(0, 0)
    client, steps = Client([b"half"]), iter([lambda: client.pieces.append(b"")])
    with pytest.raises(FastCgiTimeoutError):
        _run(monkeypatch, connection, client, Turns(lambda: next(steps, lambda: None)()))


def test_a_client_that_reads_slowly_costs_no_process(monkeypatch, wires):
    """requestTimeout does not pass while an answer is being sent that the client does not take."""
    connection, theirs = wires
    steps = iter(
        [lambda: theirs.sendall(records.stream(RecordType.STDOUT, 1, b"a\r\n\r\n")), lambda: None]
    )
    turns = Turns(lambda: next(steps, lambda: _end(theirs))())

    def feed(_data: bytes) -> None:
        turns.now += LONG_S

    assert _run(monkeypatch, connection, Client([b""]), turns, feed) == EndRequest(0, 0)


@contextmanager
def full_log():
    """Nothing can be written to what standard error is."""
    before, full = os.dup(2), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(full)


def test_a_log_that_is_full_costs_no_process(monkeypatch, wires):
    """What a process complains about is lost where the disk is full; its answer is not."""
    connection, theirs = wires

    def complain() -> None:
        theirs.sendall(records.stream(RecordType.STDERR, 1, b"Notice: undefined index"))
        _end(theirs)

    with full_log():
        end = _run(monkeypatch, connection, Client([b""]), Turns(complain))
    assert end == EndRequest(0, 0)
