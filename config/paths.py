"""What is in force at each path of a site, level by level: site, application, folder, file.

At each path, over the result for its parent: the location tags of outer files that address exactly
this path, outermost file first, then the path's own web.config. An application starts from what its
parent hands down (inheritInChildApplications). A path about which nobody says anything shares
its parent's state, as one object.

Files are read through a Reader, when a path below them is first asked for.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from was.config.faults import Faults, fault_at
from was.config.integrated import NotIntegrated
from was.config.level import Level, Scope
from was.config.locks import LOCKED, LOCKED_SECTION, Modes
from was.config.merge import Merged, merge
from was.config.model import Application, PathSettings, Site, VirtualDirectory
from was.errors import ConfigError, ConfigErrors

__all__ = ["PathNode", "PathTree", "Reader", "Source", "State", "apply_scope", "scopes_of"]

# So many nodes are remembered; beyond it all are found anew.
MOST_NODES = 10_000


class Reader(Protocol):
    """The file system, as far as configuration needs it."""

    def read_level(self, file: Path, outer: Level) -> Level | None:
        """A web.config below a file; None: there is none. Raises ConfigErrors."""
        ...

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder that can be entered."""
        ...


@dataclass(slots=True, eq=False)
class State:
    """What is in force at some paths; `settings` is its typed view once that was asked for."""

    sections: Mapping[str, Merged]
    modes: Modes
    settings: PathSettings | None = None
    not_integrated: tuple[NotIntegrated, ...] = ()


@dataclass(slots=True, eq=False)
class Source:
    """One file in force: at which path it stands, and how many files are above it."""

    level: Level
    path: str
    depth: int

    def relative(self, path: str) -> str:
        """`path` as this file's location tags would name it."""
        return path[len(self.path) + 1 :] if self.path else path


@dataclass(slots=True, eq=False)
class PathNode:
    """One path: `url` as a URL path of the site and `path` as IIS names it, both in lower case."""

    path: str
    url: str
    parent: PathNode | None
    application: Application
    directory: VirtualDirectory
    folder: str  # "" where no folder stands for the path
    is_application: bool
    own: State
    handed_down: State
    sources: tuple[Source, ...]
    scopes: list[tuple[Scope, Source]] = field(default_factory=list[tuple[Scope, Source]])
    errors: list[ConfigError] = field(default_factory=Faults)
    children: dict[str, PathNode] = field(default_factory=dict[str, "PathNode"])


def scopes_of(node: PathNode) -> list[tuple[Scope, Source]]:
    """All that was said on the way to a node and holds there, outermost first."""
    found: list[tuple[Scope, Source]] = []
    above: PathNode | None = node
    is_other_application = False
    while above is not None:
        found += [
            (scope, source)
            for scope, source in reversed(above.scopes)
            if scope.inherit_in_child_applications or not is_other_application
        ]
        is_other_application |= above.is_application
        above = above.parent
    return found[::-1]


def apply_scope(
    state: State, scope: Scope, depth: int, errors: list[ConfigError], *, is_deep: bool = False
) -> State:
    """`state` with one scope of a file folded in; `is_deep`: below an application's root."""
    if not (scope.sections or scope.not_integrated):
        return state
    sections, modes = dict(state.sections), state.modes
    for path, element in scope.sections.items():
        declaration = modes.declarations.get(path)
        definition = "" if declaration is None else declaration.allow_definition
        if modes.is_closed_to(path, depth) or (is_deep and definition == "MachineToApplication"):
            errors.append(fault_at(element, LOCKED_SECTION, path, LOCKED))
            continue
        sections[path] = merge(sections.get(path), element, path, errors, depth=depth)
    if scope.is_location:
        modes = modes.after(scope.sections, scope.override_mode, depth)
    return State(sections, modes, None, state.not_integrated + scope.not_integrated)


class PathTree:
    """The nodes of one site that have been asked for."""

    def __init__(self, site: Site, server: Source, state: State, reader: Reader | None) -> None:
        """`reader` None: no web.config is read (enableConfigurationOverride="false")."""
        self._site = site
        self._server = server
        self._state = state
        self._reader = reader
        self._applications = {a.path.lower(): a for a in site.applications}
        self._directories = {
            (a.path.lower(), _join(a.path, v.path)): v
            for a in site.applications
            for v in a.virtual_directories
        }
        self._leads: set[str] = set()
        for _, url in self._directories:
            self._leads.update(url[:end] for end in range(1, len(url) + 1) if url[end:][:1] == "/")
            self._leads.add(url)
        self._root: PathNode | None = None
        self._count = 0

    def node(self, path: str) -> PathNode:
        """The deepest node on the way to a canonical URL path that says anything of its own."""
        if self._count > MOST_NODES:
            self._root = None
        if self._root is None:
            self._root = self._make_root()
        node = self._root
        for segment in path.split("/"):
            if not segment:
                continue
            if node.errors:
                break
            below = node.children.get(segment) or self._descend(node, segment)
            if below is None:
                break
            node = below
        return node

    def ends_above(self, path: str) -> bool:
        """Whether the last node on the way to `path` is not that of `path` itself."""
        return self.node(path).url.count("/") < sum(1 for s in path.split("/") if s)

    def files(self, path: str) -> list[Path]:
        """The web.config files that decide about `path`, outermost first, existing or not.

        The last is that of the first folder on the way that is not there.
        """
        if self._reader is None:
            return []
        found: list[Path] = []
        node: PathNode | None = self.node(path)
        assert node is not None
        depth = node.url.count("/")
        rest = [s for s in path.split("/") if s][depth:]
        if rest and node.folder and _has_file(node, os.path.join(node.folder, rest[0])):
            found.append(Path(node.folder, rest[0], "web.config"))
        while node is not None:
            if node.folder and _has_file(node, node.folder):
                found.append(Path(node.folder) / "web.config")
            node = node.parent
        return found[::-1]

    def forget(self, folder: str) -> None:
        """Find anew what is at and below a folder."""
        if self._root is not None and _lies_in(self._root.folder, folder):
            self._root = None
        elif self._root is not None:
            _forget(self._root, folder)

    def _make_root(self) -> PathNode:
        self._count = 1
        root = self._applications["/"]
        directory = self._directories["/", "/"]
        node = PathNode(
            path=self._site.name.lower(),
            url="",
            parent=None,
            application=root,
            directory=directory,
            folder=directory.physical_path,
            is_application=True,
            own=self._state,
            handed_down=self._state,
            sources=(self._server,),
        )
        self._fill(node)
        return node

    def _descend(self, parent: PathNode, segment: str) -> PathNode | None:
        url = f"{parent.url}/{segment.lower()}"
        path = f"{parent.path}/{segment.lower()}"
        application = self._applications.get(url)
        of = application or parent.application
        directory = self._directories.get((of.path.lower(), url))
        if directory is not None:
            folder = directory.physical_path
        else:
            folder = os.path.join(parent.folder, segment) if parent.folder else ""
            if folder and not (self._reader and self._reader.is_folder(folder)):
                folder = ""
            if not (folder or url in self._leads or _is_addressed(parent.sources, path)):
                return None
        begins = parent.handed_down if application is not None else parent.own
        node = PathNode(
            path=path,
            url=url,
            parent=parent,
            application=of,
            directory=directory or parent.directory,
            folder=folder,
            is_application=application is not None,
            own=begins,
            handed_down=parent.handed_down,
            sources=parent.sources,
        )
        self._fill(node)
        parent.children[segment] = node
        self._count += 1
        return node

    def _fill(self, node: PathNode) -> None:
        """Fold in what the files say about exactly this node."""
        for source in node.sources:
            for scope in source.level.scopes_at(source.relative(node.path)):
                self._apply(node, scope, source)
        if self._reader is None or not node.folder or not _has_file(node, node.folder):
            return
        outer = node.sources[-1]
        try:
            level = self._reader.read_level(Path(node.folder) / "web.config", outer.level)
        except ConfigErrors as error:
            node.errors += error.errors
            return
        if level is None:
            return
        source = Source(level, node.path, outer.depth + 1)
        node.sources = (*node.sources, source)
        if level.declared:
            node.own = self._declared(node.own, source)
            node.handed_down = self._declared(node.handed_down, source)
        for scope in level.scopes_at(""):
            self._apply(node, scope, source)

    def _declared(self, state: State, source: Source) -> State:
        modes = state.modes.declared(source.level.declared, source.depth)
        return State(state.sections, modes, None, state.not_integrated)

    def _apply(self, node: PathNode, scope: Scope, source: Source) -> None:
        if not (scope.sections or scope.not_integrated):
            return
        node.scopes.append((scope, source))
        is_deep = not node.is_application
        shared = node.own is node.handed_down
        before = node.handed_down
        node.own = apply_scope(node.own, scope, source.depth, node.errors, is_deep=is_deep)
        if scope.inherit_in_child_applications:
            node.handed_down = (
                node.own
                if shared
                else apply_scope(before, scope, source.depth, Faults(), is_deep=is_deep)
            )


def _join(application: str, directory: str) -> str:
    joined = application.rstrip("/") + "/" + directory.strip("/")
    return (joined.rstrip("/") or "/").lower()


def _has_file(node: PathNode, folder: str) -> bool:
    """Whether a web.config of this folder counts."""
    directory = node.directory
    return directory.allow_sub_dir_config or folder == directory.physical_path


def _is_addressed(sources: Iterable[Source], path: str) -> bool:
    return any(source.level.leads_to(source.relative(path)) for source in sources)


def _lies_in(folder: str, above: str) -> bool:
    above = above.rstrip("/")
    return folder.rstrip("/") == above or folder.startswith(above + "/")


def _forget(node: PathNode, folder: str) -> None:
    for segment, child in list(node.children.items()):
        if child.folder and _lies_in(child.folder, folder):
            del node.children[segment]
        else:
            _forget(child, folder)
