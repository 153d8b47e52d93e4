"""Requests that nobody has sent: what applications answer before their worker takes any other.

preloadEnabled asks for the application's root, applicationInitialization for its pages. Any answer
will do, as in IIS; what does not answer at all holds up the worker until startupTimeLimit, and a
worker that it was to replace goes on meanwhile. Nothing of it is logged as a request.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote

from was.ipc.messages import Request
from was.ipc.scoreboard import ROW_WORDS, module_cell_of
from was.log import log
from was.worker.interfaces.variables import NO_CONNECTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from was.config.model import PathSettings
    from was.ipc.messages import Response
    from was.worker.applications.application import HttpApplication
    from was.worker.chunks import FileRegion
    from was.worker.request_exchange import WholeRequest

__all__ = ["WarmUpExchange", "interim_page", "request_for", "warm_up"]

SECTION = "system.webServer/applicationInitialization"
USER_AGENT = "IIS Application Initialization Preload"


def warm_up(application: HttpApplication, handle: Callable[[WholeRequest], None]) -> None:
    """Ask one application for its pages, one after the other."""
    for page, host in pages_of(application):
        exchange = WarmUpExchange(request_for(application, page, host))
        begin = time.monotonic()
        handle(exchange)
        exchange.ended.wait()  # it may be answered on another thread
        log(
            "warm_up_completed",
            site=application.site.site_name,
            url=exchange.request.target,
            status=exchange.status,
            elapsed_ms=round((time.monotonic() - begin) * 1000),
        )


def pages_of(application: HttpApplication) -> list[tuple[str, str]]:
    """(URL below the application, name of the host) of each page, in the file's order."""
    pages = [("/", "")] if application.config.preload_enabled else []
    section = application.settings.sections.get(SECTION)
    for item in section.items if section is not None else ():
        page = str(item["initializationPage"])
        pages.append(("/" + page.lstrip("/"), str(item["hostName"])))
    return list(dict.fromkeys(pages))


def interim_page(settings: PathSettings) -> str:
    """remapManagedRequestsTo: URL below the application of what clients get meanwhile, or ""."""
    section = settings.sections.get(SECTION)
    if section is None or not section.items:
        return ""
    page = str(section["remapManagedRequestsTo"]).replace("~/", "", 1).lstrip("/")
    return "/" + page if page else ""


def request_for(application: HttpApplication, page: str, host: str) -> Request:
    """A GET of the page as it might come from this machine."""
    target = application.prefix + page
    path, _, query = target.partition("?")
    binding = next((b for b in application.site.config.bindings if b.protocol == "http"), None)
    return Request(
        id=0,
        attempt=1,
        slot=0,
        connection_id=NO_CONNECTION,
        site_id=application.site.site_id,
        application=application.path,
        method="GET",
        target=target,
        path=unquote(path),
        query=query,
        version=11,
        fields=[("Host", host or "localhost"), ("User-Agent", USER_AGENT)],
        remote_addr="127.0.0.1",
        remote_port=0,
        local_addr="127.0.0.1",
        local_port=binding.port if binding is not None else 80,
        secure=False,
        body=b"",
        body_length=0,
        pull=False,
    )


class WarmUpExchange:
    """A request without a client: remembers the status, drops the rest."""

    row = 0
    trailers = b""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.words = memoryview(bytearray(8 * ROW_WORDS)).cast("Q")
        self.module_cell = module_cell_of(self.words, self.row)
        self.gone = False
        self.started = False
        self.status = 0  # 0: it was cut
        self.ended = threading.Event()

    def give_back(self) -> None:
        """Its application has gone while it was warmed up."""
        self.ended.set()

    def read(self, size: int) -> bytes:
        """The request has no body."""
        return b""

    is_readable = True
    writable_bytes = 1 << 62

    def cancel(self) -> None:
        """What is written from now on is of no use."""
        self.gone = True

    def wait_for(self, event: threading.Event) -> None:
        """Block until the event is set."""
        event.wait()

    def poll_body(self) -> bool:
        """There is nothing to wait for."""
        return True

    def ring_on_arrival(self, ring: Callable[[], None] | None) -> None:
        """Nothing will arrive."""

    def start(self, response: Response) -> None:
        """The response begins."""
        self.started = True
        self.status = response.status

    def write(self, data: bytes) -> None:
        """More of the body."""

    def send_file(self, region: FileRegion) -> None:
        """More of the body."""

    def finish(self, response: Response, file: FileRegion | None = None) -> None:
        """The whole response."""
        self.status = response.status
        self.ended.set()

    def end(self, data: bytes, log: str, substatus: int, win32: int) -> None:
        """The end of a response that was begun."""
        self.ended.set()

    def abort(self, log: str, win32: int, reset: bool = False) -> None:
        """The application gave the response up."""
        self.status = 0
        self.ended.set()
