"""Folders of sockets that outlive their homes."""

from pathlib import Path

from was.ipc.endpoints import socket_base


def folders_of_lost_homes() -> set[Path]:
    """Those whose home is no more, in whichever test it was."""
    found = set()
    for note in socket_base().glob("*/home"):
        try:
            home = Path(note.read_text()).parent.parent
        except OSError:
            continue  # another test is just removing it
        if not home.exists():
            found.add(note.parent)
    return found
