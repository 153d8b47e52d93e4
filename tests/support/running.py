"""Runs a server for a test, and checks that nothing of it is left afterwards.

At each server's end: it exited 0, no process names its home, its folder of sockets is empty, no
control group of it is left, its log holds no error that the test has not announced.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.home import (
    Application,
    Pool,
    Site,
    application_host_config,
    make_home,
    place_application,
    wsgi_handler,
)
from harness.server import WasServer, wait_for

APPS = Path(__file__).resolve().parent.parent / "apps"

# A pool whose workers start at once and whose kills do not stop it.
STEADY = {
    "attributes": {"startMode": "AlwaysRunning"},
    "elements": {"failure": {"rapidFailProtection": "false"}},
}


class Running:
    """A server under test: its home, its sites' URLs, and which errors its log may hold."""

    def __init__(self, server: WasServer) -> None:
        self.server = server
        self.home = server.home
        self.allowed_errors: list[str] = []
        self.expected_exit: int | None = 0
        self._ports: dict[str, int] = {}

    def port(self, site: str = "Site") -> int:
        """The port of a site."""
        if site not in self._ports:
            self._ports[site] = self.server.port(site)
        return self._ports[site]

    def folder(self, name: str = "app") -> Path:
        """Where an application was placed."""
        return self.home / "sites" / name

    def allow(self, *events: str) -> None:
        """Announce events of level error that this test brings about."""
        self.allowed_errors += events

    def workers(self, pool: str = "Pool", count: int | None = None) -> list[int]:
        """Pids of running workers; waits for `count` of them."""
        if count is None:
            return self.server.workers(pool)
        return wait_for(
            f"{count} running workers of {pool}",
            lambda: pids if len(pids := self.server.workers(pool)) == count else [],
        )

    def counters(self) -> dict[str, object]:
        """The listener's totals by name, as `was status --json` gives them."""
        found = self.server.status().get("counters", {})
        return dict(found) if isinstance(found, dict) else {}


def wait_for_spare(running: Running) -> int:
    """The spare listener's pid, once it has come: it has descriptors in the manager."""

    def find() -> int:
        found = [
            p for p, text in running.server.processes().items() if "was: spare listener" in text
        ]
        return found[0] if found else 0

    return wait_for("a spare listener", find)


def unexpected_errors(log_text: str, allowed: list[str]) -> list[str]:
    """Lines of level error in a log whose event is not among the allowed."""
    found = []
    for line in log_text.splitlines():
        words = line.split(" ", 4)
        is_event = len(words) >= 4 and words[0][:2] == "20" and words[0].endswith("Z")
        if is_event and words[1] == "error" and words[3] not in allowed:
            found.append(line)
    return found


@contextmanager
def run_server(
    config: str | None,
    prepare: Callable[[Path], object] | None = None,
    *,
    engine: str | None = None,
    time_scale: float | None = None,
    environment: dict[str, str] | None = None,
    launch: Callable[[WasServer], object] | None = None,
) -> Iterator[Running]:
    """A server from its start to its checked end.

    `{home}` in the configuration is its home; without one `prepare` makes the home. `launch` starts
    it in another way than from a shell.
    """
    home = Path(tempfile.mkdtemp(prefix="was-t-", dir="/tmp"))
    try:
        if prepare is not None:
            prepare(home)
        if config is not None:
            make_home(home, config.replace("{home}", str(home)))
        server = WasServer(home)
        running = Running(server)
        scale = {"WAS_TEST_TIME_SCALE": str(time_scale)} if time_scale else {}
        try:
            if launch is not None:
                launch(server)
            else:
                server.start(
                    *(["--engine", engine] if engine else []),
                    environment={**(environment or {}), **scale},
                )
            yield running
            if running.expected_exit is not None:
                _stop_and_check(running)
        except BaseException:
            sys.stderr.write(server.read_output()[-4000:] + server.log_tail(60) + "\n")
            for log in (home / "logs" / "pools").glob("*.log"):
                sys.stderr.write(f"{log.name}:\n{log.read_text(errors='replace')[-4000:]}\n")
            raise
        finally:
            server.kill_all()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _stop_and_check(running: Running) -> None:
    server = running.server
    code = server.stop()
    assert code == running.expected_exit, f"exit code {code}{server.log_tail()}"
    wait_for("the end of every process of the home", lambda: not server.processes())
    note = server.home / "run" / "sockets"
    if note.exists():
        folder = Path(note.read_text().strip())
        left = [p for p in folder.rglob("*") if not p.is_dir()] if folder.exists() else []
        assert left == [], "sockets are left"
        shutil.rmtree(folder, ignore_errors=True)
    assert not (server.home / "run" / "state" / "control-groups.json").exists(), "groups are left"
    errors = unexpected_errors(server.log_text(), running.allowed_errors)
    assert errors == [], "\n".join(["errors in the log:", *errors])


def simple_config(
    processor: str,
    *,
    pool: Pool | None = None,
    sections: str = "",
    folder: str = "app",
    extra: str = "",
) -> str:
    """One pool, one site, one WSGI application in `sites/app` of the home."""
    pool = pool or Pool("Pool", {}, {"failure": {"rapidFailProtection": "false"}})
    site = Site(
        "Site",
        (
            Application(
                "/",
                Path("{home}") / "sites" / folder,
                pool.name,
                (wsgi_handler(processor),),
                sections,
            ),
        ),
    )
    return application_host_config([pool], [site], extra)


def asgi_config(processor: str, **parts) -> str:
    """The same with an ASGI application."""
    return simple_config(processor, **parts).replace('modules="WsgiModule"', 'modules="AsgiModule"')


def place(*sources: str, folder: str = "app") -> Callable[[Path], None]:
    """A `prepare` that copies applications of tests/apps into `sites/FOLDER` of the home."""

    def prepare(home: Path) -> None:
        place_application(home / "sites" / folder, *(APPS / source for source in sources))

    return prepare
