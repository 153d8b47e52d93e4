"""How a secret is written in a file: `[enc:Provider:base64:enc]`, as IIS does. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from was.errors import SecretError

__all__ = ["PROVIDER", "SecretReading", "provider_of", "read_secret", "split", "written"]

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


def provider_of(text: str) -> str:
    """Who has encrypted `text`; "" if nobody has."""
    return split(text)[0]


def written(encoded: str) -> str:
    """The text for a file."""
    return f"[enc:{PROVIDER}:{encoded}:enc]"


def read_secret(
    text: str, decrypt: Callable[[str], str] | None, *, is_server: bool
) -> SecretReading:
    """The secret that an attribute of a file stands for.

    Without `decrypt` an encrypted one is a fault; `is_server` tells an applicationHost.config.
    """
    provider, encoded = split(text)
    if not provider:
        advice = "a command that sets it encrypts it" if is_server else "let nobody else read it"
        return SecretReading(text, remark=f"the secret is in plain text; {advice}")
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
