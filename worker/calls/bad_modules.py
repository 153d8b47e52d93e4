"""Modules that an application lists and that cannot be called: 500.21 for all of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from was.log import log
from was.worker.notifications import RequestNotificationStatus
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.config.model import ModuleEntry
    from was.worker.interfaces.context import HttpContext

__all__ = ["BadModule", "refuse_bad_modules"]


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
    words = [f"{b.entry.name} ({b.entry.file}:{b.entry.line}): {b.why}" for b in bad]
    text = f"The module list of this application has a bad module: {'; '.join(words)}"
    return refuse(context, 500, 21, bad[0].hresult, text)
