"""IHttpUser: who makes the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.worker.security.tokens import Token

__all__ = ["ANONYMOUS", "HttpUser"]


class HttpUser:
    """A user as modules and applications see it; derive from it for your own authentication."""

    __slots__ = ("authentication_type", "password", "remote_user_name", "user_name")

    def __init__(
        self,
        user_name: str = "",
        *,
        authentication_type: str = "",
        password: str = "",
        remote_user_name: str | None = None,
    ) -> None:
        self.user_name = user_name
        self.remote_user_name = user_name if remote_user_name is None else remote_user_name
        self.authentication_type = authentication_type
        self.password = password

    def supports_is_in_role(self) -> bool:
        """Whether is_in_role knows an answer."""
        return False

    def is_in_role(self, role: str) -> bool:
        """Whether the user has the role; the anonymous user has only the empty one."""
        return not role

    @property
    def impersonation_token(self) -> Token | None:
        """Who the user is on this machine; None if he has no account that is known of."""
        return None

    @property
    def primary_token(self) -> Token | None:
        """The same: there is one kind of token here."""
        return self.impersonation_token

    def reference_user(self) -> HttpUser:
        """The object itself: it lives as long as somebody holds it."""
        return self

    def dereference_user(self) -> None:
        """Nothing is counted."""

    def get_user_variable(self, name: str) -> object:
        """A further fact about the user, None if unknown."""
        return None


ANONYMOUS = HttpUser()
