"""The filters of one application: those of the whole server first, then by priority, then by place.

A filter is loaded once a process. One that asks for READ_RAW_DATA is refused, as since IIS 6: the
others go on without it. One that cannot be loaded leaves its applications without an answer (500).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from was.log import log, log_exception
from was.worker.isapi.errors import ImageError
from was.worker.isapi.filter_flags import Notify
from was.worker.isapi.filter_session import Filter
from was.worker.isapi.image_files import Kind, tell_kind

__all__ = ["FilterChain", "FilterEntry", "load_filters", "terminate_all"]


class FilterEntry(NamedTuple):
    """One enabled `filter` of isapiFilters."""

    name: str
    path: str
    is_global: bool


_lock = threading.RLock()
_loaded: dict[str, Filter] = {}


def load_filters(entries: Sequence[FilterEntry]) -> list[tuple[FilterEntry, Filter]]:
    """The filters of these entries, but for those that are refused. Raises ImageError."""
    found: list[tuple[FilterEntry, Filter]] = []
    with _lock:
        for entry in entries:
            one = _loaded.get(entry.path)
            if one is None:
                try:
                    one = _loaded[entry.path] = _load(entry.path)
                except ImageError as error:
                    log("isapi_failed", library=entry.path, number=error.number, error=error.reason)
                    raise
                if one.flags & Notify.READ_RAW_DATA:
                    reason = "SF_NOTIFY_READ_RAW_DATA is not to be had"
                    log("isapi_failed", library=entry.path, number=50, error=reason)
            if not one.flags & Notify.READ_RAW_DATA:
                found.append((entry, one))
    return found


def _load(path: str) -> Filter:
    if tell_kind(path) is Kind.PYTHON:
        from was.worker.isapi.python_filter import PythonFilter

        return PythonFilter(path)
    from was.worker.isapi.native_filter import NativeFilter

    return NativeFilter(path)


def terminate_all() -> None:
    """The worker ends, and its connections have: each filter, once."""
    with _lock:
        filters = list(_loaded.values())
        _loaded.clear()
    for one in filters:
        try:
            one.terminate()
        except BaseException as error:  # noqa: BLE001 each is told, whatever the others do
            log_exception("module_failed", error, module=one.path)


def _rank(flags: int) -> int:
    if flags & Notify.ORDER_HIGH:
        return 0
    return 1 if flags & Notify.ORDER_MEDIUM else 2


class FilterChain:
    """Who hears which event, worked out once."""

    def __init__(self, loaded: Sequence[tuple[FilterEntry, Filter]]) -> None:
        ordered = sorted(loaded, key=lambda pair: (not pair[0].is_global, _rank(pair[1].flags)))
        self._filters = [one for _, one in ordered]

    def of(self, event: Notify) -> tuple[Filter, ...]:
        """Those that want an event, in the order of calls."""
        wanting = [one for one in self._filters if one.flags & event]
        if event == Notify.SEND_RAW_DATA:
            wanting.reverse()  # what is high sees what is sent last
        return tuple(wanting)
