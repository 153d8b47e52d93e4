"""What every part of the manager works with: the home, its files, the configuration in force."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from was.clock import Clock
from was.config.model import ServerConfig
from was.ipc.endpoints import Home, SocketFolder
from was.manager.events import EventLog
from was.manager.inbox import Inbox
from was.manager.isolation import Isolations
from was.manager.notify import Notifier
from was.manager.state_files import Counters, StateFiles
from was.manager.watching import Stamp

__all__ = ["Configuration", "Engine", "Options", "Programs", "Server"]


Engine: TypeAlias = Literal["auto", "h11", "llhttp"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration without errors; `reduced` makes a pool's own file of it.

    `files` are those it was read from, as they were then.
    """

    config: ServerConfig
    reduced: Callable[[str], bytes]
    files: Mapping[Path, Stamp] = field(default_factory=dict[Path, Stamp])


@dataclass(frozen=True, slots=True)
class Programs:
    """What is started as listener, template and supervisor; the options follow."""

    listener: tuple[str, ...] = (sys.executable, "-P", "-m", "was.listener")
    template: tuple[str, ...] = (sys.executable, "-P", "-m", "was.manager.template")
    supervisor: tuple[str, ...] = (sys.executable, "-P", "-m", "was.manager.detached")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides."""

    engine: Engine = "auto"
    log_to_output: bool = False  # request logs go to standard output
    # `was run`: output, folder and environment of the applications are those of the terminal.
    is_command_line: bool = False
    programs: Programs = Programs()
    is_detached: bool = False  # and so has a supervisor of its own


@dataclass(slots=True)
class Server:
    """One running server. `output` is where our processes' own log goes."""

    home: Home
    folder: SocketFolder
    clock: Clock
    time_scale: float
    options: Options
    environment: dict[str, str]
    output: int
    files: StateFiles
    counters: Counters
    events: EventLog
    configuration: Configuration
    loop: asyncio.AbstractEventLoop
    inbox: Inbox
    notifier: Notifier = field(default_factory=Notifier)
    isolation: Isolations = field(init=False)

    def __post_init__(self) -> None:
        self.isolation = Isolations(self.home, self.folder, self.files)

    @property
    def config(self) -> ServerConfig:
        """The configuration in force."""
        return self.configuration.config
