"""HSE_REQ_EXEC_URL: another URL, or this one by the next handler, answers for the extension.

A child request of the pipeline. It runs on a spare thread, so the extension goes on meanwhile; what
it answers goes to the client, and the extension cannot change it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import TYPE_CHECKING

import msgspec

from was.log import log_exception
from was.worker.children.requests import CloneFlag, ExecuteFlag
from was.worker.exchange import ClientGoneError
from was.worker.interfaces.hresult import HResultError
from was.worker.isapi.constants import Win32
from was.worker.isapi.errors import invalid
from was.worker.isapi.header_text import is_method, parse_header_block
from was.worker.isapi.session import Session
from was.worker.isapi.site_paths import application_of, normalize

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.user import HttpUser
    from was.worker.isapi.session import Completion

__all__ = ["ExecFlag", "execute_url"]


class ExecFlag(IntFlag):
    """HSE_EXEC_URL_."""

    NO_HEADERS = 0x02
    IGNORE_CURRENT_INTERCEPTOR = 0x04
    IGNORE_VALIDATION_AND_RANGE = 0x10
    DISABLE_CUSTOM_ERROR = 0x20
    SSI_CMD = 0x40
    HTTP_CACHE_ELIGIBLE = 0x80


_EXECUTE_FLAGS = {
    ExecFlag.NO_HEADERS: ExecuteFlag.NO_HEADERS,
    ExecFlag.IGNORE_CURRENT_INTERCEPTOR: ExecuteFlag.IGNORE_CURRENT_INTERCEPTOR,
    ExecFlag.DISABLE_CUSTOM_ERROR: ExecuteFlag.DISABLE_CUSTOM_ERROR,
    ExecFlag.HTTP_CACHE_ELIGIBLE: ExecuteFlag.HTTP_CACHE_ELIGIBLE,
}


def execute_url(
    session: Session,
    completion: Completion,
    url: str | None,
    method: str | None,
    headers: str | None,
    flags: int,
    entity: bytes | None = None,
    user: HttpUser | None = None,
) -> None:
    """Start the child; `completion` is called when it has ended.

    `url` None: the same request; `headers` replace all of the request's; `entity` is the child's
    body, None: what has not been read. Raises ServerFunctionError: 87 for a URL outside the pool.
    """
    context = session.context
    if method is not None and not is_method(method):
        raise invalid(f"not a method: {method[:80]!r}")
    target = None if url is None else _target(context, url)
    fields = None if headers is None else parse_header_block(headers)[0]
    clone = _clone_flags(flags, keeps_headers=headers is None, keeps_entity=entity is None)
    execute = _execute_flags(flags)
    if session.reply.has_begun:
        execute |= ExecuteFlag.NO_HEADERS  # the extension's own headers stand
    if target is None:
        execute |= ExecuteFlag.SAME_URL

    def run() -> None:
        child = context.clone_context(clone)
        if target is not None:
            child.set_path(target[0])
            child.query = target[1]
        if method is not None:
            child.method = method
        if fields is not None:
            child.fields = fields
        if entity is not None:
            child.message = msgspec.structs.replace(child.message, body_length=len(entity))
            child.request.insert_entity_body(entity)
        elif session.take_preload():
            context.request.insert_entity_body(session.preload)
        try:
            context.run_child(child, execute, user)
        finally:
            result = session.child
            result.status = child.response.status
            result.sub_status = child.response.sub_status
            result.win32 = child.win32_status()
            child.release_cloned_context()
        session.reply.has_headers = True

    _start(session, run, completion)


def _target(context: HttpContext, url: str) -> tuple[str, str]:
    """Path and query of a URL of this pool's."""
    path, _, query = url.partition("?")
    path = normalize(path)
    if application_of(context, path).application_pool != context.application.pool:
        raise invalid(f"{path} is in another application pool")
    return path, query


def _clone_flags(flags: int, *, keeps_headers: bool, keeps_entity: bool) -> CloneFlag:
    clone = CloneFlag.BASICS | CloneFlag.SERVER_VARIABLE
    if keeps_headers:
        clone |= CloneFlag.HEADERS
    if keeps_entity:
        clone |= CloneFlag.ENTITY
    if flags & ExecFlag.IGNORE_VALIDATION_AND_RANGE:
        clone |= CloneFlag.NO_PRECONDITION
    return clone


def _execute_flags(flags: int) -> ExecuteFlag:
    execute = ExecuteFlag(0)
    for flag, meaning in _EXECUTE_FLAGS.items():
        if flags & flag:
            execute |= meaning
    return execute


def _start(session: Session, run: Callable[[], None], completion: Completion) -> None:
    def work() -> None:
        error = 0
        try:
            run()
        except HResultError as failure:
            error = failure.hresult & 0xFFFF
        except ClientGoneError:
            error = Win32.WSAECONNRESET
        except BaseException as failure:  # noqa: BLE001 whatever a module of the child does
            log_exception("module_failed", failure, request=session.context.request_id)
            error = Win32.OPERATION_ABORTED
        session.complete_operation(completion, 0, error)

    session.begin_operation(work)
