"""Listeners: those at which a request queue is open, and what each is told of it.

Usually one, two while the server is being upgraded. When one dies the queue comes back, with its
URLs and properties, on the next.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial

from was.config.urls import UrlPrefix
from was.httpapi.attachment import Attachment, open_queue
from was.httpapi.errors import ERROR_OPERATION_ABORTED, HttpApiError
from was.httpapi.link import Link, find_door
from was.ipc.messages import ToWorker
from was.ipc.program_messages import AddUrl, RemoveUrl, SetQueue, ShutDownQueue

__all__ = ["Listeners"]

RECONNECT_S = 0.1
# So often a listener is asked for a URL again that it has refused when the queue came back.
ASK_AGAIN_S = 1.0


class Listeners:
    """Where one queue is open. Any thread.

    `on_open` is called when that is one more, `on_lost` with the epochs of those that have gone.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None,
        name: str,
        *,
        on_batch: Callable[[ToWorker], None],
        on_open: Callable[[], None],
        on_lost: Callable[[Iterable[int]], None],
    ) -> None:
        self._home = home
        self._name = name
        self._on_batch = on_batch
        self._on_open = on_open
        self._on_lost = on_lost
        self._lock = threading.Lock()
        # Held while a listener is told what the queue has, so that no change of that is missed by
        # one that has not been told all yet. Not held by who reads what listeners say.
        self._telling = threading.Lock()
        self._is_closed = False
        # By epoch. Replaced whole, so that whoever looks needs no lock.
        self.attachments: dict[int, Attachment] = {}
        self._urls: dict[UrlPrefix, int] = {}
        self._properties: dict[str, object] = {}

    # ── what they are told ──────────────────────────────────────────────────────────────────────

    def add_url(self, prefix: UrlPrefix, url: str, context: int) -> None:
        """All take it, or HttpApiError is raised as by RequestQueue.add_url."""
        with self._telling:
            for attachment in self._open_attachments():
                attachment.link.call(partial(AddUrl, url=url, context=context))
                attachment.refused.discard(prefix)
            self._urls[prefix] = context

    def remove_url(self, prefix: UrlPrefix, url: str) -> None:
        """From all that have it."""
        with self._telling:
            having = [a for a in self._open_attachments() if prefix not in a.refused]
            _tell_all(having, partial(RemoveUrl, url=url))
            for attachment in self._open_attachments():
                attachment.refused.discard(prefix)
            self._urls.pop(prefix, None)

    def set_properties(self, changed: Mapping[str, object]) -> None:
        """Of the queue, by their names in SetQueue."""
        with self._telling:
            _tell_all(self._open_attachments(), partial(SetQueue, **changed))  # type: ignore[arg-type]
            self._properties.update(changed)

    def shut_down(self) -> None:
        """No more requests for this process."""
        for attachment in self._open_attachments():
            attachment.link.call(ShutDownQueue)

    def _open_attachments(self) -> list[Attachment]:
        with self._lock:
            if self._is_closed:
                raise HttpApiError(ERROR_OPERATION_ABORTED, "the request queue is closed")
            return [a for a in self.attachments.values() if not a.link.is_closed]

    # ── they come and go ────────────────────────────────────────────────────────────────────────

    def open(self, *, open_existing: bool, share: bool) -> None:
        """Be open at the listener there is now. Raises HttpApiError as RequestQueue does."""
        door = find_door(self._home)
        link = Link(door, on_batch=self._on_batch, on_moved=self._moved, on_end=self._ended)
        with self._telling:
            try:
                opened = open_queue(link, self._name, open_existing=open_existing, share=share)
                opened.tell(self._urls, self._properties)
            except BaseException:
                link.close()
                raise
            with self._lock:
                is_wanted = not self._is_closed and link.epoch not in self.attachments
                if is_wanted:
                    self.attachments = {**self.attachments, link.epoch: opened}
        if is_wanted:
            self._on_open()
        else:
            link.close()
            opened.board.close()

    def close(self) -> None:
        """URLs are given back; what is unanswered goes to others, or is answered 503."""
        with self._lock:
            self._is_closed = True
            attachments, self.attachments = self.attachments, {}
        for attachment in attachments.values():
            if not attachment.link.is_closed:
                with suppress(HttpApiError):
                    for prefix in [p for p in self._urls if p not in attachment.refused]:
                        attachment.link.call(partial(RemoveUrl, url=str(prefix)))
            attachment.link.close()
            self._on_lost([attachment.link.epoch])
            attachment.board.close()

    def _moved(self) -> None:
        """Another listener is there: be open at it as well."""
        threading.Thread(target=self._come_back, name="httpapi", daemon=True).start()

    def _ended(self) -> None:
        """A listener has gone, with all that was under way there."""
        with self._lock:
            gone = [e for e, a in self.attachments.items() if a.link.is_closed]
            self.attachments = {e: a for e, a in self.attachments.items() if e not in gone}
            comes_back = bool(gone) and not (self._is_closed or self.attachments)
        self._on_lost(gone)
        if comes_back:
            self._moved()

    def _come_back(self) -> None:
        while not self._is_closed:
            with suppress(HttpApiError, OSError):
                self.open(open_existing=False, share=True)
                break
            time.sleep(RECONNECT_S)
        while any(attachment.refused for attachment in self.attachments.values()):
            time.sleep(ASK_AGAIN_S)
            with self._telling, suppress(HttpApiError):
                for attachment in self._open_attachments():
                    attachment.tell_again(self._urls)


def _tell_all(attachments: list[Attachment], make: Callable[[int], RemoveUrl | SetQueue]) -> None:
    """Several listeners; one that goes meanwhile is followed by one that is told."""
    for attachment in attachments:
        try:
            attachment.link.call(make)
        except HttpApiError as error:
            if error.error != ERROR_OPERATION_ABORTED:
                raise
