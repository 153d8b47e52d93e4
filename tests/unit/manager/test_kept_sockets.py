"""What a supervisor keeps: orders that are whole, over an exec too."""

import os
import socket
import threading

import pytest
from harness.meter import descriptors

from was.ipc.descriptors import ControlSocket
from was.manager import kept_sockets
from was.manager.kept_sockets import KEEP, SocketStore, keep, take


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "door")


@pytest.fixture
def listening():
    sockets = {f"was-{n}": socket.create_server(("127.0.0.1", 0)) for n in range(3)}
    yield sockets
    for sock in sockets.values():
        sock.close()


def named(sockets):
    return [(name, sock.fileno()) for name, sock in sockets.items()]


def close(store):
    """As its process's end does."""
    for fd in (store.fileno(), *store._kept.values()):
        os.close(fd)
    store._door.detach()


def taken(path, store):
    """What is given, as inodes by name; the sockets are closed again."""
    found = []
    asker = threading.Thread(target=lambda: found.append(take(path, is_needed=True)))
    asker.start()
    while asker.is_alive():
        store.serve()
    (given,) = found
    inodes = {name: os.fstat(sock.fileno()).st_ino for name, sock in given}
    for _, sock in given:
        sock.close()
    return inodes


def test_it_gives_what_it_was_told_last(path, listening):
    """Each order has all there are."""
    store = SocketStore.open(path)
    inodes = {name: os.fstat(sock.fileno()).st_ino for name, sock in listening.items()}
    assert keep(path, named(listening))
    store.serve()
    assert taken(path, store) == inodes
    assert keep(path, named(listening)[:1])
    store.serve()
    assert taken(path, store) == {"was-0": inodes["was-0"]}
    assert keep(path, [])
    store.serve()
    assert taken(path, store) == {}
    close(store)


def test_more_than_a_message_holds(path, listening, monkeypatch):
    """As many messages as it takes."""
    monkeypatch.setattr("was.ipc.descriptors.PART_DESCRIPTORS", 2)
    store = SocketStore.open(path)
    assert keep(path, named(listening))
    store.serve()
    assert taken(path, store).keys() == listening.keys()
    close(store)


def test_an_order_that_is_not_complete_changes_nothing(path, listening):
    """Who gives it has died over it; what has come of it is closed."""
    store = SocketStore.open(path)
    assert keep(path, named(listening))
    store.serve()
    before = descriptors(os.getpid())
    end = ControlSocket.connect(path)
    end.send(KEEP)
    end.send(b'{"names": ["was-9"], "is_last": false}', [listening["was-0"].fileno()])
    end.close()
    store.serve()
    end = ControlSocket.connect(path)
    end.send(KEEP)
    end.send(b'{"names": ["was-8", "was-9"], "is_last": true}', [listening["was-0"].fileno()])
    end.close()
    store.serve()
    assert descriptors(os.getpid()) == before
    assert taken(path, store).keys() == listening.keys()
    close(store)


def test_it_outlives_an_exec(path, listening, monkeypatch):
    """Door, sockets, and whoever is just waiting at the door."""
    store = SocketStore.open(path)
    assert keep(path, named(listening))
    store.serve()
    for name, value in store.for_exec().items():
        monkeypatch.setenv(name, value)
    assert keep(path, named(listening)[1:])
    store._door.detach()
    left = SocketStore.open(path)
    assert kept_sockets.INHERITED not in os.environ
    assert not any(map(os.get_inheritable, (left.fileno(), *left._kept.values())))
    left.serve()
    assert taken(path, left).keys() == {"was-1", "was-2"}
    close(left)


def test_a_socket_that_was_ended_is_not_given(path, listening):
    """shutdown() is for all who have it: nobody can accept there any more."""
    store = SocketStore.open(path)
    assert keep(path, named(listening))
    store.serve()
    listening["was-1"].shutdown(socket.SHUT_RD)
    assert taken(path, store).keys() == {"was-0", "was-2"}
    close(store)


def test_who_is_not_there_keeps_nothing(path, monkeypatch):
    """Without a door, or behind one at which nobody listens any more; silence is something else."""
    monkeypatch.setattr(kept_sockets, "PATIENCE_S", 0.05)
    monkeypatch.setattr(kept_sockets, "NEEDED_LIMIT_S", 0.05)
    assert take(path, is_needed=True) == []
    assert not keep(path, [])
    store = SocketStore.open(path)
    assert take(path, is_needed=True) is None
    assert take(path, is_needed=False) is None
    close(store)
    assert take(path, is_needed=True) == []
    assert not keep(path, [])
