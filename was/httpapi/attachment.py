"""Attachment: a request queue as it is open at one listener."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from was.config.urls import UrlPrefix
from was.httpapi.errors import ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND, HttpApiError
from was.httpapi.link import Link
from was.ipc.program_messages import AddUrl, OpenQueue, QueueOpened, SetQueue
from was.ipc.scoreboard import ScoreboardWriter

__all__ = ["Attachment", "open_queue"]

_log = logging.getLogger("was.httpapi")


class Attachment:
    """The link to a listener, and what that knows of this process."""

    def __init__(self, link: Link, board: ScoreboardWriter) -> None:
        self.link = link
        self.board = board
        self.credit = 0  # receives it was told of, and has not answered
        self.open = 0  # requests that came from there and have not ended
        # What the queue has, and this listener would not take when it was told.
        self.refused: set[UrlPrefix] = set()

    def tell(self, urls: Mapping[UrlPrefix, int], properties: Mapping[str, object]) -> None:
        """What the queue had at another listener.

        What this one refuses is said and left out: a URL may have become a site's, or a
        reservation have gone. Raises HttpApiError when the listener goes meanwhile.
        """
        for prefix, context in urls.items():
            call = partial(AddUrl, url=str(prefix), context=context)
            if not self._takes(call, str(prefix)):
                self.refused.add(prefix)
        if properties:
            self._takes(partial(SetQueue, **properties), "the queue's properties")  # type: ignore[arg-type]

    def tell_again(self, urls: Mapping[UrlPrefix, int]) -> None:
        """The same of what was refused, without a word where it still is."""
        for prefix in list(self.refused):
            call = partial(AddUrl, url=str(prefix), context=urls[prefix])
            with suppress(HttpApiError):
                self.link.call(call)
                self.refused.discard(prefix)

    def _takes(self, call: Callable[[int], AddUrl | SetQueue], what: str) -> bool:
        try:
            self.link.call(call)
        except HttpApiError as error:
            if self.link.is_closed:
                raise
            _log.warning("%s: refused by the listener that is there now: %s", what, error)
            return False
        return True


def open_queue(link: Link, name: str, *, open_existing: bool, share: bool) -> Attachment:
    """HttpCreateRequestQueue at one listener. Raises HttpApiError as RequestQueue does."""
    while True:
        try:
            notice, descriptors = link.call(
                partial(OpenQueue, name=name, must_exist=open_existing, gives_back=True)
            )
            break
        except HttpApiError as error:
            # Shared: whoever else does the same may be quicker, and may go at any moment.
            if not share or error.error not in {ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND}:
                raise
            open_existing = not open_existing
    assert isinstance(notice, QueueOpened)
    link.epoch = notice.epoch
    try:
        board = ScoreboardWriter(descriptors[0])
    finally:
        for fd in descriptors:
            os.close(fd)
    return Attachment(link, board)
