"""A binding that is removed: who has connected is answered, who comes later is refused."""

import socket
import threading
from collections import Counter
from contextlib import contextmanager

from harness.home import Pool
from harness.server import wait_for
from support.files import replace_text
from support.ports import unused_port
from support.running import STEADY, place, simple_config

TIMES = 8


@contextmanager
def connecting(port):
    """Connections that ask once, one after the other, by eight threads; counts how they end."""
    over, found = threading.Event(), Counter()

    def ask():
        while not over.is_set():
            with socket.socket() as client:
                try:
                    client.connect(("127.0.0.1", port))
                except ConnectionRefusedError:
                    found["refused"] += 1
                    continue
                try:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    found[client.recv(100)[9:12].decode()] += 1
                except ConnectionError:
                    found["reset"] += 1

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_no_connection_is_reset_by_the_end_of_its_binding(start_server):
    """They get the site's answer, or, when it is no more the site's, HTTP.SYS's."""
    running = start_server(
        simple_config("hello:application", pool=Pool("Pool", **STEADY)), place("hello.py")
    )
    running.workers(count=1)
    file, port = running.home / "config" / "applicationHost.config", unused_port()
    text = file.read_text()
    first = '<binding protocol="http" bindingInformation="127.0.0.1:0:" />'
    assert first in text
    both = text.replace(first, first + first.replace(":0:", f":{port}:"))
    with connecting(port) as found:
        for _ in range(TIMES):
            replace_text(file, both)
            assert running.server.command("reload").returncode == 0
            wait_for("an answer", lambda n=found["200"]: found["200"] > n)
            replace_text(file, text)
            assert running.server.command("reload").returncode == 0
            wait_for("a refusal", lambda n=found["refused"]: found["refused"] > n)
    assert found.keys() <= {"200", "400", "404", "refused"}
