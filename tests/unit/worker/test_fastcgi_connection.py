"""A connection to a FastCGI process: whose records are whose."""

import socket

from was.worker.fastcgi import records
from was.worker.fastcgi.connection import Connection
from was.worker.fastcgi.records import RecordType

NO_BELL = -1


def test_the_id_of_a_request_that_has_ended_is_not_the_next_one_s():
    """However many are on it: what comes late for one that has ended reaches nobody."""
    ours, theirs = socket.socketpair()
    connection = Connection(ours)
    with theirs:
        others = [connection.open(NO_BELL) for _ in range(3)]
        for _ in range(300):
            ended = connection.open(NO_BELL)
            connection.leave(ended)
            present = connection.open(NO_BELL)
            theirs.sendall(records.stream(RecordType.STDOUT, ended.id, b"late"))
            connection.pump()
            assert not present.inbox
            connection.leave(present)
        assert len({other.id for other in others}) == 3
        assert not any(other.inbox for other in others)
    connection.close()


def test_a_request_alone_has_another_id_than_the_one_before():
    """Also where a thread has been on the connection in between."""
    ours, theirs = socket.socketpair()
    connection = Connection(ours)
    with theirs:
        last = 0
        for number in range(20):
            if number % 5 == 0:
                conversation = connection.open(NO_BELL)
                assert conversation.id != last
                last = conversation.id
                connection.leave(conversation)
            present = connection.next_id()
            assert present in records.IDS
            assert present != last
            last = present
    connection.close()
