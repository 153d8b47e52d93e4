"""What HTTP makes names, values, lengths and reasons of (RFC 9110 5.5, 5.6.2, 8.6, RFC 9112 4)."""

from __future__ import annotations

import re

__all__ = ["CONTROL", "HEAD_CONTROLS", "TEXT", "TOKEN", "TOKEN_CHARACTER", "length_of"]

TOKEN_CHARACTER = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TOKEN = re.compile(rf"{TOKEN_CHARACTER}++")

# A field's value or a reason; what is no text is CONTROL or no latin-1.
TEXT = re.compile(r"[\t -~\x80-\xff]*+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# The same of a whole head, whose line ends are looked at apart; for bytes.translate.
HEAD_CONTROLS = bytes(c for c in (*range(32), 127) if c not in b"\t\r\n")

# No message between our processes carries a number of more than 64 bits, and no body is as long.
_LENGTH_DIGITS = 18


def length_of(value: str | bytes) -> int:
    """What a Content-Length says, -1 where that is no length."""
    # Digits only: int() would take "+1", "1_0", " 1" and digits of other scripts.
    if not (value.isdigit() and value.isascii()) or len(value) > _LENGTH_DIGITS:
        return -1
    return int(value)
