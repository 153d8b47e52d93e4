"""ServerSession and UrlGroup: sets of URLs that share settings and lead to a request queue."""

from __future__ import annotations

import os
from contextlib import suppress

from was.config.urls import UrlPrefix
from was.httpapi.errors import ERROR_INVALID_PARAMETER, HttpApiError
from was.httpapi.queue import RequestQueue
from was.httpapi.urls import prefix_of

__all__ = ["ServerSession", "UrlGroup"]


class UrlGroup:
    """HttpCreateUrlGroup: URLs that lead to the queue the group is bound to.

    As long as it is bound to none, its URLs are answered 503.
    """

    def __init__(self, session: ServerSession) -> None:
        self._session = session
        self._urls: dict[UrlPrefix, int] = {}
        self._queue: RequestQueue | None = None

    def bind(self, queue: RequestQueue | None) -> None:
        """HttpServerBindingProperty: have the URLs lead to `queue`; None unbinds them."""
        for prefix, context in self._urls.items():
            self._place.remove_url(str(prefix))
            (queue or self._session.unbound).add_url(str(prefix), context)
        self._queue = queue

    def add_url(self, url: str, context: int = 0) -> None:
        """HttpAddUrlToUrlGroup: add a UrlPrefix, `http://host:port/path/`; host + and * are wild.

        `context` comes back with each request. Raises HttpApiError as RequestQueue.add_url does.
        """
        self._place.add_url(url, context)
        self._urls[prefix_of(url)] = context

    def remove_url(self, url: str) -> None:
        """HttpRemoveUrlFromUrlGroup. Raises HttpApiError(ERROR_FILE_NOT_FOUND)."""
        self._place.remove_url(url)
        self._urls.pop(prefix_of(url), None)

    def remove_all(self) -> None:
        """HTTP_URL_FLAG_REMOVE_ALL."""
        for prefix in list(self._urls):
            self.remove_url(str(prefix))

    @property
    def _place(self) -> RequestQueue:
        return self._queue or self._session.unbound

    def close(self) -> None:
        """HttpCloseUrlGroup: its URLs are given back, if they have not gone with their queue."""
        with suppress(HttpApiError):
            self.remove_all()
        self._urls.clear()


class ServerSession:
    """HttpCreateServerSession: the URL groups of one program. A context manager."""

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        """Raises HttpApiError(ERROR_NOT_READY) at the first URL if no server runs."""
        self._home = home
        self._groups: list[UrlGroup] = []
        self._unbound: RequestQueue | None = None
        self._is_closed = False

    @property
    def unbound(self) -> RequestQueue:
        """A queue that nobody receives from, and that answers 503: for groups bound to none."""
        if self._unbound is None:
            self._unbound = RequestQueue(home=self._home)
            self._unbound.set_property(is_enabled=False)
        return self._unbound

    def create_url_group(self) -> UrlGroup:
        """A group without URLs, bound to no queue."""
        if self._is_closed:
            raise HttpApiError(ERROR_INVALID_PARAMETER, "the server session is closed")
        group = UrlGroup(self)
        self._groups.append(group)
        return group

    def close(self) -> None:
        """HttpCloseServerSession: all its groups are closed."""
        self._is_closed = True
        groups, self._groups = self._groups, []
        for group in groups:
            group.close()
        if self._unbound is not None:
            self._unbound.close()
            self._unbound = None

    def __enter__(self) -> ServerSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
