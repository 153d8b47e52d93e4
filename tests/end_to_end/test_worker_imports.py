"""What a worker brings along: an application must find its own modules, and memory."""

from support.running import place, run_server, simple_config
from support.wire import get

# What the installation itself puts there, whatever runs: the editable finder, Cython's runtime,
# a distribution's own start-up file.
OF_THE_INSTALLATION = (
    "__editable__",
    "_cython",
    "cython_runtime",
    "_distutils_hack",
    "coverage",
    "sitecustomize",
)
ALLOWED = {"was", "zmq", "msgspec", "setproctitle", "typing_extensions"}


def test_a_fresh_worker_has_imported_little():
    """Standard library, zmq, msgspec, setproctitle; no event loop and no TLS."""
    with run_server(simple_config("imports:application"), place("imports.py")) as running:
        foreign, _, heavy = get(running.port()).text.partition("\n")
    names = {name for name in foreign.split() if not name.startswith(OF_THE_INSTALLATION)}
    assert names <= ALLOWED
    assert heavy == ""
