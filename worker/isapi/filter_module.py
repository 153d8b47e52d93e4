"""The module object of an application with filters: the pipeline's events to those of filters.

Here are those of the request; filter_sending.py has those of the response.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from was.worker.calls.registration import HttpModule
from was.worker.interfaces.hresult import E_ACCESSDENIED, from_win32
from was.worker.isapi import filter_data as data
from was.worker.isapi.errors import ImageError
from was.worker.isapi.filter_chain import FilterChain
from was.worker.isapi.filter_flags import Notify
from was.worker.isapi.filter_parts import Parts, session_of
from was.worker.isapi.filter_sending import SENDING, log_request, send_added_fields, send_response
from was.worker.isapi.site_paths import normalize, url_text
from was.worker.moving import NotOurPoolError, RequestMovedError, move
from was.worker.notifications import CONTINUE, RequestNotificationStatus
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.providers import MapPathProvider

__all__ = ["Refusal", "make_module"]


class Refusal(HttpModule):
    """A filter of the application cannot be loaded: no request is answered without it."""

    def __init__(self, error: ImageError) -> None:
        self._error = error

    def on_begin_request(self, context: HttpContext, provider: object) -> RequestNotificationStatus:
        """500.0 with the file and the reason."""
        text = f"The ISAPI filter could not be loaded: {self._error}"
        return refuse(context, 500, 0, from_win32(self._error.number), text)


def make_module(chain: FilterChain, *, has_digest: bool = False) -> HttpModule:
    """An object with the methods that these filters need, and no others.

    AUTHENTICATION is for Basic and for who will be anonymous, not for Digest where it is enabled.
    """
    parts = Parts(chain, has_digest)
    methods: dict[str, Any] = {}
    if parts.wants(Notify.PREPROC_HEADERS | Notify.END_OF_NET_SESSION):
        methods["on_begin_request"] = _preproc_headers(parts)
    if parts.wants(Notify.URL_MAP):
        methods["on_map_path"] = _url_map(parts)
    if parts.wants(Notify.AUTHENTICATION | Notify.URL_MAP):
        methods["on_authenticate_request"] = _authentication(parts)
    if parts.wants(Notify.AUTH_COMPLETE):
        methods["on_post_authenticate_request"] = _auth_complete(parts)
    methods["on_send_response"] = (
        send_response(parts) if parts.wants(SENDING) else send_added_fields
    )
    if parts.wants(SENDING | Notify.LOG):
        methods["on_log_request"] = log_request(parts)
    kind = type("IsapiFilters", (HttpModule,), methods)
    made: HttpModule = kind()
    return made


# ── the request ─────────────────────────────────────────────────────────────────────────────────


def _preproc_headers(parts: Parts) -> Any:
    filters, to_the_end = parts.of[Notify.PREPROC_HEADERS], parts.of[Notify.END_OF_NET_SESSION]

    def on_begin_request(_: HttpModule, context: HttpContext, __: object) -> object:
        if context.child is not None:
            return CONTINUE
        session = session_of(context)
        session.connection.tell_end(to_the_end)
        headers = data.RequestHeaders(context)
        status = session.raise_event(filters, Notify.PREPROC_HEADERS, headers)
        outcome = parts.conclude(session, status)
        if outcome or headers.new_url is None:
            return outcome
        return _move(context, headers.new_url)

    return on_begin_request


def _move(context: HttpContext, url: str) -> RequestNotificationStatus:
    path, _, query = url_text(url.encode("latin-1")).partition("?")
    try:
        move(context, normalize(path), query)
    except NotOurPoolError:
        return refuse(context, 403, 18, E_ACCESSDENIED)
    raise RequestMovedError


def _url_map(parts: Parts) -> Any:
    filters = parts.of[Notify.URL_MAP]

    def on_map_path(_: HttpModule, context: HttpContext, provider: MapPathProvider) -> object:
        session = session_of(context)
        shown = data.UrlMap(provider.url, provider.physical_path)
        outcome = parts.conclude(session, session.raise_event(filters, Notify.URL_MAP, shown))
        if outcome:
            return outcome
        if shown.path != provider.physical_path:
            provider.set_physical_path(shown.path)
        return CONTINUE

    return on_map_path


def _authentication(parts: Parts) -> Any:
    filters, has_digest = parts.of[Notify.AUTHENTICATION], parts.has_digest

    def on_authenticate_request(_: HttpModule, context: HttpContext, __: object) -> object:
        # URL_MAP is raised for every request, and comes first, as in IIS: a handler may never ask.
        if context.child is None and context.physical_path and context.verdict:
            return CONTINUE
        if not filters or context.child is not None or context.user is not None:
            return CONTINUE
        field = context.request.get_header("Authorization") or ""
        if has_digest and field[:7].lower() == "digest ":
            return CONTINUE
        sent = _credentials(field)
        session = session_of(context)
        shown = data.Authentication(*sent)
        outcome = parts.conclude(
            session, session.raise_event(filters, Notify.AUTHENTICATION, shown)
        )
        if outcome or (shown.user, shown.password) == sent:
            return outcome
        context.set_server_variable("UNMAPPED_REMOTE_USER", sent[0])
        if shown.user:
            told = f"{shown.user}:{shown.password}".encode("utf-8", "surrogateescape")
            token = base64.b64encode(told).decode()
            context.request.set_header("Authorization", f"Basic {token}")
        else:
            context.request.delete_header("Authorization")
        return CONTINUE

    return on_authenticate_request


def _credentials(field: str) -> tuple[str, str]:
    """Name and password of Basic; both empty for all that will be anonymous."""
    scheme, _, token = field.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        data = base64.b64decode(token)
    except (binascii.Error, ValueError):
        return "", ""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    user, _, password = text.partition(":")
    return user, password


def _auth_complete(parts: Parts) -> Any:
    filters = parts.of[Notify.AUTH_COMPLETE]

    def on_post_authenticate_request(_: HttpModule, context: HttpContext, __: object) -> object:
        if context.child is not None:
            return CONTINUE
        session = session_of(context)
        headers = data.AuthComplete(context)
        status = session.raise_event(filters, Notify.AUTH_COMPLETE, headers)
        outcome = parts.conclude(session, status)
        if outcome or headers.new_url is None:
            return outcome
        return _move(context, headers.new_url)

    return on_post_authenticate_request
