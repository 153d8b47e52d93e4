"""Preload: the requests that modules make of an application at GL_APPLICATION_PRELOAD."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from was.worker.applications.warm_up import WarmUpExchange, request_for
from was.worker.interfaces.hresult import ERROR_INVALID_PARAMETER, HResultError

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication
    from was.worker.interfaces.context import HttpContext

__all__ = ["Preload"]


class Preload:
    """Makes contexts without a client and runs them. One round of the event."""

    def __init__(
        self,
        context_of: Callable[[WarmUpExchange, HttpApplication], HttpContext],
        run: Callable[[HttpContext], None],
    ) -> None:
        self._context_of = context_of
        self._run = run
        self._exchanges: dict[HttpContext, WarmUpExchange] = {}

    def create(self, application: HttpApplication) -> HttpContext:
        """A GET of the application's root, as from this machine."""
        exchange = WarmUpExchange(request_for(application, "/", ""))
        context = self._context_of(exchange, application)
        self._exchanges[context] = exchange
        return context

    def execute(self, context: HttpContext) -> int:
        """Run it through the pipeline; its status, 0 if it was cut.

        Settings and modules are those of the URL that the context has by now. HResultError:
        ERROR_INVALID_PARAMETER for what is no context of create_context(), or was run.
        """
        exchange = self._exchanges.pop(context, None)
        if exchange is None:
            raise HResultError(ERROR_INVALID_PARAMETER, "no context of ours that was not run")
        context.calls = context.application.paths.at(context.path)
        self._run(context)
        exchange.ended.wait()  # it may be answered on another thread
        return exchange.status

    def close(self) -> None:
        """The event is over: contexts that were not run end."""
        exchanges, self._exchanges = self._exchanges, {}
        for context in exchanges:
            context.dispose()
