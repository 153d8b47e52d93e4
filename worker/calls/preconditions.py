"""preCondition: whether an entry of modules or handlers is meant for this worker."""

from __future__ import annotations

import sys

__all__ = ["is_satisfied"]

_TRUE = frozenset({"integratedmode", "bitness64" if sys.maxsize > 2**32 else "bitness32"})


def is_satisfied(precondition: str, pool: str) -> bool:
    """Whether all terms of the comma list hold; there is no managed code here, and no classic mode.

    `appPoolName=a;b` holds in those pools.
    """
    for term in precondition.split(","):
        name, _, value = term.strip().partition("=")
        if not name:
            continue
        if name.lower() == "apppoolname":
            if pool not in [part.strip() for part in value.split(";")]:
                return False
        elif name.lower() not in _TRUE:
            return False
    return True
