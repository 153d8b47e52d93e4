"""`python -m was`: the command line."""

from __future__ import annotations

from was.cli.main import main

if __name__ == "__main__":
    main()
