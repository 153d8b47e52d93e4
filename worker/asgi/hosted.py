"""HostedApplication: one ASGI application in a worker, from its import to its shutdown; and all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from was.log import log, log_exception
from was.worker.applications.app_loader import ApplicationLoader, Failure
from was.worker.applications.module_files import ModuleFiles
from was.worker.asgi.lifespan import Lifespan
from was.worker.asgi.loop import LoopThread

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.asgi.run import RequestRun

__all__ = ["HostedApplication", "HostedApplications"]

# An application whose startup failed (a database that is not there yet) is tried again, by a
# request, after so many seconds.
RETRY_S = 5.0
# How long work goes on for requests that have been answered, when the worker is to end.
BACKGROUND_S = 10.0


class HostedApplication:
    """What runs for a scriptProcessor; any thread but the loop's may call `load`."""

    def __init__(
        self, loader: ApplicationLoader, loop: LoopThread, reference: str, folder: str
    ) -> None:
        self.reference = reference
        self._folder = folder
        self.application: Callable[..., Any] | None = None  # once it has started
        self.state: dict[str, Any] | None = None
        # Those that call it, those included whose response has ended.
        self.running: set[RequestRun] = set()
        # A first step of it took long: for so many requests more. The response leaves when such a
        # step has ended, so it has to be taken where the response leaves at once.
        self.lingers = 0
        self._loader = loader
        self._loop = loop
        self._lock = threading.Lock()
        self._lifespan: Lifespan | None = None
        self._failure: Failure | None = None
        self._failed_at = 0.0
        self._files: ModuleFiles | None = None  # those of a startup that has failed

    def load(self) -> Callable[..., Any] | Failure:
        """Import it and have it start: the application, or why there is none."""
        if self.application is not None:
            return self.application
        with self._lock:
            if self.application is not None:
                return self.application
            if self._failure is not None and self._files is not None:
                now = time.monotonic()
                if self._files.changed(now):  # what this process has imported stays imported
                    self._failure.is_the_process_s = True
                if self._failure.is_the_process_s or now - self._failed_at < RETRY_S:
                    return self._failure
            # For what a module does with asyncio.get_event_loop() while it is imported.
            asyncio.set_event_loop(self._loop.loop)
            try:
                found = self._loader.load()
            finally:
                asyncio.set_event_loop(None)
            if isinstance(found, Failure):
                return found
            lifespan = Lifespan(found, self.reference)
            files = self._files or ModuleFiles([self._folder])
            try:
                self._loop.run(lifespan.start(self._loop))
            except Exception as error:  # noqa: BLE001 whatever it is, the application has not started
                text = str(error).strip()
                # Starlette says the whole traceback, and raises it as well: it is logged already.
                reason = text.rpartition("\n")[2]
                if reason == text:
                    log_exception("application_failed", error, application=self.reference)
                else:
                    log("application_failed", error=reason, application=self.reference)
                self._failure = Failure(reason, text, {})
                self._failed_at = time.monotonic()
                self._files = files
                return self._failure
            self._lifespan, self.state = lifespan, lifespan.state
            self.application, self._failure = found, None
            return found

    def shut_down(self) -> None:
        """The application ends: have it shut down, and wait for that."""
        with self._lock:
            lifespan, self._lifespan = self._lifespan, None
            if lifespan is not None:
                try:
                    self._loop.run_last(self._stop(lifespan))
                except TimeoutError:
                    log("application_left", application=self.reference)

    async def _stop(self, lifespan: Lifespan) -> None:
        """After what it still does for requests that have been answered in time."""
        running = [r for r in self.running if not r.exchange.is_overdue]
        if running:
            tasks = [run.task for run in running if run.task is not None]
            _, left = await asyncio.wait(tasks, timeout=BACKGROUND_S)
            for task in left:
                task.cancel("the worker ends")
        await lifespan.stop()


class HostedApplications:
    """The ASGI applications of one application; stored with it, and shut down with it."""

    def __init__(self, application: HttpApplication, loop: LoopThread) -> None:
        self._application = application
        self._loop = loop
        self._all: dict[str, HostedApplication] = {}

    def get(self, reference: str) -> HostedApplication:
        """The one of a scriptProcessor, perhaps not loaded yet."""
        found = self._all.get(reference)
        if found is None:
            loaders = self._application.loaders
            loader = loaders.setdefault(
                reference, ApplicationLoader(reference, self._application.physical_path)
            )
            made = HostedApplication(loader, self._loop, reference, self._application.physical_path)
            found = self._all.setdefault(reference, made)
        return found

    def cleanup_stored_context(self) -> None:
        """The application ends (IHttpStoredContext)."""
        for hosted in self._all.values():
            hosted.shut_down()
