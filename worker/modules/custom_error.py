"""CustomErrorModule: the body of error responses, as `httpErrors` asks for.

Who may see details (errorMode) gets the detailed page; everybody else the custom page of the
status, or one line. existingResponse="Auto" leaves alone, as IIS does, what was said with
fTrySkipCustomErrors, and the whole answers of applications, programs and extensions: those that did
not report an error by SetStatus (a WSGI application's own 404, empty or not). A module that reports
one and writes a body beside it gets the page in its place.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from was.config.model import CustomError as CustomErrorEntry
from was.config.model import ErrorMode, ExistingResponse, ResponseMode
from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.children.requests import CloneFlag, ExecuteFlag
from was.worker.error_page import detailed_page, generic_page
from was.worker.interfaces.hresult import HResultError
from was.worker.interfaces.user import ANONYMOUS
from was.worker.notifications import CONTINUE, RequestNotification, RequestNotificationStatus

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.response import HttpResponse

_PAGE_LIMIT = 1 << 20
# What fields say of the body that a page takes the place of: browsers would not show the page.
_OF_THE_BODY = frozenset(
    {
        *("content-disposition", "content-encoding", "content-language", "content-location"),
        *("content-md5", "content-digest", "repr-digest", "etag", "last-modified"),
    }
)
# Of a 503, in seconds: what the listener says as well.
_RETRY_AFTER_S = "5"


class CustomErrors(HttpModule):
    """The error pages of one application."""

    wants_errors_only = True

    def __init__(self, application: HttpApplication) -> None:
        settings = application.settings.http_errors
        self._mode = settings.error_mode
        self._existing = settings.existing_response
        self._link = settings.detailed_more_information_link
        self._folder = application.physical_path
        self._entries = {(e.status_code, e.sub_status_code): e for e in settings.entries}
        self._default: CustomErrorEntry | None = None  # for statuses without an entry
        if settings.default_path:
            self._default = CustomErrorEntry(
                status_code=0,
                path=settings.default_path,
                response_mode=settings.default_response_mode,
            )

    def on_send_response(
        self, context: HttpContext, provider: HttpResponse
    ) -> RequestNotificationStatus:
        """Give an error response its body."""
        response = context.response
        if response.status < 400 or not provider.headers_being_sent:
            return CONTINUE
        if not self._is_ours(response):
            return CONTINUE
        response.replace_fields([f for f in response.fields if f[0].lower() not in _OF_THE_BODY])
        is_detailed = self._mode is ErrorMode.DETAILED or (
            self._mode is ErrorMode.DETAILED_LOCAL_ONLY and context.is_local
        )
        if is_detailed:
            self._set_page(context, detailed_page(context, self._link))
        else:
            self._set_custom(context)
        return CONTINUE

    def _is_ours(self, response: HttpResponse) -> bool:
        if self._existing is ExistingResponse.REPLACE:
            return True
        if self._existing is ExistingResponse.PASS_THROUGH:
            return False
        error = response.error
        return error is not None and not error.try_skip_custom_errors

    def _set_custom(self, context: HttpContext) -> None:
        response = context.response
        entry = (
            self._entries.get((response.status, response.sub_status))
            or self._entries.get((response.status, -1))
            or self._default
        )
        if entry is not None and entry.response_mode is not ResponseMode.FILE:
            target = entry.path
            if entry.response_mode is ResponseMode.EXECUTE_URL and target.startswith("/"):
                if not _execute(context, target):
                    self._set_page(context, generic_page(context))
                return
            status, sub_status = response.status, response.sub_status
            if target and not any(c <= " " or c == "\x7f" for c in target):
                response.discard_body()
                response.redirect(target)
                response.sub_status = 0 if status < 500 else sub_status
                return
        page = self._read(entry, context) if entry is not None else None
        self._set_page(context, page if page is not None else generic_page(context))

    def _read(self, entry: CustomErrorEntry, context: HttpContext) -> bytes | None:
        """The file of a custom error: in the client's language, else en-US, else as it stands."""
        folder = entry.prefix_language_file_path
        path = entry.path.replace("\\", "/")  # errors\404.htm, as it stands in web.config files
        if not folder:
            return _read_file(os.path.join(self._folder, path))
        languages = [*_languages(context.request.get_header("Accept-Language") or ""), "en-US", ""]
        for language in languages:
            page = _read_file(os.path.join(folder, language, path))
            if page is not None:
                return page
        return None

    def _set_page(self, context: HttpContext, page: bytes) -> None:
        response = context.response
        response.set_body(page)
        response.set_header("Content-Type", "text/html; charset=utf-8")
        if response.status >= 500:
            response.set_header("X-Request-ID", context.request_id)
        if response.status == 503 and response.get_header("Retry-After") is None:
            response.set_header("Retry-After", _RETRY_AFTER_S)


def _execute(context: HttpContext, target: str) -> bool:
    """Answer with what a URL answers, its status too, as IIS does; False if that is an error.

    The URL is told what failed: `?404;http://host/path`.
    """
    response = context.response
    before = (response.status, response.reason, response.sub_status, response.error)
    fields = response.fields
    scheme = "https" if context.message.secure else "http"
    host = context.request.get_header("Host") or context.message.local_addr
    joint = "&" if "?" in target else "?"
    child = context.clone_context(
        CloneFlag.BASICS
        | CloneFlag.HEADERS
        | CloneFlag.NO_PRECONDITION
        | CloneFlag.NO_DAV
        | CloneFlag.SERVER_VARIABLE
    )
    if context.method != "HEAD":
        child.request.set_http_method("GET")
    failed = f"{response.status};{scheme}://{host}{context.message.target}"
    child.request.set_url(f"{target}{joint}{failed}")
    response.discard_body()
    try:
        context.run_child(child, ExecuteFlag.BUFFER_RESPONSE, context.user or ANONYMOUS)
    except HResultError:  # an error page's error page, ten levels down
        return False
    if child.response.status < 400:
        return True
    response.discard_body()
    response.status, response.reason, response.sub_status, response.error = before
    response.clear_headers()
    for name, value in fields:
        response.set_header(name, value, replace=False)
    return False


def _languages(accepted: str) -> list[str]:
    """The language tags of Accept-Language, in the order written; nothing that is no tag."""
    tags = [part.partition(";")[0].strip() for part in accepted[:200].split(",")]
    return [tag for tag in tags if tag.isascii() and tag.replace("-", "").isalnum()][:4]


def _read_file(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        return os.read(fd, _PAGE_LIMIT)
    except OSError:
        return None
    finally:
        os.close(fd)


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to SEND_RESPONSE."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(CustomErrors), RequestNotification.SEND_RESPONSE, 0
    )
