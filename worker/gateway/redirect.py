"""Local redirects (RFC 3875, 6.2.2): a program names another path of this server as the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.children.answers import answer_by_child
from was.worker.children.requests import CloneFlag
from was.worker.interfaces.hresult import HResultError
from was.worker.notifications import (
    RequestNotificationStatus,
)
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["answer_by_redirect"]


def answer_by_redirect(context: HttpContext, location: str) -> RequestNotificationStatus:
    """Let `location` answer as a child request: GET, no body, the client's fields.

    502.2 where a program redirects to itself for ever.
    """
    child = context.clone_context(
        CloneFlag.BASICS | CloneFlag.HEADERS | CloneFlag.NO_PRECONDITION | CloneFlag.NO_DAV
    )
    child.request.set_http_method("GET")
    child.request.set_url(location)
    try:
        return answer_by_child(context, child)
    except HResultError:
        return refuse(context, 502, 2, 0, "The program redirects to itself.")
