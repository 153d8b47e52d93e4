"""StaticFileModule: files below a virtual directory, and the redirect that adds "/" to a folder.

What is opened decides, not what was looked at before: the file is opened once, must be a regular
one, and where the descriptor really lies (symbolic links resolved) must be below the virtual
directory's folder. A link out of it is 404; let a virtual directory point there instead. A segment
that begins with a dot is what the hidden attribute is on Windows: 404.9, but for `.well-known`.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING

from was.config.model import CacheControlMode
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.chunks import FileRegion
from was.worker.fields import encode_fields
from was.worker.http_dates import format_date
from was.worker.interfaces.hresult import E_ACCESSDENIED, E_FILE_NOT_FOUND, E_NOT_SUPPORTED
from was.worker.notifications import (
    CONTINUE,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse, refuse_method
from was.worker.static.document_footer import footer_of, tag_of
from was.worker.static.representation import (
    conditions_of,
    entity_tag,
    evaluate_conditions,
    fields_of_304,
    parse_ranges,
    wants_range,
)
from was.worker.url_text import quote_path

if TYPE_CHECKING:
    from was.config.model import StaticContent
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

_SMALL_FILE_BYTES = 65536
# At a file that becomes shorter each time it is read.
_LOOKS = 4
_MISSING = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO, errno.ENODEV}
)


class _ShorterError(OSError):
    """You get this when a file has fewer bytes than it had when it was looked at."""


class StaticFile(HttpModule):
    """The static content of one application."""

    def __init__(self, application: HttpApplication) -> None:
        settings = application.settings.static_content
        self._application = application
        self._types = settings.mime_map
        self._sets_etag = settings.set_etag
        self._cache_fields = _cache_fields(settings)
        self._footer = footer_of(settings)
        self._real_roots: dict[str, str] = {}

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Answer for a file; pass a folder that ends in "/" on."""
        if _is_hidden(context.path, self._application.prefix_length):
            return refuse(context, 404, 9, E_FILE_NOT_FOUND)
        path = context.physical_path
        try:
            # O_NONBLOCK: opening a FIFO must not wait for a writer.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (OSError, ValueError) as error:
            return _refuse_open(context, error)
        try:
            status = os.fstat(fd)
            if not self._is_inside(fd, self._application.root_of(context.path)):
                return refuse(context, 404, 0, E_FILE_NOT_FOUND)
            if stat.S_ISDIR(status.st_mode):
                return _redirect_to_folder(context)
            if not stat.S_ISREG(status.st_mode):
                return refuse(context, 404, 0, E_FILE_NOT_FOUND)
            if context.method not in ("GET", "HEAD"):
                return refuse_method(context, "GET, HEAD, OPTIONS, TRACE")
            media_type = self._type_of(path)
            if media_type is None:
                return refuse(context, 404, 3, E_NOT_SUPPORTED)
            is_kept = self._answer_as_it_is(context, fd, status, media_type)
            if is_kept:
                fd = -1
        finally:
            if fd >= 0:
                os.close(fd)
        context.is_handled = True
        return CONTINUE

    # ── is this file to be had? ─────────────────────────────────────────────────────────────────

    def _is_inside(self, fd: int, root: str) -> bool:
        real = os.readlink(f"/proc/self/fd/{fd}")
        known = self._real_roots.get(root)
        if known is not None and _is_below(real, known):
            return True
        # The folder itself may be a link that was turned to another release.
        known = self._real_roots[root] = os.path.realpath(root)
        return _is_below(real, known)

    def _type_of(self, path: str) -> str | None:
        name = path[path.rfind("/") + 1 :].lower()
        at = name.find(".")
        while at >= 0:
            found = self._types.get(name[at:])
            if found is not None:
                return found
            at = name.find(".", at + 1)
        if "." not in name and (bare := self._types.get(".")) is not None:
            return bare
        return self._types.get(".*")

    # ── the answer ──────────────────────────────────────────────────────────────────────────────

    def _answer_as_it_is(
        self, context: HttpContext, fd: int, status: os.stat_result, media_type: str
    ) -> bool:
        """`_answer`; a file that is just being written may be shorter a moment later."""
        for _ in range(_LOOKS - 1):
            try:
                return self._answer(context, fd, status, media_type)
            except _ShorterError:
                context.response.take_back_fields()
                context.response.set_status(200)
                status = os.fstat(fd)
        return self._answer(context, fd, status, media_type)

    def _answer(
        self, context: HttpContext, fd: int, status: os.stat_result, media_type: str
    ) -> bool:
        """Fill the response; True if it keeps the descriptor."""
        if self._footer is not None and media_type.startswith("text/html"):
            return self._answer_with_footer(context, fd, status, media_type, self._footer.read())
        context.served_file = (context.physical_path, status, media_type)
        response = context.response
        size = status.st_size
        modified = int(status.st_mtime)
        etag = entity_tag(status.st_mtime_ns, size) if self._sets_etag else ""
        # RFC 9110 8.8.2.1: never later than the response, whatever the file system says.
        told = min(modified, int(time.time()))
        fields = [("Last-Modified", format_date(told)), ("Accept-Ranges", "bytes")]
        if etag:
            fields.append(("ETag", etag))
        fields += self._cache_fields
        conditions = conditions_of(context.fields)
        if conditions:
            outcome = evaluate_conditions(conditions, etag, modified)
            if outcome:
                _answer_condition(response, outcome, fields, conditions)
                return False
            if context.method == "GET" and wants_range(conditions, etag, modified):
                ranges = parse_ranges(conditions["range"], size)
                if ranges is not None:
                    return _answer_ranges(context, fd, fields, media_type, size, ranges)
        fields = [("Content-Type", media_type), *fields]
        response.set_encoded_fields(fields, encode_fields(fields))
        if context.method == "HEAD":
            response.content_length = size
            return False
        return _add_region(context, fd, 0, size)

    def _answer_with_footer(
        self,
        context: HttpContext,
        fd: int,
        status: os.stat_result,
        media_type: str,
        footer: bytes,
    ) -> bool:
        """A page and its footer, whole: no part of a file, and no date that would be both's."""
        response = context.response
        etag = entity_tag(status.st_mtime_ns, status.st_size, f":{tag_of(footer)}")
        fields = [("Content-Type", media_type), ("Accept-Ranges", "none"), *self._cache_fields]
        if self._sets_etag:
            fields.append(("ETag", etag))
        conditions = conditions_of(context.fields)
        matches = {n: v for n, v in conditions.items() if n in ("if-match", "if-none-match")}
        outcome = evaluate_conditions(matches, etag if self._sets_etag else "", 0)
        if outcome:
            _answer_condition(response, outcome, fields, matches)
            return False
        response.set_encoded_fields(fields, encode_fields(fields))
        if context.method == "HEAD":
            response.content_length = status.st_size + len(footer)
            return False
        is_kept = _add_region(context, fd, 0, status.st_size)
        response.chunks.append(footer)
        return is_kept


def _answer_condition(
    response: HttpResponse,
    outcome: int,
    fields: list[tuple[str, str]],
    conditions: dict[str, str],
) -> None:
    """304, or 412."""
    response.set_status(outcome)
    if outcome == 304:
        fields = fields_of_304(fields, conditions)
        response.set_encoded_fields(fields, encode_fields(fields))


def _answer_ranges(
    context: HttpContext,
    fd: int,
    fields: list[tuple[str, str]],
    media_type: str,
    size: int,
    ranges: list[tuple[int, int]],
) -> bool:
    """206 with one part or several, or 416."""
    response = context.response
    if not ranges:
        response.set_status(416, "Requested Range Not Satisfiable")
        response.set_header("Content-Range", f"bytes */{size}")
        return False
    response.set_status(206)
    if len(ranges) == 1:
        offset, length = ranges[0]
        content_range = f"bytes {offset}-{offset + length - 1}/{size}"
        fields = [("Content-Type", media_type), ("Content-Range", content_range), *fields]
        response.set_encoded_fields(fields, encode_fields(fields))
        return _add_region(context, fd, offset, length)
    boundary = f"was-part-{os.urandom(12).hex()}"
    fields = [("Content-Type", f"multipart/byteranges; boundary={boundary}"), *fields]
    response.set_encoded_fields(fields, encode_fields(fields))
    # Before the response has the descriptor: what fails here leaves it to the caller.
    small = [_read(fd, at, length) if length <= _SMALL_FILE_BYTES else b"" for at, length in ranges]
    is_kept = False
    line_end = ""
    for (offset, length), data in zip(ranges, small, strict=True):
        head = (
            f"{line_end}--{boundary}\r\nContent-Type: {media_type}\r\n"
            f"Content-Range: bytes {offset}-{offset + length - 1}/{size}\r\n\r\n"
        )
        line_end = "\r\n"
        response.chunks.append(head.encode("latin-1"))
        if data:
            response.chunks.append(data)
        else:
            # Several regions, one descriptor: the first that is made closes it, after the last.
            response.chunks.append(FileRegion(fd, offset, length, is_owned=not is_kept))
            is_kept = True
    response.chunks.append(f"\r\n--{boundary}--\r\n".encode("latin-1"))
    return is_kept


def _add_region(context: HttpContext, fd: int, offset: int, length: int) -> bool:
    """Add part of the file to the body; True if the response keeps the descriptor."""
    if length <= _SMALL_FILE_BYTES:
        context.response.chunks.append(_read(fd, offset, length))
        return False
    context.response.chunks.append(FileRegion(fd, offset, length))
    return True


def _read(fd: int, offset: int, length: int) -> bytes:
    data = os.pread(fd, length, offset)
    if len(data) < length:
        # Length, range and validators that are said are those of more than there is now.
        raise _ShorterError("the file has become shorter while it was read")
    return data


def _is_hidden(path: str, start: int) -> bool:
    if "/." not in path:
        return False
    return any(
        segment.startswith(".") and segment != ".well-known" for segment in path[start:].split("/")
    )


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _refuse_open(context: HttpContext, error: OSError | ValueError) -> RequestNotificationStatus:
    number = error.errno if isinstance(error, OSError) else errno.ENOENT
    if number in _MISSING:
        return refuse(context, 404, 0, E_FILE_NOT_FOUND)
    if number in (errno.EACCES, errno.EPERM):
        return refuse(context, 401, 3, E_ACCESSDENIED)
    raise error


def _redirect_to_folder(context: HttpContext) -> RequestNotificationStatus:
    """A folder asked for without its "/": links in its pages would be resolved wrongly."""
    if context.path.endswith("/"):
        return CONTINUE
    query = f"?{context.query}" if context.query else ""
    context.response.redirect(quote_path(context.path) + "/" + query, 301)
    context.is_handled = True
    return CONTINUE


def _cache_fields(settings: StaticContent) -> list[tuple[str, str]]:
    """Cache-Control and Expires as clientCache asks for."""
    directives: list[str] = []
    fields: list[tuple[str, str]] = []
    mode = settings.cache_control_mode
    if mode is CacheControlMode.DISABLE_CACHE:
        directives.append("no-cache")
    elif mode is CacheControlMode.USE_MAX_AGE:
        directives.append(f"max-age={int(settings.cache_control_max_age_s)}")
    elif mode is CacheControlMode.USE_EXPIRES and settings.http_expires:
        fields.append(("Expires", settings.http_expires))
    if settings.cache_control_custom:
        directives.append(settings.cache_control_custom)
    if directives:
        fields.append(("Cache-Control", ",".join(directives)))
    return fields


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to EXECUTE_REQUEST_HANDLER."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(StaticFile), RequestNotification.EXECUTE_REQUEST_HANDLER, 0
    )
