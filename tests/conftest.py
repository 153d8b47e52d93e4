"""Fixtures that run a real server; each test must end with the descriptors it began with."""

import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings

ROOT = Path(__file__).resolve().parent.parent
# The harness is one with the benchmarks' own; `support` is the tests' part.
sys.path += [str(ROOT / "scripts" / "bench"), str(ROOT / "tests")]

from harness.meter import descriptors  # noqa: E402 after the path
from support.running import Running, run_server  # noqa: E402
from support.socket_folders import folders_of_lost_homes  # noqa: E402

ENGINES = ["h11", "llhttp"]
TRIED = ["browser", "systemd"]
SETTLED_S = 10.0
Left = TypeVar("Left")

# What a shell runs in the background ignores SIGINT, and so would everything that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Time is never asserted: a busy machine must not fail a property. The same examples each time: what
# passes today passes tomorrow. `--hypothesis-profile=hunt` looks for new ones.
# Nothing is explained: that traces every line, and one failure took longer than a test may.
PATIENT = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
settings.register_profile("was", PATIENT, derandomize=True, database=None)
settings.register_profile("hunt", PATIENT, derandomize=False)
settings.load_profile("was")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--matrix`: every cell of tests/process/test_matrix.py, not one a process and blow."""
    parser.addoption("--matrix", action="store_true", help="every cell of the crash matrix")
    parser.addoption("--try", dest="tried", choices=TRIED, help="with it, by scripts/try")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What needs large programs runs where it is asked for."""
    if collection_path.parent != ROOT / "tests" or collection_path.name not in TRIED:
        return None
    return True if collection_path.name != config.option.tried else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the matrix has measured, a line a cell."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.getreports(kind)]
    lines = [str(v) for r in reports for name, v in r.user_properties if name == "matrix"]
    if lines:
        terminalreporter.section("time until the next 200")
        for line in lines:
            terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    """A test run that is told to end ends its servers first, as it does on Ctrl-C.

    One of its processes that dies has failed all of it: pytest-xdist, which would start another,
    might wait for ever for the rest of the file.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if getattr(config.option, "maxworkerrestart", "") is None:
        config.option.maxworkerrestart = "0"


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    """Each protocol engine in turn."""
    return str(request.param)


@pytest.fixture
def start_server() -> Iterator[Callable[..., Running]]:
    """Start servers within a test; they are stopped and checked in reverse order."""
    opened = []

    def start(config: str, prepare: Callable[[Path], None] | None = None, **options) -> Running:
        context = run_server(config, prepare, **options)
        running = context.__enter__()
        opened.append(context)
        return running

    yield start
    errors: list[BaseException] = []
    for context in reversed(opened):
        try:
            context.__exit__(None, None, None)
        except BaseException as error:  # noqa: BLE001 every server must be ended first
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture(scope="session", autouse=True)
def _no_folder_of_sockets_is_left() -> Iterator[None]:
    """No home that has been removed leaves its folder of sockets."""
    before = folders_of_lost_homes()
    yield
    left = _left_for_good(lambda: folders_of_lost_homes() - before)
    assert not left, f"folders of sockets left: {left}"


@pytest.fixture(autouse=True)
def _no_end_of_the_test_process() -> Iterator[None]:
    """Code of ours that gives its process up, within a test, ends its thread and fails the test."""
    own, real = os.getpid(), os._exit
    ends: list[str] = []

    def end(status: int) -> NoReturn:
        asker = sys._getframe(1).f_globals.get("__name__", "")
        if os.getpid() == own and asker.startswith("was."):
            ends.append("".join(traceback.format_stack()))
            raise SystemExit(status)
        real(status)

    os._exit = end
    yield
    os._exit = real
    assert not ends, "\n".join(["the process was given up:", *ends])


@pytest.fixture(autouse=True)
def _no_descriptor_leak() -> Iterator[None]:
    """The test process ends each test with the descriptors it had."""
    # Fixtures of wider scope are set up before this one, so that their descriptors are known.
    before = descriptors(os.getpid())
    yield
    leaked = _new_descriptors(before)
    if leaked:
        gc.collect()  # what only a cycle holds is no leak
        leaked = _left_for_good(lambda: _new_descriptors(before))
    assert not leaked, f"descriptors leaked: {leaked}"


def _left_for_good(look: Callable[[], Left]) -> Left:
    """What is there after a while: another thread, or another test, may be just at its end."""
    deadline = time.monotonic() + SETTLED_S
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _new_descriptors(before: dict[int, str]) -> dict[int, str]:
    now = descriptors(os.getpid())
    # The folder that is being listed is among them.
    return {fd: name for fd, name in now.items() if fd not in before and "/proc/" not in name}
