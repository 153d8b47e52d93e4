"""Paths in the form that listener, rewrite rules and ISAPI share."""

import posixpath
from itertools import product

from was.config.urls import tidy_path

PIECES = ("/", "\\", ".", "..", "a", "b.")


def test_a_tidy_path_is_that_of_the_standard_library_with_its_last_slash():
    """As posixpath reads it, but that a folder stays one; tidied again it is the same."""
    for pieces in product(PIECES, repeat=6):
        path = "/" + "".join(pieces)
        tidy = tidy_path(path)
        slashes = path.replace("\\", "/")
        expected = posixpath.normpath("/" + slashes.lstrip("/"))
        if expected != "/" and slashes.endswith(("/", "/.", "/..")):
            expected += "/"
        assert tidy == expected
        assert tidy_path(tidy) == tidy
