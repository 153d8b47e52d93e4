"""Modules that an application lists and that cannot be called: 500.21 for all of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from was.log import log
from was.worker.hresult import ERROR_INVALID_DATA, from_win32
from was.worker.notifications import FINISH_REQUEST, RequestNotificationStatus

if TYPE_CHECKING:
    from was.config.model import ModuleEntry
    from was.worker.context import HttpContext

__all__ = ["E_INVALID_DATA", "BadModule", "refuse_bad_modules"]

E_INVALID_DATA = from_win32(ERROR_INVALID_DATA)


_said: set[tuple[str, str, str, str]] = set()


class BadModule(NamedTuple):
    """An entry of `modules`, and why it has no module."""

    entry: ModuleEntry
    why: str
    hresult: int

    def tell(self, config_path: str) -> None:
        """One line for the application at a configuration path; again only for another reason."""
        said = (config_path, self.entry.file, self.entry.name, self.why)
        if said in _said:
            return
        _said.add(said)
        log(
            "module_refused",
            module=self.entry.name,
            file=self.entry.file,
            line=self.entry.line,
            application=config_path,
            error=self.why,
        )


def refuse_bad_modules(context: HttpContext, _: object) -> RequestNotificationStatus:
    """500.21, in place of every event before LOG_REQUEST."""
    bad = context.calls.bad_modules
    context.response.set_status(500, "Internal Server Error", 21, bad[0].hresult)
    words = [f"{b.entry.name} ({b.entry.file}:{b.entry.line}): {b.why}" for b in bad]
    context.response.set_error_description(
        f"The module list of this application has a bad module: {'; '.join(words)}"
    )
    return FINISH_REQUEST
