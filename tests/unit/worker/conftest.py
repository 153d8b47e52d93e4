import os
import sys
import tempfile
from pathlib import Path

import pytest

from was.worker.programs import launch

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


@pytest.fixture(autouse=True)
def _programs(monkeypatch):
    """The keeper of a test's programs ends with the test."""
    keeper = launch._Keeper()
    monkeypatch.setattr(launch, "_keeper", keeper)
    yield
    if keeper._control is not None:
        keeper._control.close()
        os.waitpid(keeper._pid, 0)
