"""The token of HTTP: methods, names of fields, of parameters (RFC 9110, 5.6.2)."""

from __future__ import annotations

import re

__all__ = ["TOKEN", "TOKEN_CHARACTER"]

TOKEN_CHARACTER = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TOKEN = re.compile(rf"{TOKEN_CHARACTER}++")
