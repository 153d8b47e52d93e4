"""How a secret is written in a file: `[enc:Provider:base64:enc]`, as IIS does. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from was.errors import SecretError

__all__ = ["PROVIDER", "SecretReading", "read_secret", "split", "written"]

# Ours, so that a value that was encrypted on Windows is told from one of ours that was damaged.
PROVIDER = "WasAesProvider"

_FORM = re.compile(r"\[enc:([^:\[\]]+):([A-Za-z0-9+/=\s]*):enc\]\Z")


@dataclass(frozen=True, slots=True)
class SecretReading:
    """What came of a secret in a file: its value, or "" and why; a remark is no fault."""

    value: str
    remark: str = ""
    fault: str = ""


def split(text: str) -> tuple[str, str]:
    """Who has encrypted `text`, and the base64 of it; ("", "") if nobody has."""
    found = _FORM.match(text)
    return ("", "") if found is None else (found[1], found[2])


def written(encoded: str) -> str:
    """The text for a file."""
    return f"[enc:{PROVIDER}:{encoded}:enc]"


def read_secret(text: str, decrypt: Callable[[str], str] | None) -> SecretReading:
    """The secret that an attribute of a file stands for; without `decrypt` none is encrypted."""
    provider, encoded = split(text)
    if not provider:
        return SecretReading(text, remark="a secret in plain text: let nobody else read the file")
    if not encoded:
        return SecretReading("")
    if provider != PROVIDER:
        remark = f"encrypted by {provider} on another machine, and taken as empty; set it anew"
        return SecretReading("", remark=remark)
    if decrypt is None:
        return SecretReading("", fault="only applicationHost.config may hold encrypted values")
    try:
        return SecretReading(decrypt(text))
    except SecretError as error:
        return SecretReading("", fault=str(error))
