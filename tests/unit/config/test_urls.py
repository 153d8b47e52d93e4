"""Paths in the form that listener, rewrite rules and ISAPI share."""

import posixpath

from hypothesis import given
from hypothesis import strategies as st

from was.config.urls import tidy_path

PIECES = st.sampled_from(["/", "\\", ".", "..", "a", "b.", "%2e"])


@given(st.lists(PIECES, max_size=8))
def test_a_tidy_path_is_that_of_the_standard_library_with_its_last_slash(pieces):
    """Property: as posixpath reads it; a folder stays one; and tidied again it is the same."""
    path = "/" + "".join(pieces)
    tidy = tidy_path(path)
    slashes = path.replace("\\", "/")
    expected = posixpath.normpath("/" + slashes.lstrip("/"))
    if expected != "/" and slashes.endswith(("/", "/.", "/..")):
        expected += "/"
    assert tidy == expected
    assert tidy_path(tidy) == tidy
