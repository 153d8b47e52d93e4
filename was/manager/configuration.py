"""The home's configuration, as the manager takes it from was.config."""

from __future__ import annotations

from was.config import files
from was.ipc.endpoints import Home
from was.manager.server import Configuration
from was.manager.watching import stamp

__all__ = ["load_configuration"]


def load_configuration(home: Home) -> Configuration:
    """Read applicationHost.config; raises ConfigErrors with every fault in it."""
    # Before it is read: a change meanwhile is a change.
    stamps = {home.config_file: stamp(home.config_file)}
    loaded = files.load_server(home.config_file, home=home.path)
    stamps |= {file: stamp(file) for file in loaded.source_files if file not in stamps}
    return Configuration(loaded.config, lambda pool: files.reduced(loaded, pool), stamps)
