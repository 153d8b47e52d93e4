"""StaticCompressionModule: files whose MIME type is among `staticTypes` go out compressed.

As in IIS the compressed form is made by the request that makes the URL a frequently hit one, kept
on disk, and answers from then on whatever the frequency. The answer is the whole file or nothing:
a part of it (206) is never compressed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from was.config.semantics import is_windows_path
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.children.requests import ExecuteFlag
from was.worker.chunks import FileRegion
from was.worker.compression.compressed_files import CompressedFiles
from was.worker.compression.content_coding import (
    VARY,
    VARY_BLOCK,
    Chooser,
    Clients,
    TypeTable,
    coded_fields,
)
from was.worker.compression.cpu_gate import CpuGate
from was.worker.compression.encoders import codings
from was.worker.compression.hit_frequency import HitFrequency
from was.worker.notifications import CONTINUE, RequestNotification, RequestNotificationStatus

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.compression.encoders import Coding
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

_SMALL_BYTES = 65536
# What says the same Vary for one request (RFC 9110, 15.3.7 and 15.4.5).
_OF_FILES = frozenset({200, 206, 304})


class StaticCompression(HttpModule):
    """The compression of one application's files."""

    def __init__(self, application: HttpApplication, chooser: Chooser[Coding]) -> None:
        settings = application.settings.http_compression
        runtime = application.settings.server_runtime
        self._types = TypeTable(settings.static_types)
        self._chooser = chooser
        self._least_bytes = settings.min_file_size_for_comp
        self._clients = Clients(settings)
        self._frequency: HitFrequency | None = None
        if not settings.static_compression_ignore_hit_frequency:
            self._frequency = HitFrequency(
                runtime.frequent_hit_threshold, runtime.frequent_hit_time_period_s
            )
        self._gate = CpuGate(
            settings.static_compression_disable_cpu_usage,
            settings.static_compression_enable_cpu_usage,
        )
        limit = settings.max_disk_space_usage << 20 if settings.do_disk_space_limiting else 0
        self._files = CompressedFiles(_folders(settings.directory, application.pool), limit)

    def on_release_request_state(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Put the compressed form in place of the file, if the client takes it."""
        served = context.served_file
        if served is None:
            return CONTINUE
        path, status, media_type = served
        response = context.response
        if status.st_size < self._least_bytes or not self._types.is_compressed(media_type):
            return CONTINUE
        if response.status not in _OF_FILES or context.exchange.started or _is_part(context):
            return CONTINUE
        # Also where it goes as it is: a cache must know that others get something else.
        response.add_encoded_fields(VARY, VARY_BLOCK)
        if response.status != 200:
            return CONTINUE
        accepted = self._clients.accepted(context.message.version, context.fields)
        coding = self._chooser.choose(accepted) if accepted else None
        if coding is None or response.get_header("Content-Encoding") is not None:
            return CONTINUE
        fd = self._files.open(path, status, coding)
        if fd < 0 and self._is_worth_it(context):
            fd = self._make(path, status, coding)
        if fd >= 0:
            self._answer(context, response, coding, fd)
        return CONTINUE

    def _is_worth_it(self, context: HttpContext) -> bool:
        if context.method != "GET":
            return False
        if self._frequency is not None and not self._frequency.hit(context.path):
            return False
        return self._gate.is_open()

    def _make(self, path: str, status: os.stat_result, coding: Coding) -> int:
        """Compress the file as it is now, if it still is the one that was opened before."""
        try:
            source = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return -1
        try:
            now = os.fstat(source)
            if (now.st_ino, now.st_dev, now.st_mtime_ns, now.st_size) != (
                status.st_ino,
                status.st_dev,
                status.st_mtime_ns,
                status.st_size,
            ):
                return -1
            return self._files.make(path, status, coding, source)
        finally:
            os.close(source)

    def _answer(
        self, context: HttpContext, response: HttpResponse, coding: Coding, fd: int
    ) -> None:
        size = os.fstat(fd).st_size
        response.discard_body()
        if context.method == "HEAD":
            response.content_length = size
            os.close(fd)
        elif size <= _SMALL_BYTES:
            response.chunks.append(os.pread(fd, size, 0))
            os.close(fd)
        else:
            response.chunks.append(FileRegion(fd, 0, size))
        response.replace_fields(
            coded_fields(response.fields, coding.name, self._clients.cache_fields)
        )


def _is_part(context: HttpContext) -> bool:
    """Whether the file is to be part of another request's response, whose fields will not say."""
    child, parent = context.child, context.parent_context
    if child is None or parent is None:
        return child is not None
    return bool(
        child.flags & ExecuteFlag.NO_HEADERS or parent.response.chunks or parent.exchange.started
    )


def _folders(directory: str, pool: str) -> list[str]:
    """Where the pool's compressed files may lie: below `directory`, else in its own folder.

    A pool's identity need not have the right to write where the server's files are.
    """
    own = os.path.join(os.environ.get("TMPDIR") or "/tmp", "compressed")
    name = f"pool-{quote(pool, safe='')}"
    if not directory or is_windows_path(directory):
        return [os.path.join(own, name)]
    return [os.path.join(directory, name), os.path.join(own, name)]


def _make(application: HttpApplication) -> HttpModule:
    settings = application.settings.http_compression
    usable = codings(settings.schemes, is_static=True)
    if (
        not application.settings.url_compression.do_static_compression
        or not usable
        or not TypeTable(settings.static_types).has_any()
    ):
        return HttpModule()
    return StaticCompression(application, Chooser(usable))


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to RELEASE_REQUEST_STATE."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make), RequestNotification.RELEASE_REQUEST_STATE, 0
    )
