"""The footer that `staticContent` adds to HTML pages: a text, or what a file holds."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

from was.log import log

if TYPE_CHECKING:
    from was.config.model import StaticContent

__all__ = ["DocumentFooter", "footer_of", "tag_of"]

# A footer goes into memory with every page.
MOST_BYTES = 65536


class DocumentFooter:
    """A footer that is in use."""

    def __init__(self, text: str, *, is_file: bool) -> None:
        self._file = text if is_file else ""
        self._bytes = b"" if is_file else text.encode()
        self._is_told = False

    def read(self) -> bytes:
        """The footer as it is now; nothing if its file cannot be read, which is logged once."""
        if not self._file:
            return self._bytes
        try:
            fd = os.open(self._file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                return os.read(fd, MOST_BYTES)
            finally:
                os.close(fd)
        except (OSError, ValueError) as error:
            if not self._is_told:
                self._is_told = True
                log("footer_unreadable", file=self._file, error=str(error))
            return b""


def footer_of(settings: StaticContent) -> DocumentFooter | None:
    """The footer that the settings ask for, None for none."""
    if not settings.enable_doc_footer or not settings.default_doc_footer:
        return None
    return DocumentFooter(settings.default_doc_footer, is_file=settings.is_doc_footer_file_name)


def tag_of(footer: bytes) -> str:
    """What tells pages with this footer from those with another, for their ETag."""
    return f"{zlib.crc32(footer):x}"
