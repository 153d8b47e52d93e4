"""Attachment: a request queue as it is open at one listener."""

from __future__ import annotations

import os
from functools import partial

from was.httpapi.errors import ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND, HttpApiError
from was.httpapi.link import Link
from was.ipc.program_messages import OpenQueue, QueueOpened
from was.ipc.scoreboard import ScoreboardWriter

__all__ = ["Attachment", "open_queue"]


class Attachment:
    """The link to a listener, and what that knows of this process."""

    def __init__(self, link: Link, board: ScoreboardWriter) -> None:
        self.link = link
        self.board = board
        self.credit = 0  # receives it was told of, and has not answered
        self.open = 0  # requests that came from there and have not ended


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
