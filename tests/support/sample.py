"""The home that `was init` makes, for a test."""

import re
from collections.abc import Iterable
from pathlib import Path

from was.cli.init import write_home

SITES = ("Shop", "Static", "Crash", "Chat")


def write_sample(home: Path, ports: Iterable[int] = (0, 0, 0, 0)) -> None:
    """Write it; its sites, in the order of SITES, are on these ports, and where 0 on free ones."""
    write_home(home)
    file = home / "config" / "applicationHost.config"
    left = iter(ports)
    text = re.sub(r'(?<="127\.0\.0\.1:)\d+(?=:")', lambda _: str(next(left)), file.read_text())
    file.write_text(text)
