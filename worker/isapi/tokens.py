"""Numbers that stand for users: what GetImpersonationToken hands out.

A pool's worker runs everything as the pool's identity, so a token names a user and changes nothing
about what the thread may do.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.worker.interfaces.user import HttpUser

__all__ = ["token_of", "user_name_of"]

MOST_TOKENS = 10_000
_mutex = threading.Lock()
_numbers: dict[str, int] = {}
_FIRST, _STEP = 0x200, 4  # as handles look: multiples of four


def token_of(user: HttpUser | None) -> int:
    """The token of a user; the same for the same name."""
    name = user.user_name if user is not None else ""
    with _mutex:
        if name not in _numbers and len(_numbers) >= MOST_TOKENS:
            _numbers.clear()
        return _numbers.setdefault(name, _FIRST + _STEP * len(_numbers))


def user_name_of(token: int) -> str | None:
    """Whose token it is."""
    with _mutex:
        return next((name for name, number in _numbers.items() if number == token), None)
