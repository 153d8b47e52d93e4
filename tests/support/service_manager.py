"""What systemd does for a service, in a test: notices, sockets, the store of descriptors."""

import fcntl
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.server import WasServer, wait_for

# As systemd does: the process that becomes the service is the one that LISTEN_PID names.
LAUNCH = 'export LISTEN_PID=$$ WATCHDOG_PID=$$; {redirections} exec "$@"'
FIRST_FD = 3
ABOVE_FD = 100


class ServiceManager:
    """One service. `sockets` are its own listening sockets by name, `store` what it is to keep."""

    def __init__(self, watchdog_s: float = 0.0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="was-sd-", dir="/tmp")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._address = str(Path(self._folder.name) / "notify")
        self._socket.bind(self._address)
        self._socket.setblocking(False)
        self._watchdog_s = watchdog_s
        self.sockets: dict[str, socket.socket] = {}
        self.store: dict[str, int] = {}
        self.heard: list[str] = []

    def __enter__(self) -> "ServiceManager":
        return self

    def __exit__(self, *_: object) -> None:
        self._hear()
        self._socket.close()
        for sock in self.sockets.values():
            sock.close()
        for fd in self.store.values():
            os.close(fd)
        self._folder.cleanup()

    def listen(self, name: str) -> int:
        """Socket activation: listen for the service; the port."""
        self.sockets[name] = socket.create_server(("127.0.0.1", 0))
        return int(self.sockets[name].getsockname()[1])

    def start(self, server: WasServer) -> None:
        """Start `was start` and wait for its READY=1."""
        self._hear()
        begin = len(self.heard)
        given = {name: sock.fileno() for name, sock in self.sockets.items()} | self.store
        fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, ABOVE_FD) for fd in given.values()]
        redirections = "".join(
            f"exec {number}<&{fd} {fd}<&-; " for number, fd in enumerate(fds, FIRST_FD)
        )
        with server.output.open("ab") as output:
            process = subprocess.Popen(
                [
                    *("bash", "-c", LAUNCH.format(redirections=redirections), "service"),
                    *(sys.executable, "-P", "-m", "was", "--home", str(server.home), "start"),
                ],
                cwd="/",
                env={
                    **os.environ,
                    "NOTIFY_SOCKET": self._address,
                    "WATCHDOG_USEC": str(int(self._watchdog_s * 1e6)),
                    "LISTEN_FDS": str(len(fds)),
                    "LISTEN_FDNAMES": ":".join(given),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=fds,
                start_new_session=True,
            )
        for fd in fds:
            os.close(fd)
        server.attach(process)
        wait_for(
            f"READY=1{server.log_tail()}",
            lambda: "READY=1" in self.notices()[begin:] or process.poll() is not None,
        )
        assert process.poll() is None, server.read_output()

    def notices(self) -> list[str]:
        """All lines heard so far."""
        self._hear()
        return self.heard

    def wait_for(self, notice: str, ask: Callable[[list[str]], bool] | None = None) -> None:
        """Wait until it was heard, or until `ask` of all lines is true."""
        wait_for(notice, lambda: ask(self.notices()) if ask else notice in self.notices())

    def _hear(self) -> None:
        while True:
            try:
                content, fds, _, _ = socket.recv_fds(self._socket, 4096, 4)
            except BlockingIOError:
                return
            lines = content.decode().splitlines()
            self.heard += lines
            name = next((n[7:] for n in lines if n.startswith("FDNAME=")), "")
            if "FDSTORE=1" in lines or "FDSTOREREMOVE=1" in lines:
                if name in self.store:
                    os.close(self.store.pop(name))
                if "FDSTORE=1" in lines:
                    (self.store[name],) = fds
