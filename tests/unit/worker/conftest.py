import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

TEMPORARY = tempfile.gettempdir() + os.sep
PROJECT = (
    str(Path(__file__).resolve().parents[3]) + os.sep
)  # a clone may be a temporary folder, too


@pytest.fixture(autouse=True)
def _imports():
    """Applications of tests leave neither modules nor folders behind."""
    path, modules = sys.path[:], set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(TEMPORARY) and not file.startswith(PROJECT):
            del sys.modules[name]
