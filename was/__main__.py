"""The command line, as `was` and as `python -m was`."""

from __future__ import annotations

import signal

# Until the command's own code runs there is nothing to end in order: Ctrl-C is no traceback then.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from was.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
