"""Which programs run in this worker, under marks that the manager passes on to its successor.

A worker that takes another one's place for its age alone must have running what runs in that one:
else the old one stays (DESIGN, section 5). What did not run there either is no reason.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from was.errors import WasError

if TYPE_CHECKING:
    from was.worker.applications.application import HttpApplication

__all__ = ["ProgramMissingError", "insist_on", "what_runs"]

_TEXT_LIMIT = 500  # of a reason


class ProgramMissingError(WasError):
    """You get this when a program runs in the worker that is to be replaced, and not in this one.

    Not when it is another program now, or in another folder.
    """


def what_runs(applications: Iterable[HttpApplication]) -> tuple[list[int], dict[int, str]]:
    """The marks of the programs that run, and of those that do not, with the reason."""
    running: list[int] = []
    failed: dict[int, str] = {}
    for application in applications:
        wanted = {handler.script_processor for handler in application.settings.handlers.entries}
        # A copy: requests start some meanwhile.
        for reference, failure in list(application.programs.items()):
            if reference not in wanted:
                continue  # of a handler that is there no more
            mark = _mark(application, reference)
            if failure is None:
                running.append(mark)
            else:
                why = failure.message[:_TEXT_LIMIT]
                failed[mark] = f"{_name(application, reference)} did not start: {why}"
    return running, failed


def insist_on(wanted: Collection[int], applications: Iterable[HttpApplication]) -> None:
    """Raise ProgramMissingError where one of the marks belongs to a program that does not run."""
    marks = frozenset(wanted)
    for application in applications:
        for reference, failure in application.programs.items():
            if failure is not None and _mark(application, reference) in marks:
                raise ProgramMissingError(
                    f"{_name(application, reference)} runs in the worker that is to be replaced, "
                    f"and fails now: {failure.message}"
                )


def _name(application: HttpApplication, reference: str) -> str:
    return f"{reference} of {application.site.site_name}{application.path}"


def _mark(application: HttpApplication, reference: str) -> int:
    # Not hashlib: it brings OpenSSL along.
    site_id = str(application.site.site_id)
    parts = (site_id, application.path, application.physical_path, reference)
    return crc32("\0".join(parts).encode("utf-8", "surrogateescape"))
