"""Runs `was` for a test or a measurement: started, asked, stopped, and looked after when it fails.

Every process is signalled by its pid. Waiting is for a condition with a limit, never for a time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from resource import RLIMIT_NOFILE, setrlimit
from typing import Any, TypeVar

from harness.meter import processes_naming
from was.ipc.endpoints import Home

__all__ = ["ServerError", "WasServer", "wait_for"]

T = TypeVar("T")
# Limits are for what never comes: a busy machine may take many times as long as an idle one.
LIMIT_S = 60.0
POLL_S = 0.01


class ServerError(Exception):
    """The server did not do what a run needs; the text holds its output."""


def wait_for(what: str, ask: Callable[[], T], *, limit_s: float = LIMIT_S) -> T:
    """Ask until the answer is true and return it; ServerError naming `what` after the limit."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise ServerError(f"not within {limit_s:g} s: {what}; last: {answer!r}")
        time.sleep(POLL_S)


class WasServer:
    """One home and the server that runs in it."""

    def __init__(self, home: Path, *, python: str = sys.executable) -> None:
        self.home = home
        self.output = home / "output"
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The manager's."""
        assert self._process is not None
        return self._process.pid

    def start(
        self,
        *arguments: str,
        verb: str = "start",
        environment: Mapping[str, str] | None = None,
        max_files: int = 0,
        wait: bool = True,
    ) -> None:
        """Start it in a session of its own and wait for the line `ready`.

        `max_files` bounds the open files of each of its processes; 0 leaves them as they are.
        """
        limits = (max_files, max_files)
        with self.output.open("ab") as output:
            begin = output.tell()
            self._process = subprocess.Popen(
                [self._python, "-P", "-m", "was", "--home", str(self.home), verb, *arguments],
                cwd=self.home,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(setrlimit, RLIMIT_NOFILE, limits) if max_files else None,
            )
        if wait:
            self.wait_ready(begin)

    def start_detached(self) -> None:
        """Start it in the background; `stop` then asks by command."""
        done = self.command("start", "--detach")
        if done.returncode != 0:
            raise ServerError(f"was start --detach: {done.stderr}{self.log_tail()}")

    def attach(self, process: subprocess.Popen[bytes]) -> None:
        """Go on with a manager that was started in another way; `output` is its output."""
        self._process = process

    def wait_ready(self, begin: int = 0) -> None:
        """Wait until it says that every site answers."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            text = self.read_output(begin)
            if re.search(r"^ready\b", text, re.MULTILINE):
                return
            assert self._process is not None
            if (code := self._process.poll()) is not None:
                raise ServerError(f"was start ended with {code}:\n{text}{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill_all()
                raise ServerError(f"was start is not ready:\n{text}{self.log_tail()}")
            time.sleep(POLL_S)

    def read_output(self, begin: int = 0) -> str:
        """What it has printed, from byte `begin` on."""
        if not self.output.exists():
            return ""
        return self.output.read_bytes()[begin:].decode(errors="replace")

    def log_text(self) -> str:
        """The server's own log so far: stderr in the foreground, logs/was.log else."""
        file = self.home / "logs" / "was.log"
        return self.read_output() + (file.read_text(errors="replace") if file.exists() else "")

    def log_tail(self, lines: int = 30) -> str:
        """The end of the log, for an error message."""
        return "\n".join(["", "the log:", *self.log_text().splitlines()[-lines:]])

    def command(
        self, *arguments: str, limit_s: float = 2 * LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run `was --home HOME …` to its end."""
        return subprocess.run(
            [self._python, "-P", "-m", "was", "--home", str(self.home), *arguments],
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def rows(self, objects: str) -> list[dict[str, Any]]:
        """`was list … --json`: one row an object."""
        rows: list[dict[str, Any]] = json.loads(self._json_text("list", objects))
        return rows

    def status(self) -> dict[str, Any]:
        """`was status --json`."""
        status: dict[str, Any] = json.loads(self._json_text("status"))
        return status

    def workers(self, pool: str = "", state: str = "running") -> list[int]:
        """Pids of the workers in that state ("" = any)."""
        return [
            int(row["pid"])
            for row in self.rows("wp")
            if (not pool or row["app_pool"] == pool) and (not state or row["state"] == state)
        ]

    def port(self, site: str) -> int:
        """The real port of a site's first binding."""
        for row in self.rows("sites"):
            if row["name"] == site:
                found = re.search(r":(\d+):", str(row["bindings"]))
                if found:
                    return int(found[1])
        raise ServerError(f"no port of site {site} in was list sites")

    def send(self, number: int) -> None:
        """Send the manager a signal."""
        os.kill(self.pid, number)

    def wait_exit(self, limit_s: float = LIMIT_S) -> int:
        """Wait for the manager's end and return its exit code."""
        assert self._process is not None
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise ServerError(f"the manager does not exit{self.log_tail()}") from None

    def stop(self, number: int = signal.SIGTERM, *, limit_s: float = LIMIT_S) -> int:
        """Ask it to stop and return its exit code."""
        if self._process is None:
            return self.command("stop").returncode
        if self._process.poll() is None:
            self.send(number)
        return self.wait_exit(limit_s)

    def _json_text(self, *arguments: str) -> str:
        result = self.command(*arguments, "--json")
        if result.returncode not in {0, 3}:
            raise ServerError(f"was {' '.join(arguments)}: {result.stderr}{self.log_tail()}")
        return result.stdout

    def processes(self) -> dict[int, str]:
        """Processes that name this home on their command line, by pid."""
        return processes_naming(str(self.home))

    def kill_all(self) -> None:
        """Kill whatever still belongs to this home, by pid, and remove its folder of sockets."""
        self._kill_processes()
        folder = Home(self.home).find_sockets()
        if folder is not None:
            shutil.rmtree(folder.path, ignore_errors=True)

    def _kill_processes(self) -> None:
        for _ in range(50):
            left = self.processes()
            if self._process is not None and self._process.poll() is None:
                left[self._process.pid] = "manager"
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if self._process is not None and self._process.poll() is None:
                self._process.wait(LIMIT_S)
            time.sleep(POLL_S)
