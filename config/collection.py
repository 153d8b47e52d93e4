"""The collector of cycles waits while a configuration is built.

Ten thousand sites are half a million objects that all stay: looking through them again and again
while they are made costs more than making them.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["collection_waits"]


@contextmanager
def collection_waits() -> Generator[None, None, None]:
    """No collection of cycles within; what was freed by count is freed."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
