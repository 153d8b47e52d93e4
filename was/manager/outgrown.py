"""Which pools' workers a new configuration asks for more of than their processes can do."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

from was.config.model import Application, ServerConfig, Site
from was.manager.handle import WorkerHandle
from was.manager.newcomers import IsNew
from was.manager.pool_isolation import content_of_site, is_within

__all__ = ["beyond_reach", "outgrown"]

OTHER_MODULES = "globalModules is another list"
OTHER_FOLDERS = "its applications have folders that its workers were not started for"


def outgrown(
    before: ServerConfig | None,
    now: ServerConfig,
    pools: Collection[str],
    handles: Iterable[WorkerHandle],
) -> dict[str, str]:
    """Of these pools, those whose workers must be replaced, and why.

    Modules are loaded, and sandboxes closed, when a process starts. `before` is None where nobody
    knows what was in force: then modules are left to the workers, who do.
    """
    if before is not None and before.global_modules != now.global_modules:
        return dict.fromkeys(pools, OTHER_MODULES)
    reaches = _reaches(handle for handle in handles if handle.pool in pools)
    known = {} if before is None else {site.id: site for site in before.sites}
    return {
        pool: OTHER_FOLDERS
        for site in now.sites
        if reaches and known.get(site.id) is not site
        for pool in {a.application_pool for a in site.applications} & reaches.keys()
        if any(_is_beyond(path, reaches[pool]) for path in content_of_site(site, pool))
    }


def beyond_reach(handles: Iterable[WorkerHandle]) -> IsNew:
    """Tells which applications have folders that their pools' workers were not started for."""
    reaches = _reaches(handles)

    def is_new(_site: Site, application: Application) -> bool:
        known = reaches.get(application.application_pool, set())
        return any(_is_beyond(v.physical_path, known) for v in application.virtual_directories)

    return is_new


def _reaches(handles: Iterable[WorkerHandle]) -> dict[str, set[tuple[str, ...]]]:
    """What the workers of each pool may read, where that is limited."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for handle in handles:
        if handle.reach and not handle.is_draining:
            found.setdefault(handle.pool, set()).add(handle.reach)
    return found


def _is_beyond(path: str, reaches: Iterable[tuple[str, ...]]) -> bool:
    """Whether some worker cannot get there. What is not there now is another error."""
    is_hidden = any(not is_within(path, reach) for reach in reaches)
    return is_hidden and os.path.exists(path)
