"""`fastCgi/application` as the module sees it, and scriptProcessor as a reference to one. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from was.config.model import PathSettings, SectionView

__all__ = ["FastCgiApplication", "StdErrMode", "find_application", "remote_address"]

SECTION = "system.webServer/fastCgi"
_HOST_PORT = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})")


class StdErrMode(StrEnum):
    """What becomes of a request whose process writes to FCGI_STDERR."""

    RETURN_STDERR_IN_500 = "ReturnStdErrIn500"
    RETURN_GENERIC_500 = "ReturnGeneric500"
    IGNORE_AND_RETURN_200 = "IgnoreAndReturn200"
    TERMINATE_PROCESS = "TerminateProcess"


@dataclass(frozen=True, slots=True, kw_only=True)
class FastCgiApplication:
    """One entry; times in seconds. Equal ones share their processes."""

    full_path: str
    arguments: str = ""
    max_instances: int = 0  # 0: chosen by the number of processors
    idle_timeout: int = 300
    activity_timeout: int = 70
    request_timeout: int = 90
    instance_max_requests: int = 200
    queue_length: int = 1000
    rapid_fails_per_minute: int = 10
    monitor_changes_to: str = ""
    stderr_mode: StdErrMode = StdErrMode.RETURN_STDERR_IN_500
    signal_before_terminate_seconds: int = 0
    protocol: str = "NamedPipe"
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def command(self) -> list[str]:
        """The command line. Raises ValueError where a quote is open."""
        return [self.full_path, *shlex.split(self.arguments)]


def find_application(settings: PathSettings, processor: str) -> FastCgiApplication | None:
    """The entry that a scriptProcessor names, `fullPath|arguments`; None: there is none.

    An address needs no entry: what is not said is as it is where there is one with nothing but a
    path, except that FCGI_STDERR fails no request.
    """
    path, _, arguments = processor.partition("|")
    path, arguments = path.strip().strip('"'), arguments.strip()
    for item in settings.section(SECTION).items:
        if (str(item["fullPath"]), str(item["arguments"]).strip()) == (path, arguments):
            return _read(item)
    if remote_address(path) is not None:
        return FastCgiApplication(full_path=path, stderr_mode=StdErrMode.IGNORE_AND_RETURN_200)
    return None


def remote_address(path: str) -> str | tuple[str, int] | None:
    """Where a process of somebody else listens: `unix:/path`, `host:port`; None for a program."""
    if path.startswith("unix:"):
        return path[len("unix:") :]
    found = _HOST_PORT.fullmatch(path)
    if found is None:
        return None
    return found.group(1) or found.group(2), int(found.group(3))


def _read(item: SectionView) -> FastCgiApplication:
    def number(name: str) -> int:
        value = item[name]
        assert isinstance(value, int)
        return value

    variables = item.elements["environmentVariables"].items
    return FastCgiApplication(
        full_path=str(item["fullPath"]),
        arguments=str(item["arguments"]).strip(),
        max_instances=number("maxInstances"),
        idle_timeout=number("idleTimeout"),
        activity_timeout=number("activityTimeout"),
        request_timeout=number("requestTimeout"),
        instance_max_requests=number("instanceMaxRequests"),
        queue_length=number("queueLength"),
        rapid_fails_per_minute=number("rapidFailsPerMinute"),
        monitor_changes_to=str(item["monitorChangesTo"]),
        stderr_mode=StdErrMode(str(item["stderrMode"])),
        signal_before_terminate_seconds=number("signalBeforeTerminateSeconds"),
        protocol=str(item["protocol"]),
        environment=tuple((str(v["name"]), str(v["value"])) for v in variables),
    )
