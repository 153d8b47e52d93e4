"""Tables for people: aligned, and on a terminal no wider than it is."""

from was.cli.table import aligned, fitted

ROWS = [
    {"name": "shop", "state": "started", "workers": 2, "identity": "ApplicationPoolIdentity"},
    {"name": "x", "state": "stopped", "workers": 11, "identity": "LocalSystem"},
]


def test_numbers_stand_to_the_right():
    """Each column is as wide as its widest cell."""
    assert aligned(ROWS)[:2] == [
        "NAME  STATE    WORKERS  IDENTITY",
        "shop  started        2  ApplicationPoolIdentity",
    ]


def test_a_table_that_fits_is_left_as_it_is():
    """To the last column."""
    width = max(map(len, aligned(ROWS)))
    assert fitted(ROWS, width, ["state"]) == (aligned(ROWS), [])


def test_columns_go_until_the_table_fits():
    """In the order given, and they are named."""
    lines, gone = fitted(ROWS, 24, ["identity", "state", "workers"])
    assert gone == ["identity"]
    assert lines[1] == "shop  started        2"


def test_what_does_not_fit_even_then_is_cut():
    """So that no line becomes two."""
    lines, gone = fitted(ROWS, 10, ["identity"])
    assert gone == ["identity"]
    assert lines == ["NAME  STA…", "shop  sta…", "x     sto…"]
