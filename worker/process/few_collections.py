"""While a worker loads, nearly everything that is made stays: looking for cycles is put off.

By the threshold, not by gc.disable(): an application that sets either while it loads has its way.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["few_collections"]

# So many more objects than were freed bring the first collection.
OBJECTS = 50_000


@contextmanager
def few_collections() -> Generator[None, None, None]:
    """Collections of cycles are rare within."""
    before = gc.get_threshold()
    within = (OBJECTS, *before[1:])
    gc.set_threshold(*within)
    try:
        yield
    finally:
        if gc.get_threshold() == within:
            gc.set_threshold(*before)
