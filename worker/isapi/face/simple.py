"""isapi.simple: base classes for extensions and filters."""

from __future__ import annotations

from typing import Any

__all__ = ["SimpleExtension", "SimpleFilter"]


class SimpleExtension:
    """Override HttpExtensionProc."""

    def GetExtensionVersion(self, vi: Any) -> None:
        """Describe the extension by the class's docstring."""
        if vi is not None:
            vi.ExtensionDesc = self.__doc__ or ""

    def HttpExtensionProc(self, control_block: Any) -> int | None:
        """Answer one request; an HSE_STATUS_ is returned."""
        raise NotImplementedError("the extension must implement HttpExtensionProc")

    def TerminateExtension(self, status: int) -> None:
        """The worker ends."""


class SimpleFilter:
    """Override HttpFilterProc and set filter_flags."""

    filter_flags: int | None = None

    def GetFilterVersion(self, fv: Any) -> None:
        """Say which notifications are wanted, and describe the filter by its docstring."""
        if self.filter_flags is None:
            raise RuntimeError("filter_flags must be set by the filter")
        if fv is not None:
            fv.Flags = self.filter_flags
            fv.FilterDesc = self.__doc__ or ""

    def HttpFilterProc(self, fc: Any) -> int | None:
        """Take one notification; an SF_STATUS_ is returned."""
        raise NotImplementedError("the filter must implement HttpFilterProc")

    def TerminateFilter(self, status: int) -> None:
        """The worker ends."""
