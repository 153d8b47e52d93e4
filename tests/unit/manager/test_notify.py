"""Notices to a service manager: which wait for it, and which do not."""

import socket
import threading

from was.manager.notify import Notifier


def test_what_must_be_heard_waits_for_who_is_behind(tmp_path, monkeypatch):
    """A beat that finds no room is left out; that a socket is kept no longer is said."""
    monkeypatch.setitem(Notifier._send.__kwdefaults__, "patience_s", 30.0)  # who reads may be late
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(30)
        notifier = Notifier(address, watchdog_s=1)
        for beat in range(2000):  # far more than fit
            notifier.tick(beat)
        heard = []

        def read():
            while "FDSTOREREMOVE=1" not in heard:
                heard.extend(manager.recv(4096).decode().splitlines())

        reader = threading.Timer(0.05, read)
        reader.start()
        notifier.forget("was-8080")
        reader.join(30)
    assert 0 < heard.count("WATCHDOG=1") < 2000
    assert heard[-2:] == ["FDSTOREREMOVE=1", "FDNAME=was-8080"]
