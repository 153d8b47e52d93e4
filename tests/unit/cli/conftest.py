"""A home without a server, a manager that answers from a script, and the command line."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner, Result

from was.cli.main import cli
from was.ipc.endpoints import Home


class FakeManager:
    """Answers each command with what the test has laid down for it, and keeps what was asked."""

    def __init__(self, home):
        self.asked = []
        self.answers = {}
        self._server = socket.socket(socket.AF_UNIX)
        home.run.mkdir(parents=True, exist_ok=True)
        self._server.bind(str(home.admin_socket))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            with peer, peer.makefile("rwb") as stream:
                line = stream.readline()
                if not line:
                    continue
                request = json.loads(line)
                self.asked.append(request)
                answer = self.answers.get(request["command"], {"ok": True, "result": None})
                stream.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())
                if not isinstance(answer, bytes):
                    stream.write(b"\n")

    def close(self):
        """End the thread and remove the socket."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def home(tmp_path_factory) -> Home:
    """Paths of a home whose folder does not exist yet."""
    return Home(tmp_path_factory.mktemp("h") / "home")


@pytest.fixture
def manager(home) -> Iterator[FakeManager]:
    """A manager that answers."""
    fake = FakeManager(home)
    yield fake
    fake.close()


@pytest.fixture
def run(home, monkeypatch):
    """Run a command in the home; the result has exit_code, stdout and stderr."""
    monkeypatch.delenv("WAS_HOME", raising=False)
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)

    def run_command(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cli, ["--home", str(home.path), *arguments], input=stdin)

    return run_command


@pytest.fixture
def taken_port():
    """Hold a TCP port of 127.0.0.1 for the time of a with block."""

    @contextmanager
    def hold(port=0):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", port))
            holder.listen()
            yield holder.getsockname()[1]

    return hold
