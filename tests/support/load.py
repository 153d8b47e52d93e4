"""A load that runs beside what a test does."""

import threading
from collections.abc import Callable

from harness.load import Load, run_load
from harness.tally import Tally


def under_load(port: int, duration_s: float, *, rate: float = 200) -> Callable[[], Tally]:
    """Begin; the result ends it and gives its tally."""
    tallies: list[Tally] = []
    load = Load("127.0.0.1", port, rate=rate, connections=32, duration_s=duration_s)
    thread = threading.Thread(target=lambda: tallies.append(run_load(load)))
    thread.start()

    def join() -> Tally:
        thread.join()
        return tallies[0]

    return join
