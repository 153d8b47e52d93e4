"""Which of two listeners that an earlier manager left is the listener now."""

from types import SimpleNamespace

import pytest

from was.manager import adoption

SERVING = SimpleNamespace(is_draining=False)
FINISHING = SimpleNamespace(is_draining=True)
SILENT = None
NONE = object()


def found(held):
    return None if held is NONE else adoption._Found({}, -1, held)


@pytest.mark.parametrize(
    ("current", "before", "listener", "retiring", "useless"),
    [
        (SERVING, NONE, "current", None, []),
        (SERVING, FINISHING, "current", "before", []),
        (SERVING, SERVING, "current", "before", []),
        (SERVING, SILENT, "current", "before", []),
        (FINISHING, NONE, None, "current", []),
        (FINISHING, FINISHING, None, "before", ["current"]),
        (FINISHING, SERVING, "before", None, ["current"]),
        (SILENT, NONE, None, None, ["current"]),
        (SILENT, SERVING, "before", None, ["current"]),
        (SILENT, FINISHING, None, "before", ["current"]),
        (SILENT, SILENT, None, None, ["current", "before"]),
        (NONE, SERVING, "before", None, []),
        (NONE, FINISHING, None, "before", []),
        (NONE, SILENT, None, None, ["before"]),
        (NONE, NONE, None, None, []),
    ],
)
def test_who_serves_is_the_listener_and_who_finishes_may(
    current, before, listener, retiring, useless
):
    """One that serves is kept, also the one before; who is silent beside nobody is of no use."""
    known = {"current": found(current), "before": found(before), None: None}
    roles = adoption._roles(known["current"], known["before"])
    assert roles == (known[listener], known[retiring], [known[name] for name in useless])
    assert all(a is b for a, b in zip(roles[:2], (known[listener], known[retiring]), strict=True))
