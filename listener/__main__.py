"""`python -P -m was.listener --control PATH`: the listener process, started by the manager."""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import signal
from pathlib import Path

from was import faults
from was.listener.service import ListenerService
from was.log import log_exception, set_process
from was.process_title import set_title


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main() -> int:
    """Serve until the manager says stop; the exit status."""
    parser = argparse.ArgumentParser(prog="was-listener")
    parser.add_argument("--control", required=True, help="the manager's control socket")
    parser.add_argument("--home", default="", help="for the process title")
    parser.add_argument("--spare", action="store_true", help="another one listens so far")
    arguments = parser.parse_args()
    set_process("listener")
    if arguments.home:
        faults.arm(Path(arguments.home))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    set_title("spare listener" if arguments.spare else "listener", arguments.home)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = _new_loop()
    asyncio.set_event_loop(loop)
    service = ListenerService(loop, arguments.control)
    loop.add_signal_handler(signal.SIGTERM, service.asked_to_end)
    service.on_welcome = lambda: set_title("listener", arguments.home)
    # What is alive now lives as long as the process: the collector need not look at it again, and
    # requests make few cycles, so it need not look often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        loop.run_until_complete(service.run())
        loop.run_until_complete(asyncio.sleep(0))
    except Exception as error:  # noqa: BLE001 the manager starts another; the log says why
        is_early = isinstance(error, ConnectionRefusedError | FileNotFoundError)
        if not service.epoch and (arguments.spare or is_early):
            return 0  # the manager went before it was needed, or even there
        log_exception("listener_died", error)
        return 70
    finally:
        loop.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
