"""Files that a process of the server writes to, or reads, meanwhile."""

import os
from pathlib import Path


def whole_lines(file: Path) -> list[str]:
    """The lines that have come to their ends; none while there is no such file."""
    try:
        text = file.read_text(errors="replace")
    except FileNotFoundError:
        return []
    return text[: text.rfind("\n") + 1].splitlines()


def replace_text(file: Path, text: str) -> None:
    """A new file takes the place: nobody reads half of it, or none."""
    new = file.with_name(f".{file.name}.edited")
    new.write_text(text)
    if file.exists():
        new.chmod(file.stat().st_mode & 0o7777)
    os.replace(new, file)
