"""What HTTP makes names, values and reasons of (RFC 9110 5.5 and 5.6.2, RFC 9112 4)."""

from __future__ import annotations

import re

__all__ = ["CONTROL", "TEXT", "TOKEN", "TOKEN_CHARACTER"]

TOKEN_CHARACTER = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TOKEN = re.compile(rf"{TOKEN_CHARACTER}++")

# A field's value or a reason; what is no text is CONTROL or no latin-1.
TEXT = re.compile(r"[\t -~\x80-\xff]*+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
