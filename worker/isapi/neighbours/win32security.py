"""win32security: impersonation, which changes nothing here.

A pool's worker runs as the pool's identity, whoever asks; tokens only name users.
"""

from __future__ import annotations

__all__ = ["RevertToSelf", "SetThreadToken"]


def SetThreadToken(thread: object, token: int | None) -> None:
    """Accepted."""


def RevertToSelf() -> None:
    """Accepted."""
