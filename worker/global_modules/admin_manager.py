"""IAppHostAdminManager for modules: what is in force in a section at a configuration path."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from was.errors import ConfigErrors
from was.worker.interfaces.hresult import (
    ERROR_FILE_NOT_FOUND,
    ERROR_INVALID_DATA,
    ERROR_PATH_NOT_FOUND,
    HResultError,
)

if TYPE_CHECKING:
    from was.config.files import LoadedServer
    from was.config.model import SectionView

__all__ = ["AdminManager"]

SERVER = "MACHINE/WEBROOT/APPHOST"


class AdminManager:
    """Reads; writing is `was config`'s and the manager's."""

    def __init__(self, loaded: Callable[[], LoadedServer | None]) -> None:
        self._loaded = loaded

    def get_admin_section(self, section_name: str, path: str = SERVER) -> SectionView:
        """A section, `system.webServer/…`, at MACHINE/WEBROOT/APPHOST/site/app/folder/file.

        HResultError: ERROR_FILE_NOT_FOUND for an unknown section, ERROR_PATH_NOT_FOUND for a path
        of no site of this worker, ERROR_INVALID_DATA where a web.config on the way is broken.
        """
        loaded = self._loaded()
        head, below = path[: len(SERVER)], path[len(SERVER) :]
        if loaded is None or head.upper() != SERVER or below[:1] not in ("", "/"):
            raise HResultError(ERROR_PATH_NOT_FOUND, f"no configuration path '{path}'")
        place = below.strip("/")
        if place and not loaded.has_site(place.partition("/")[0]):
            raise HResultError(ERROR_PATH_NOT_FOUND, f"no configuration path '{path}'")
        try:
            return loaded.section_at(section_name, place)
        except KeyError as error:
            raise HResultError(ERROR_FILE_NOT_FOUND, f"no section '{section_name}'") from error
        except ConfigErrors as error:
            raise HResultError(ERROR_INVALID_DATA, str(error)) from error
