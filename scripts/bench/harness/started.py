"""A server for the time of a measurement, in a throw-away home."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from harness.home import (
    Application,
    Pool,
    Site,
    application_host_config,
    asgi_handler,
    make_home,
    place_application,
    wsgi_handler,
)
from harness.server import ServerError, WasServer

__all__ = ["APPS", "always_running", "started_server", "wsgi_home"]

APPS = Path(__file__).resolve().parent.parent / "apps"


def always_running(name: str, workers: int) -> Pool:
    """A pool whose workers are all there from the start."""
    return Pool(
        name,
        {"startMode": "AlwaysRunning"},
        {"processModel": {"maxProcesses": str(workers)}},
    )


# IIS refuses bodies of more than 30,000,000 bytes unless it is told otherwise.
LARGE_BODIES = (
    "<security><requestFiltering>"
    '<requestLimits maxAllowedContentLength="1073741824" />'
    "</requestFiltering></security>"
)


def wsgi_home(pool: Pool, application: str, processor: str = "") -> Callable[[Path], None]:
    """Makes a home whose site `Bench` runs apps/APPLICATION.py in the pool.

    `processor` names something else than its `application`; one called `asgi` is an ASGI one.
    """

    def prepare(home: Path) -> None:
        folder = place_application(home / "sites" / application, APPS / f"{application}.py")
        what = processor or f"{application}:application"
        handler = asgi_handler(what) if what.endswith(":asgi") else wsgi_handler(what)
        site = Site("Bench", (Application("/", folder, pool.name, (handler,), LARGE_BODIES),))
        make_home(home, application_host_config([pool], [site]))

    return prepare


@contextmanager
def started_server(
    prepare: Callable[[Path], object], *, engine: str | None = None
) -> Generator[WasServer, None, None]:
    """A running server; stopped, and its home removed, at the end."""
    home = Path(tempfile.mkdtemp(prefix="was-bench-", dir="/tmp"))
    server = WasServer(home)
    try:
        prepare(home)
        server.start(*(["--engine", engine] if engine else []))
        yield server
        if (code := server.stop()) != 0:
            raise ServerError(f"was start ended with {code}{server.log_tail()}")
    finally:
        server.kill_all()
        shutil.rmtree(home, ignore_errors=True)
