"""What of a worker's environment its programs get: all of the pool's, nothing of ours."""

from __future__ import annotations

import os

__all__ = ["inherited_environment"]

# What the tests give the server's own processes.
_OURS = (b"WAS_TEST_", b"COVERAGE_")


def inherited_environment() -> dict[bytes, bytes]:
    """PATH, HOME, TMPDIR, LANG …, and the pool's environmentVariables."""
    return {k: v for k, v in os.environb.items() if not k.startswith(_OURS)}
