"""Connections to FastCGI processes."""

import socket

import pytest

from was.worker.fastcgi import addresses


def test_nobody_talks_to_himself(monkeypatch):
    """The kernel may give a client the port that it looks for, if nobody listens there."""
    alone = socket.socket()
    alone.bind(("127.0.0.1", 0))
    alone.connect(alone.getsockname())
    monkeypatch.setattr(socket, "create_connection", lambda *_: alone)
    with pytest.raises(ConnectionRefusedError):
        addresses.connect(alone.getsockname())
    assert alone.fileno() == -1
