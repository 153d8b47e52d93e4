"""A browser for the tests of this folder: scripts/try browser."""

import pytest
from support.chromium import chromium


@pytest.fixture(scope="package")
def _chromium():
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(_chromium):
    """One process for all tests; each begins without cookies and cache."""
    with _chromium.person():
        yield _chromium
