"""`python -m was.worker.isapi extension.py install`: what the extension's own script would do.

On Windows such a script changes the metabase; here it prints the configuration that has the same
effect, to be put into applicationHost.config.
"""

from __future__ import annotations

import runpy
import sys

from was.worker.isapi import import_names


def main() -> None:
    """Run the script with the names it imports."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m was.worker.isapi EXTENSION.py [install]")
    import_names.install()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
