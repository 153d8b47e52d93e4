"""Secrets encrypted and decrypted, by a key that is the manager's alone.

The form is IIS's, the provider ours: AES-256-GCM with the key in config/secrets.key, which is made
when the first secret is to be written. Encryption itself is the package cryptography's,
imported where a secret is met and nowhere else (extra `secrets`).
"""

from __future__ import annotations

import binascii
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from was.config.atomic import Content, write_file
from was.config.secret_form import PROVIDER, split, written
from was.errors import FileChangedError, SecretError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KEY_NAME", "Secrets"]

KEY_NAME = "secrets.key"

_VERSION = b"\x01"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_PURPOSE = b"was.config"
_MOST_TRIES = 1000


class Secrets:
    """Encrypts and decrypts by one key file, which is read when first needed."""

    def __init__(self, key_file: Path) -> None:
        self.key_file = key_file
        self._cipher: AESGCM | None = None

    def encrypt(self, text: str) -> str:
        """`text` as it is to stand in a file. Raises SecretError, or OSError for a key file."""
        cipher = self._known(is_made=True)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _VERSION + nonce + cipher.encrypt(nonce, text.encode(), _PURPOSE)
        return written(_base64(sealed).decode())

    def decrypt(self, text: str) -> str:
        """The secret that `text` stands for: itself if it is plain. Raises SecretError."""
        provider, encoded = split(text)
        if not provider:
            return text
        if not encoded:
            return ""
        if provider != PROVIDER:
            raise SecretError(f"it was encrypted by {provider}, whose key is not here")
        cipher = self._known(is_made=False)
        from cryptography.exceptions import InvalidTag

        try:
            sealed = binascii.a2b_base64(encoded, strict_mode=True)
            nonce = sealed[1 : 1 + _NONCE_BYTES]
            if not sealed.startswith(_VERSION) or len(nonce) < _NONCE_BYTES:
                raise SecretError("it is damaged")
            return cipher.decrypt(nonce, sealed[1 + _NONCE_BYTES :], _PURPOSE).decode()
        except binascii.Error:
            raise SecretError("it is damaged") from None
        except InvalidTag:
            raise SecretError(
                f"it was changed, or encrypted with another key than that in {self.key_file}"
            ) from None

    def _known(self, *, is_made: bool) -> AESGCM:
        if self._cipher is None:
            try:
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            except ImportError:
                raise SecretError(
                    "encryption needs the package 'cryptography': pip install was[secrets]"
                ) from None
            self._cipher = AESGCM(self._key(is_made=is_made))
        return self._cipher

    def _key(self, *, is_made: bool) -> bytes:
        for _ in range(_MOST_TRIES):
            try:
                return self._read()
            except FileNotFoundError:
                if not is_made:
                    text = f"the key that encrypted it, {self.key_file}, is not there"
                    raise SecretError(text) from None
            except OSError as error:
                raise SecretError(f"{self.key_file}: {error.strerror}") from None
            line = _base64(os.urandom(_KEY_BYTES)) + b"\n"
            try:
                write_file(self.key_file, line, mode=0o600, expected=Content(None))
            except FileChangedError:
                continue  # somebody made one at the same time: theirs is as good
        raise SecretError(f"{self.key_file} cannot be made: another program is writing beside it")

    def _read(self) -> bytes:
        fd = os.open(self.key_file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            mode = stat.S_IMODE(os.fstat(fd).st_mode)
            text = os.read(fd, 1000)
        finally:
            os.close(fd)
        if mode & 0o077:
            raise SecretError(f"{self.key_file} must be its owner's alone (mode 0600)")
        try:
            key = binascii.a2b_base64(text.strip(), strict_mode=True)
        except binascii.Error:
            key = b""
        if len(key) != _KEY_BYTES:
            raise SecretError(f"{self.key_file} holds no key")
        return key


def _base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)
