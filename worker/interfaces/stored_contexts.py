"""What modules attach to requests, applications, sites and connections, under their module id."""

from __future__ import annotations

from typing import Protocol, TypeVar

from was.log import log_exception
from was.worker.interfaces.hresult import (
    ERROR_ALREADY_ASSIGNED,
    ERROR_INVALID_PARAMETER,
    HResultError,
)

__all__ = [
    "DispensedModuleContextContainer",
    "ModuleContextContainer",
    "NamedContextContainer",
    "StoredContext",
]

_Key = TypeVar("_Key", int, str)


class StoredContext(Protocol):
    """IHttpStoredContext: told when its container ends."""

    def cleanup_stored_context(self) -> None:
        """The container ends."""
        ...


class ModuleContextContainer:
    """One stored context for each module; a second one for the same module is refused.

    A dict's own operations are atomic, which is all the synchronisation this needs: whoever takes
    a context out of it tells it of the end.
    """

    __slots__ = ("_contexts", "_has_ended")

    def __init__(self) -> None:
        self._contexts: dict[int, StoredContext] = {}
        self._has_ended = False

    def get_module_context(self, module_id: int) -> StoredContext | None:
        """The context of a module, None if it has set none."""
        return self._contexts.get(module_id)

    def set_module_context(self, context: StoredContext, module_id: int) -> None:
        """Attach a context. One that comes after the container's end is told of it at once.

        HResultError: ERROR_ALREADY_ASSIGNED if the module has one here, ERROR_INVALID_PARAMETER
        for None.
        """
        _put(self._contexts, module_id, context, f"module {module_id}")
        if self._has_ended and self._contexts.pop(module_id, None) is not None:
            _cleanup(context)

    def cleanup(self) -> None:
        """Tell every context that the container ends; each once, whatever the others do."""
        self._has_ended = True
        while self._contexts:
            _, context = self._contexts.popitem()
            _cleanup(context)


class DispensedModuleContextContainer(ModuleContextContainer):
    """IDispensedHttpModuleContextContainer: its owner says when it ends."""

    __slots__ = ()

    def release_container(self) -> None:
        """The container ends: its contexts are told."""
        self.cleanup()


class NamedContextContainer:
    """INamedContextContainer: stored contexts of a request by name."""

    __slots__ = ("_contexts",)

    def __init__(self) -> None:
        self._contexts: dict[str, StoredContext] = {}

    def get_named_context(self, name: str) -> StoredContext | None:
        """The context of that name."""
        return self._contexts.get(name)

    def set_named_context(self, context: StoredContext, name: str) -> None:
        """Attach a context under a name. HResultError as in set_module_context."""
        _put(self._contexts, name, context, name)

    def cleanup(self) -> None:
        """Tell every context that the request ends."""
        while self._contexts:
            _, context = self._contexts.popitem()
            _cleanup(context)


def _put(
    contexts: dict[_Key, StoredContext], key: _Key, context: StoredContext | None, what: str
) -> None:
    if context is None:
        raise HResultError(ERROR_INVALID_PARAMETER, "no context")
    if key in contexts or contexts.setdefault(key, context) is not context:
        raise HResultError(ERROR_ALREADY_ASSIGNED, f"{what} already has a context here")


def _cleanup(context: StoredContext) -> None:
    try:
        context.cleanup_stored_context()
    except Exception as error:  # noqa: BLE001 one module's fault must not keep another's
        log_exception("module_failed", error, during="cleanup_stored_context")
