"""Which passwords were checked lately, and how one is checked.

The key of an answer is an HMAC under a secret of this worker, so that neither a password nor
anything that could be tried for one lies in memory longer than its request.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from was.config.password_hash import DUMMY, verify_password
from was.worker.security.slow_answers import SlowAnswers

if TYPE_CHECKING:
    from was.config.security_settings import User

__all__ = ["ANSWERS", "is_right", "question"]

# IIS keeps a token for 15 minutes. Each check takes 16 MiB while it runs. Passwords that were wrong
# are not remembered: whoever guesses must not push those out that were right.
ANSWERS: SlowAnswers[bytes, bool] = SlowAnswers(
    lifetime_s=900.0, most=4096, threads=2, most_waiting=128, keeps=bool
)

_SECRET = os.urandom(32)


def question(name: str, password: str, user: User | None) -> tuple[bytes, Callable[[], bool]]:
    """The key that the answer has, and what finds it; a user without a hash has no password."""
    stored = user.password_hash if user is not None else ""
    text = "\0".join((name.lower(), password, stored)).encode("utf-8", "surrogateescape")
    key = hmac.digest(_SECRET, text, "sha256")

    return key, lambda: is_right(user, password)


def is_right(user: User | None, password: str) -> bool:
    """Whether it is the user's password; takes as long for one who is not there, or has none."""
    stored = user.password_hash if user is not None else ""
    return verify_password(password, stored or DUMMY) and bool(stored)
