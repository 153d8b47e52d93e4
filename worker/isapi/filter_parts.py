"""What the methods of a module with filters share: who hears which event, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.interfaces.hresult import E_UNEXPECTED, from_win32
from was.worker.interfaces.response import HttpResponse
from was.worker.isapi.constants import Win32
from was.worker.isapi.filter_chain import FilterChain
from was.worker.isapi.filter_flags import FilterStatus, Notify
from was.worker.isapi.filter_session import FilterSession
from was.worker.notifications import CONTINUE, FINISH_REQUEST, RequestNotificationStatus

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["NAME", "Parts", "session_of"]

NAME = "IsapiFilterModule"


def session_of(context: HttpContext) -> FilterSession:
    """The request's session, made at the first event; it keeps it when it moves."""
    container = context.named_context_container
    session = container.get_named_context(NAME)
    if not isinstance(session, FilterSession):
        session = FilterSession(context)
        container.set_named_context(session, NAME)
    return session


class Parts:
    """The filters of one application, by event."""

    def __init__(self, chain: FilterChain, has_digest: bool) -> None:
        self.has_digest = has_digest
        self.of = {event: chain.of(event) for event in Notify}

    def wants(self, events: int) -> bool:
        """Whether any filter wants one of these events."""
        return any(self.of[event] for event in Notify if event & events)

    def conclude(self, session: FilterSession, status: int) -> RequestNotificationStatus:
        """What a chain's result is for the pipeline."""
        context = session.context
        if status == FilterStatus.NEXT_NOTIFICATION:
            return CONTINUE
        if status == FilterStatus.ERROR:
            if context.exchange.started:
                context.is_cut = True
            else:
                _refuse(context.response, session.last_error)
            return FINISH_REQUEST
        session.conclude_answer(status)
        return FINISH_REQUEST


def _refuse(response: HttpResponse, error: int) -> None:
    """SF_STATUS_REQ_ERROR: 401.4 where the last error says so, else 500."""
    response.clear()
    if error in (Win32.ACCESS_DENIED, Win32.LOGON_FAILURE):
        response.set_status(401, "Unauthorized", 4, from_win32(error))
        return
    response.set_status(500, "Internal Server Error", 0, E_UNEXPECTED)
    response.set_error_description("An ISAPI filter has failed.")
