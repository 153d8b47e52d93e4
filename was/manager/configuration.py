"""The home's configuration, as the manager takes it from was.config."""

from __future__ import annotations

import gc

from was.config import files
from was.config.files import LoadedServer
from was.ipc.endpoints import Home
from was.manager.server import Configuration
from was.manager.watching import stamp

__all__ = ["ConfigurationReader", "load_configuration"]


class ConfigurationReader:
    """Reads applicationHost.config again and again, and little of it twice."""

    def __init__(self) -> None:
        self._last: LoadedServer | None = None

    def read(self, home: Home) -> Configuration:
        """The configuration as it is now; raises ConfigErrors with every fault in it."""
        # Before it is read: a change meanwhile is a change.
        stamps = {home.config_file: stamp(home.config_file)}
        loaded = files.load_server(home.config_file, home=home.path, before=self._last)
        if self._last is None:
            # Most of it will be there for as long as we are: no collection need look at it.
            gc.collect()
            gc.freeze()
        self._last = loaded
        stamps |= {file: stamp(file) for file in loaded.source_files if file not in stamps}
        return Configuration(loaded.config, loaded.reduced, stamps)


def load_configuration(home: Home) -> Configuration:
    """Read applicationHost.config once; raises ConfigErrors with every fault in it."""
    return ConfigurationReader().read(home)
