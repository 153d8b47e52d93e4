"""DefaultDocumentModule: the first file of `defaultDocument` that a folder holds answers for it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from was.worker.calls.registration import (
    ApplicationModuleFactory,
    HttpModule,
    ModuleRegistrationInfo,
)
from was.worker.children.answers import ChildAnswers, answer_by_child
from was.worker.children.requests import CloneFlag
from was.worker.interfaces.hresult import E_ACCESSDENIED
from was.worker.notifications import (
    CONTINUE,
    RequestNotification,
    RequestNotificationStatus,
)
from was.worker.refusing import refuse
from was.worker.url_text import quote_path

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

_ALL_OF_IT = CloneFlag.BASICS | CloneFlag.HEADERS | CloneFlag.ENTITY | CloneFlag.SERVER_VARIABLE


class DefaultDocument(ChildAnswers):
    """The default documents of one application."""

    def __init__(self, application: HttpApplication) -> None:
        files = application.settings.default_document.files
        self._names = [name for name in files if _is_below_a_folder(name)]

    def on_execute_request_handler(
        self, context: HttpContext, provider: HttpContext
    ) -> RequestNotificationStatus:
        """Hand the request to the handler of the document; pass if there is none."""
        if not context.path.endswith("/") or not context.is_directory:
            return CONTINUE
        for name in self._names:
            path = context.path + name
            try:
                mode = os.stat(context.map_path(path)).st_mode
            except PermissionError:  # of the folder: that nothing is there would not be true
                return refuse(context, 401, 3, E_ACCESSDENIED)
            except (OSError, ValueError):
                continue
            if stat.S_ISREG(mode):
                return _run(context, path)
        return CONTINUE


def _is_below_a_folder(name: str) -> bool:
    return not name.startswith("/") and "/../" not in f"/{name}/"


def _run(context: HttpContext, path: str) -> RequestNotificationStatus:
    """The document answers as a child request: its own rights, mapping and modules."""
    child = context.clone_context(_ALL_OF_IT)
    child.request.set_url(quote_path(path), reset_query_string=False)
    return answer_by_child(context, child)


def _make(application: HttpApplication) -> HttpModule:
    if application.settings.default_document.enabled:
        return DefaultDocument(application)
    return HttpModule()


def register_module(
    server_version: int, registration_info: ModuleRegistrationInfo, http_server: object
) -> None:
    """Subscribe to EXECUTE_REQUEST_HANDLER."""
    registration_info.set_request_notifications(
        ApplicationModuleFactory(_make), RequestNotification.EXECUTE_REQUEST_HANDLER, 0
    )
