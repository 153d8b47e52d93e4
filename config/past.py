"""What a configuration leaves to the next one of its file, which then has little to do."""

from __future__ import annotations

from dataclasses import dataclass

from was.config.parse import Node
from was.config.site_records import SiteRecords
from was.config.views import Viewer

__all__ = ["Past"]


@dataclass(frozen=True, slots=True)
class Past:
    """The file's content and tree, what was made of the sites, and each pool's part of it."""

    data: bytes
    root: Node
    viewer: Viewer
    records: SiteRecords
    reductions: dict[str, tuple[object, bytes]]
