"""HSE_VERSION_INFO as extensions in Python see it."""

from __future__ import annotations

from was.worker.isapi.control_block import VERSION

__all__ = ["VersionInfo"]

DESCRIPTION_BYTES = 256


class VersionInfo:
    """`vi`: set a str or bytes as ExtensionDesc, read bytes."""

    def __init__(self) -> None:
        self.ExtensionVersion = VERSION
        self._description = b""

    @property
    def ExtensionDesc(self) -> bytes:
        """At most 255 bytes."""
        return self._description

    @ExtensionDesc.setter
    def ExtensionDesc(self, value: str | bytes) -> None:
        raw = value.encode() if isinstance(value, str) else bytes(value)
        self._description = raw[: DESCRIPTION_BYTES - 1]
