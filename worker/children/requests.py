"""Child requests: a request that a module runs within another one (CloneContext, ExecuteRequest).

A child has its own context and module objects and goes through the whole pipeline, but for
RQ_SEND_RESPONSE: that is raised for the root, when bytes are really sent. What the child answers
becomes part of its parent's response: status and fields in place of the parent's (unless
NO_HEADERS), the body after what the parent has written. One line is logged, the root's.

    clone ──▶ the module changes method, URL, fields ──▶ execute ──▶ inline: False
                                                            └──▶ PENDING: True, then the parent's
                                                                 on_async_completion
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from was.worker.calls.event_calls import Run, Step, only, single
from was.worker.children.exchange import ChildExchange, ExecuteFlag
from was.worker.interfaces.context import HttpContext
from was.worker.interfaces.hresult import (
    E_ACCESSDENIED,
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_SUPPORTED,
    ERROR_STACK_OVERFLOW,
    HResultError,
)
from was.worker.interfaces.response import HttpResponse
from was.worker.interfaces.user import ANONYMOUS
from was.worker.notifications import RequestNotification, RequestNotificationStatus
from was.worker.pipeline import run_head
from was.worker.refusing import refuse
from was.worker.url_text import quote_path

if TYPE_CHECKING:
    from was.worker.interfaces.user import HttpUser

__all__ = ["MAX_DEPTH", "CloneFlag", "ExecuteFlag", "abandon", "clone", "execute", "release"]

MAX_DEPTH = 10


class CloneFlag(IntFlag):
    """CLONE_FLAG_: what a child takes over from its parent."""

    BASICS = 0x01
    HEADERS = 0x02
    ENTITY = 0x04
    NO_PRECONDITION = 0x08
    NO_DAV = 0x10
    USER_CACHE_VARY_BY = 0x20
    SERVER_VARIABLE = 0x40


_PRECONDITIONS = frozenset(
    {"range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"}
)
_DAV = frozenset({"dav", "depth", "destination", "if", "lock-token", "overwrite", "timeout"})
_BODY = frozenset({"content-length", "transfer-encoding"})
_PASSES_OVER = ExecuteFlag.IGNORE_CURRENT_INTERCEPTOR | ExecuteFlag.SAME_URL


class _TakenOver(NamedTuple):
    """What flags say. An operation on an IntFlag costs as much as ten on numbers."""

    basics: bool
    headers: bool
    entity: bool
    variables: bool
    dropped: frozenset[str]


@lru_cache(maxsize=128)  # as many as there are
def _taken_over(flags: int) -> _TakenOver:
    has_entity = bool(flags & CloneFlag.ENTITY)
    dropped = frozenset[str]() if has_entity else _BODY
    if flags & CloneFlag.NO_PRECONDITION:
        dropped |= _PRECONDITIONS
    if flags & CloneFlag.NO_DAV:
        dropped |= _DAV
    return _TakenOver(
        basics=bool(flags & CloneFlag.BASICS),
        headers=bool(flags & CloneFlag.HEADERS),
        entity=has_entity,
        variables=bool(flags & CloneFlag.SERVER_VARIABLE),
        dropped=dropped,
    )


def clone(parent: HttpContext, flags: int) -> HttpContext:
    """A new child of `parent`, not run yet."""
    taken = _taken_over(flags)
    fields: list[tuple[str, str]] = []
    if taken.headers:
        dropped = taken.dropped
        fields = [field for field in parent.fields if field[0].lower() not in dropped]
    changes: dict[str, object] = {"fields": fields, "body": b"", "pull": False}
    if taken.entity:
        changes["pull"] = parent.message.body_length != 0  # it is read from the parent
    else:
        changes["body_length"] = 0
    if taken.basics:
        changes |= {"method": parent.method, "path": parent.path, "query": parent.query}
    else:
        changes |= {"method": "GET", "path": "/", "query": "", "target": "/"}
    request = msgspec.structs.replace(parent.message, head_number=0, **changes)
    exchange = ChildExchange(parent, request, HttpResponse(), taken.entity)
    child = HttpContext.of(exchange, parent.application, parent.calls, parent.proof)
    exchange.response = child.response
    child.child = exchange
    if taken.variables and parent.variables is not None:
        child.variables = dict(parent.variables)
    if parent.children is None:
        parent.children = []
    parent.children.append(child)
    return child


def execute(
    parent: HttpContext,
    child: HttpContext,
    flags: int,
    user: HttpUser | None,
    when_over: Callable[[], None] | None = None,
) -> bool:
    """Run a child. True: it will end later, and `when_over` is called (default: completion).

    Raises HResultError: ERROR_NOT_SUPPORTED for a child of another context,
    ERROR_INVALID_PARAMETER for one that was run, ERROR_STACK_OVERFLOW below MAX_DEPTH levels.
    """
    exchange = child.child
    if exchange is None or exchange.parent is not parent:
        raise HResultError(ERROR_NOT_SUPPORTED, "not a context cloned from this one")
    if exchange.is_run:
        raise HResultError(ERROR_INVALID_PARAMETER, "this child has been run")
    if parent.depth >= MAX_DEPTH:
        raise HResultError(ERROR_STACK_OVERFLOW, f"more than {MAX_DEPTH} child requests in a row")
    exchange.is_run = True
    exchange.flags = flags
    outer = parent.child
    exchange.is_waited_for = when_over is not None or (outer is not None and outer.is_waited_for)
    exchange.when_over = when_over or (lambda: parent.post_completion(0))
    if parent.child is not None:
        exchange.skipped = parent.child.skipped
    if flags & _PASSES_OVER:
        script_map = parent.script_map
        if script_map is not None:
            exchange.skipped |= {script_map.name}
    head = _prepare(child, user)
    words, at = exchange.words, exchange.row + 1
    hint = words[at]
    try:
        run_head(child, head)
    finally:
        words[at] = hint
    return exchange.leave()


def _prepare(child: HttpContext, user: HttpUser | None) -> tuple[Run, ...]:
    """Find what answers for the child's URL; the runs it begins with."""
    url = quote_path(child.path)
    target = f"{url}?{child.query}" if child.query else url
    application = child.application.locate(child.message.site_id, child.path)
    if application is None:
        begin = RequestNotification.BEGIN_REQUEST
        return (single(Step(_refuse_other_pool, begin, False, None)),)
    child.message = msgspec.structs.replace(
        child.message,
        method=child.method,
        path=child.path,
        query=child.query,
        target=target,
        fields=child.fields,
        application=application.path,
    )
    child.application = application
    child.calls = application.paths.at(child.path)
    head = child.calls.head
    # Whom nobody knows yet may have to say who he is for the child, if not for its parent.
    if user is None or user is ANONYMOUS:
        return head
    child.user = user
    authenticate = RequestNotification.AUTHENTICATE_REQUEST
    return only(head, lambda step: step.notification is not authenticate)


def _refuse_other_pool(context: HttpContext, _: object) -> RequestNotificationStatus:
    return refuse(context, 403, 18, E_ACCESSDENIED)


def release(child: HttpContext) -> None:
    """The parent has no more use for a child. ERROR_INVALID_PARAMETER after the parent's end."""
    exchange = child.child
    parent = exchange.parent if exchange is not None else None
    if exchange is None or parent is None or parent.children is None:
        raise HResultError(ERROR_INVALID_PARAMETER, "not a child, or its parent has ended")
    parent.children.remove(child)
    abandon(child)


def abandon(child: HttpContext) -> None:
    """The child's parent lets go of it; one that still runs goes on to its end unheard."""
    exchange = child.child
    if exchange is None:
        return
    exchange.parent = None
    if not exchange.is_run:
        child.dispose()
