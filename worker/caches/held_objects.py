"""What a request has asked for of its URL, configuration and file: held to the request's end.

HttpContext's getters ask here; a request that asks for nothing holds nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from was.worker.interfaces.hresult import HResultError

if TYPE_CHECKING:
    from was.worker.caches.file_info import FileInfo
    from was.worker.caches.metadata import MetadataInfo
    from was.worker.caches.url_info import UrlInfo
    from was.worker.interfaces.context import HttpContext

__all__ = ["HeldObjects"]


class HeldObjects:
    """The objects of one request; one of each kind, and the file for as long as its path."""

    __slots__ = ("_files", "_metadata", "_url_info")

    def __init__(self) -> None:
        self._url_info: UrlInfo | None = None
        self._metadata: MetadataInfo | None = None
        self._files: dict[str, FileInfo] = {}

    def url_info(self, context: HttpContext) -> UrlInfo:
        """IHttpContext::GetUrlInfo; counts one hit a request."""
        if self._url_info is None:
            self._url_info = context.application.server.url_info(context.application, context.path)
        return self._url_info

    def metadata(self, context: HttpContext) -> MetadataInfo:
        """IHttpContext::GetMetadata."""
        if self._metadata is None:
            self._metadata = context.application.paths.metadata.at(context.path)
        return self._metadata

    def file_info(self, context: HttpContext) -> FileInfo | None:
        """IHttpContext::GetFileInfo: the file or folder behind the request, None if none."""
        path = context.physical_path
        known = self._files.get(path)
        if known is None:
            try:
                known = context.application.server.get_file_info(path)
            except HResultError:
                return None
            known.vr_path = context.application.root_of(context.path)
            self._files[path] = known
        return known

    def release(self) -> None:
        """The request has ended."""
        files, self._files = self._files, {}
        for held in (self._url_info, self._metadata, *files.values()):
            if held is not None:
                held.dereference_cache_data()
        self._url_info = self._metadata = None
