"""What is kept instead of a password: functions over hashlib.

`$scrypt$ln=14,r=8,p=1$salt$hash` (the PHC string format; base64 without padding): 16 MiB of memory
and some 50 ms of a processor for every guess. Digest authentication needs another thing, HA1 of
RFC 7616 (3.4.2), for one realm; whoever has it can log in there, so it is kept encrypted.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import re

__all__ = [
    "DUMMY",
    "InvalidHashError",
    "check_hash",
    "digest_hash",
    "hash_password",
    "verify_password",
]

_LOG_N, _R, _P = 14, 8, 1
_SALT_BYTES, _HASH_BYTES = 16, 32
# What a file may ask of a worker for one guess.
_MOST_MEMORY = 256 << 20
_FORM = re.compile(
    r"\$scrypt\$ln=([1-9][0-9]?),r=([1-9][0-9]?),p=([1-9][0-9]?)"
    r"\$([A-Za-z0-9+/]{8,})\$([A-Za-z0-9+/]{22,86})\Z"
)


class InvalidHashError(ValueError):
    """Text that is no password hash of the form above."""


def hash_password(password: str) -> str:
    """What to keep for a password, with a salt of its own."""
    salt = os.urandom(_SALT_BYTES)
    made = _scrypt(password, salt, _LOG_N, _R, _P, _HASH_BYTES)
    return f"$scrypt$ln={_LOG_N},r={_R},p={_P}${_encode(salt)}${_encode(made)}"


def verify_password(password: str, stored: str) -> bool:
    """Whether the password is the one, in constant time. Raises InvalidHashError."""
    log_n, r, p, salt, expected = _parse(stored)
    return hmac.compare_digest(_scrypt(password, salt, log_n, r, p, len(expected)), expected)


def check_hash(stored: str) -> None:
    """Raise InvalidHashError unless `stored` can be verified against."""
    _parse(stored)


def digest_hash(name: str, realm: str, password: str, algorithm: str) -> str:
    """HA1 of RFC 7616 in lower-case hex; `algorithm` is md5 or sha256."""
    text = f"{name}:{realm}:{password}".encode()
    return hashlib.new(algorithm, text, usedforsecurity=False).hexdigest()


def _parse(stored: str) -> tuple[int, int, int, bytes, bytes]:
    found = _FORM.match(stored)
    if found is None:
        raise InvalidHashError("not of the form $scrypt$ln=14,r=8,p=1$salt$hash")
    log_n, r, p = int(found[1]), int(found[2]), int(found[3])
    if 128 * r << log_n > _MOST_MEMORY:
        raise InvalidHashError("its parameters need more than 256 MiB")
    try:
        return log_n, r, p, _decode(found[4]), _decode(found[5])
    except binascii.Error:
        raise InvalidHashError("salt or hash are not base64") from None


def _scrypt(password: str, salt: bytes, log_n: int, r: int, p: int, length: int) -> bytes:
    # maxmem must be above what scrypt needs, not equal.
    return hashlib.scrypt(
        password.encode("utf-8", "surrogateescape"),
        salt=salt,
        n=1 << log_n,
        r=r,
        p=p,
        maxmem=2 * _MOST_MEMORY,
        dklen=length,
    )


def _encode(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)


# Verified against where there is no such user, so that the answer takes as long.
DUMMY = (
    f"$scrypt$ln={_LOG_N},r={_R},p={_P}${_encode(bytes(_SALT_BYTES))}${_encode(bytes(_HASH_BYTES))}"
)
