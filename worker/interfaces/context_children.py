"""The part of HttpContext that runs requests within requests."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, cast

from was.worker.interfaces.hresult import ERROR_INVALID_INDEX, ERROR_NOT_SUPPORTED, HResultError

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext
    from was.worker.interfaces.user import HttpUser

__all__ = ["ContextChildren"]


class ContextChildren:
    """CloneContext, ExecuteRequest and what belongs to them."""

    __slots__ = ()

    @property
    def parent_context(self) -> HttpContext | None:
        """The request that this one was cloned from; None for a root, and once that has ended."""
        me = cast("HttpContext", self)
        return me.child.parent if me.child is not None else None

    @property
    def root_context(self) -> HttpContext:
        """The request that a client has sent: itself where it is that."""
        me = cast("HttpContext", self)
        parent = me.parent_context
        return me if parent is None else parent.root_context

    @property
    def depth(self) -> int:
        """How many child requests lie between this one and the root."""
        me = cast("HttpContext", self)
        parent = me.parent_context
        return 0 if parent is None else parent.depth + 1

    @property
    def execute_flags(self) -> int:
        """The flags that a child was run with; 0 for a root."""
        me = cast("HttpContext", self)
        return me.child.flags if me.child is not None else 0

    def clone_context(self, flags: int) -> HttpContext:
        """A child request, to be changed through its `request` and run by `execute_request`."""
        me = cast("HttpContext", self)
        from was.worker.children.requests import clone

        return clone(me, flags)

    def execute_request(
        self,
        is_async: bool,
        child: HttpContext,
        flags: int = 0,
        user: HttpUser | None = None,
    ) -> bool:
        """Run a child through the pipeline; its answer becomes part of this request's.

        True: it ends later. Answer PENDING then, and on_async_completion will be called. False:
        it has ended. `user` is who the child is made by: authentication is skipped. Raises
        HResultError: ERROR_NOT_SUPPORTED if not `is_async` or for a child of another context,
        ERROR_INVALID_PARAMETER for one that was run, ERROR_STACK_OVERFLOW below ten levels.
        """
        me = cast("HttpContext", self)
        from was.worker.children.requests import execute

        if not is_async:
            raise HResultError(ERROR_NOT_SUPPORTED, "execute_request is asynchronous")
        return execute(me, child, flags, user)

    def run_child(self, child: HttpContext, flags: int = 0, user: HttpUser | None = None) -> None:
        """The same where PENDING cannot be answered: blocks this thread until the child ends."""
        me = cast("HttpContext", self)
        from was.worker.children.requests import execute

        ended = Event()
        if execute(me, child, flags, user, ended.set):
            me.exchange.wait_for(ended)

    def release_cloned_context(self) -> None:
        """The parent is done with this child. ERROR_INVALID_PARAMETER after the parent's end.

        What is not released is with the parent's end.
        """
        me = cast("HttpContext", self)
        from was.worker.children.requests import release

        release(me)

    def inherit_server_variable(self, name: str, fail_if_not_exist: bool = False) -> None:
        """Take a server variable over from the parent. HResultError: ERROR_INVALID_INDEX."""
        me = cast("HttpContext", self)
        parent = me.parent_context
        value = parent.get_server_variable(name) if parent is not None else None
        if value is not None:
            me.set_server_variable(name, value)
        elif fail_if_not_exist:
            raise HResultError(ERROR_INVALID_INDEX, f"the parent has no {name}")
