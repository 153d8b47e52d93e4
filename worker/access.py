"""requireAccess against accessPolicy: may this mapping run here?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from was.config.model import HandlerAccess, RequireAccess
from was.worker.interfaces.hresult import E_ACCESSDENIED
from was.worker.notifications import CONTINUE, RequestNotificationStatus
from was.worker.refusing import refuse

if TYPE_CHECKING:
    from was.worker.interfaces.context import HttpContext

__all__ = ["make_check"]

# required -> (rights of which one suffices, the right's NoRemote form, sub-status of 403)
_RULES: dict[RequireAccess, tuple[frozenset[HandlerAccess], HandlerAccess, int]] = {
    RequireAccess.READ: (frozenset({HandlerAccess.READ}), HandlerAccess.NO_REMOTE_READ, 2),
    RequireAccess.WRITE: (frozenset({HandlerAccess.WRITE}), HandlerAccess.NO_REMOTE_WRITE, 3),
    RequireAccess.SCRIPT: (
        frozenset({HandlerAccess.SCRIPT, HandlerAccess.EXECUTE}),
        HandlerAccess.NO_REMOTE_SCRIPT,
        1,
    ),
    RequireAccess.EXECUTE: (
        frozenset({HandlerAccess.EXECUTE}),
        HandlerAccess.NO_REMOTE_EXECUTE,
        1,
    ),
}


def make_check(
    required: RequireAccess, policy: frozenset[HandlerAccess]
) -> Callable[[HttpContext, object], RequestNotificationStatus] | None:
    """The step that refuses with 403.1, .2 or .3; None where nothing can be refused."""
    if required is RequireAccess.NONE:
        return None
    sufficient, no_remote, sub_status = _RULES[required]
    is_granted = bool(sufficient & policy)
    if is_granted and no_remote not in policy:
        return None

    def check(context: HttpContext, _: object) -> RequestNotificationStatus:
        if is_granted and context.is_local:
            return CONTINUE
        return refuse(context, 403, sub_status, E_ACCESSDENIED)

    return check
