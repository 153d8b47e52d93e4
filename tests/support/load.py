"""A load that runs beside what a test does."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.load import Load, run_load, run_load_async
from harness.tally import Tally


def under_load(
    port: int, duration_s: float, *, rate: float = 200, target: str = "/"
) -> Callable[[], Tally]:
    """Begin; the result ends it and gives its tally."""
    tallies: list[Tally] = []
    load = Load("127.0.0.1", port, target, rate=rate, connections=32, duration_s=duration_s)
    thread = threading.Thread(target=lambda: tallies.append(run_load(load)))
    thread.start()

    def join() -> Tally:
        thread.join()
        return tallies[0]

    return join


@contextmanager
def steady_load(port: int, *, rate: float = 100, connections: int = 16) -> Iterator[Tally]:
    """GETs until the block ends, when all have ended; the tally is counted in meanwhile."""
    tally = Tally()
    over = threading.Event()
    numbers = itertools.takewhile(lambda _: not over.is_set(), itertools.count())
    load = Load("127.0.0.1", port, rate=rate, connections=connections, count=1 << 31)
    thread = threading.Thread(
        target=lambda: asyncio.run(run_load_async(load, tally, iter(numbers)))
    )
    thread.start()
    try:
        yield tally
    finally:
        over.set()
        thread.join()
