"""Hello by WSGI, with the process that says it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

BODY = b"Hello, world!\n"


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> list[bytes]:
    """WSGI."""
    fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]
    start_response("200 OK", [*fields, ("X-Process", str(os.getpid()))])
    return [BODY]
