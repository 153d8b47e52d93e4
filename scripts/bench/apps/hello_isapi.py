"""Hello by ISAPI in Python, with the process that says it."""

from __future__ import annotations

import os
from typing import Any

BODY = b"Hello, world!\n"
FIELDS = f"Content-Type: text/plain\r\nContent-Length: {len(BODY)}\r\nX-Process: {{}}\r\n\r\n"


class Extension:
    """Hello"""

    def GetExtensionVersion(self, vi: Any) -> None:  # noqa: N802, ANN401
        """Nothing to say."""

    def HttpExtensionProc(self, ecb: Any) -> int:  # noqa: N802, ANN401
        """The page."""
        ecb.SendResponseHeaders("200 OK", FIELDS.format(os.getpid()), True)
        ecb.WriteClient(BODY)
        return 1

    def TerminateExtension(self, status: int) -> None:  # noqa: N802
        """Nothing to end."""


def __ExtensionFactory__() -> Extension:  # noqa: N802, N807
    return Extension()
