"""LoadedServer: one applicationHost.config as read, and what is in force below it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from was.config.assemble import build_settings, known_modules
from was.config.faults import Faults
from was.config.foundation import Foundation
from was.config.level import Level, Scope
from was.config.merge import Merged
from was.config.model import Application, PathSettings, SectionView, ServerConfig, Site
from was.config.origins import BUILT_IN, Shown, show, trace
from was.config.parse import Node
from was.config.past import Past
from was.config.paths import PathNode, PathTree, Source, State, scopes_of
from was.config.reading import MAX_WEB_CONFIG_BYTES, Sources, is_folder, read_file
from was.config.reduce import SiteIndex, reduce_server
from was.config.rewrite_checks import check_rewrite
from was.config.rule_folders import rule_folders
from was.config.secrets import Secrets
from was.config.security_checks import check_security
from was.config.semantics import GLOBAL_MODULES, HANDLERS, SITES, check_modules, warnings_of
from was.config.typed import Typer
from was.config.validate import read_level
from was.config.views import Viewer
from was.errors import ConfigError, ConfigErrors

__all__ = ["LoadedServer"]

_HOST = "system.applicationHost/"
_WEB = "system.webServer/"
_SERVER = "MACHINE/WEBROOT/APPHOST"


class LoadedServer:
    """A configuration without errors.

    `config` is its typed view; `level` keeps the tree as written; `files` are those it was read
    from; `past` is for the next configuration, and gone once that has it. Any thread may ask.
    """

    def __init__(
        self,
        config: ServerConfig,
        level: Level,
        state: State,
        viewer: Viewer,
        base: Foundation,
        files: tuple[Path, ...],
        secrets: Secrets,
        past: Past | None,
    ) -> None:
        self.level = level
        self.path = files[0]
        self.past = past
        self._reductions = {} if past is None else past.reductions
        self.source_files = files
        self._foundation = base
        self._secrets = secrets
        self._all_sites = {s.name.lower(): s for s in config.sites}
        self._viewer = viewer
        self._typer = Typer()
        self._every_section = state.sections
        below = {p: m for p, m in state.sections.items() if not p.startswith(_HOST)}
        self._state = State(below, state.modes, None, state.not_integrated)
        view = viewer.section(state.sections.get(GLOBAL_MODULES), base.schema[GLOBAL_MODULES])
        self._known = known_modules(view, base.images)
        handlers = state.sections.get(HANDLERS)
        items = () if handlers is None else handlers.items.values()
        self._server_handlers = frozenset((item.file, item.line) for item in items)
        self._trees: dict[tuple[str, bool], PathTree] = {}
        self._named: dict[Path, list[Path]] = {}
        self._lock = threading.RLock()
        self._inherit_only = _inherit_only(state.sections)
        self.config = self._served(config)

    def _served(self, config: ServerConfig) -> ServerConfig:
        """`config` without the applications that are there to be inherited from."""
        if not self._inherit_only:
            return config
        sites = [
            replace(
                site,
                applications=tuple(
                    a
                    for a in site.applications
                    if (site.name.lower(), a.path.lower()) not in self._inherit_only
                ),
            )
            for site in config.sites
        ]
        return replace(config, sites=tuple(sites))

    # ── what is in force ────────────────────────────────────────────────────────────────────────

    def settings(self, site: Site, application: Application, path: str = "") -> PathSettings:
        """What is in force at a canonical URL path of an application, or at its root.

        The same object for all paths that nobody tells apart. Raises ConfigErrors if a web.config
        above or at the path is wrong; that concerns what lies below that file only.
        """
        with self._lock:
            node = self.node(site, application, path)
            if node.errors:
                raise ConfigErrors(list(node.errors))
            state = node.own
            if state.settings is None:
                # What the server's own state has made is shared by all others.
                is_server = state is self._state
                state.settings = build_settings(
                    state.sections,
                    self._foundation.schema,
                    self._viewer if is_server else self._viewer.fork(),
                    self._typer,
                    self._known,
                    self._server_handlers,
                    rule_folders(node),
                    state.not_integrated,
                )
            return state.settings

    def silent_settings(self) -> PathSettings:
        """Where nothing can be known: the server's modules, and sections in which nobody speaks."""
        with self._lock:
            sections = {
                path: self._viewer.section(None, schema)
                for path, schema in self._foundation.schema.items()
                if path.startswith(_WEB)
            }
        return PathSettings(modules=self.config.modules, sections=sections)

    def holds_below(self, site: Site, application: Application, path: str) -> bool:
        """Whether `path` and all paths below it have the same settings.

        So it is below a folder that is not there, and that no location tag speaks of.
        """
        with self._lock:
            return self._tree(site, application).ends_above(path)

    def node(self, site: Site, application: Application, path: str = "") -> PathNode:
        """The deepest path with a say of its own on the way to `path`, and what was said."""
        with self._lock:
            return self._tree(site, application).node(path or application.path)

    def files(self, site: Site, application: Application, path: str = "") -> list[Path]:
        """The web.config files that `settings` consults, outermost first, existing or not.

        Below an application the last is that of the first folder on the way that is not there.
        """
        with self._lock:
            return self._tree(site, application).files(path or application.path)

    def named_by(self, file: Path) -> list[Path]:
        """The files that a web.config names (configSource, childSource), as it was read last."""
        return self._named.get(file, [])

    def forget(self, folder: str = "/") -> None:
        """Read again, when it is asked for next, what lies at and below a folder."""
        with self._lock:
            for tree in self._trees.values():
                tree.forget(folder)

    def shown(self, path: str) -> dict[str, Shown]:
        """What is in force at a configuration path, and who has said it; a section an entry.

        `path` is that of the server (""), or Site/app/folder/file. Raises ConfigErrors for a path
        of no site, and for one with a fault on its way.
        """
        if not path:
            return self._shown(self._every_section, [])
        with self._lock:
            node = self._node_at(path)
            return self._shown(node.own.sections, scopes_of(node))

    def has_site(self, name: str) -> bool:
        """Whether there is a site of this name."""
        return any(s.name.lower() == name.lower() for s in self.config.sites)

    def section_at(self, section: str, path: str) -> SectionView:
        """What is in force in one section at a path as in `shown`.

        KeyError: no such section. Raises ConfigErrors as `shown` does.
        """
        schema = self._foundation.schema[section]
        viewer = Viewer(self._viewer.home, self._viewer.variables)
        if not path:
            return viewer.section(self._every_section.get(section), schema)
        with self._lock:
            node = self._node_at(path)
            sections = self._every_section if section.startswith(_HOST) else node.own.sections
            return viewer.section(sections.get(section), schema)

    def _node_at(self, path: str) -> PathNode:
        site_name, _, rest = path.partition("/")
        site = next((s for s in self.config.sites if s.name.lower() == site_name.lower()), None)
        if site is None:
            text = f"Unrecognized configuration path 'MACHINE/WEBROOT/APPHOST/{path}'"
            raise ConfigErrors([ConfigError(text)])
        url = "/" + rest.strip("/")
        above = [a for a in site.applications if f"{url}/".lower().startswith(_prefix(a))]
        application = max(above, key=lambda a: len(a.path), default=site.applications[0])
        node = self.node(site, application, url)
        if node.errors:
            raise ConfigErrors(list(node.errors))
        return node

    def _shown(
        self, sections: Mapping[str, Merged], deeper: list[tuple[Scope, Source]]
    ) -> dict[str, Shown]:
        said: list[tuple[str, Scope]] = [(BUILT_IN, s) for s in self._foundation.scopes]
        said += [(_SERVER, scope) for scope in self.level.scopes_at("")]
        for scope, source in deeper:
            said.append((f"{_SERVER}/{source.path}" if source.path else _SERVER, scope))
        viewer = Viewer(self._viewer.home, self._viewer.variables)
        found: dict[str, Shown] = {}
        for name, schema in self._foundation.schema.items():
            if sections is not self._every_section and name.startswith(_HOST):
                continue
            merged = sections.get(name)
            who = trace((lvl, s.sections[name]) for lvl, s in said if name in s.sections)
            found[name] = show(viewer.section(merged, schema), merged, schema, who)
        return found

    def section(self, path: str) -> SectionView:
        """Any section of the schema as it stands at the server's level; KeyError if none."""
        viewer = Viewer(self._viewer.home, self._viewer.variables)
        return viewer.section(self._every_section.get(path), self._foundation.schema[path])

    def _tree(self, site: Site, application: Application) -> PathTree:
        reads_files = self._reads_web_config(application)
        key = site.name.lower(), reads_files
        tree = self._trees.get(key)
        if tree is None:
            server = Source(self.level, "", 0)
            # Those that are inherited from are part of the way.
            whole = self._all_sites[key[0]]
            tree = PathTree(whole, server, self._state, self if reads_files else None)
            self._trees[key] = tree
        return tree

    def _reads_web_config(self, application: Application) -> bool:
        """Whether the application's pool lets web.config files say anything."""
        pool = self.config.app_pools.get(application.application_pool)
        return pool is None or pool.enable_configuration_override

    # ── the file system, for the trees ──────────────────────────────────────────────────────────

    def read_level(self, file: Path, outer: Level) -> Level | None:
        """One web.config below another file; None: there is none. Raises ConfigErrors."""
        errors = Faults()
        level = self._read_level(file, outer, errors)
        if errors:
            raise ConfigErrors(errors)
        return level

    is_folder = staticmethod(is_folder)

    def _read_level(self, file: Path, outer: Level, errors: list[ConfigError]) -> Level | None:
        try:
            os.lstat(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            pass  # reading says what is wrong
        try:
            root = read_file(file, MAX_WEB_CONFIG_BYTES)
        except ConfigErrors as error:
            errors += error.errors
            return None
        sources = Sources(file, MAX_WEB_CONFIG_BYTES)
        self._named[file] = sources.taken
        level = read_level(
            root,
            self._foundation.schema,
            outer.declarations,
            errors,
            is_server=False,
            take_in=sources.take_in,
        )
        check_modules(level, self._known, errors)
        check_security(level, errors)
        check_rewrite(level, errors)
        return level

    # ── for administrators ──────────────────────────────────────────────────────────────────────

    def web_warnings(self, file: Path) -> list[str]:
        """What one web.config says that has no effect here; its errors are not ours."""
        level = self._read_level(file, self.level, [])
        return [] if level is None else warnings_of(level, self._known, is_server=False)

    def reduced(self, pool_name: str) -> bytes:
        """The text of the pool's own applicationHost.config, which loads to the same settings."""
        root = self.level.root
        if root is None:
            raise ValueError("this server was not read from a file")
        index, by_pool = self._sites_of_pools
        kept = by_pool.get(pool_name.lower(), {})
        sites = [index.sites[name] for name in kept]
        made_of = (self._viewer.surroundings, index.around, kept, sites)
        known = self._reductions.get(pool_name)
        if known is not None and known[0] == made_of:
            return known[1]
        schema, decrypt = self._foundation.schema, self._secrets.decrypt
        text = reduce_server(root, index, schema, self._viewer, pool_name, kept, decrypt)
        self._reductions[pool_name] = (made_of, text)
        return text

    @cached_property
    def _sites_of_pools(self) -> tuple[SiteIndex, dict[str, dict[str, list[str]]]]:
        """All sites as written, and for each pool the paths of its applications by site."""
        found: dict[str, dict[str, list[str]]] = {}
        for site in self.config.sites:
            for application in site.applications:
                kept = found.setdefault(application.application_pool.lower(), {})
                kept.setdefault(site.name.lower(), []).append(application.path.lower())
        root = self.level.root
        return SiteIndex(Node("", {}, "", 0, 0, 0) if root is None else root), found


def _prefix(application: Application) -> str:
    return application.path.lower().rstrip("/") + "/"


def _inherit_only(sections: Mapping[str, Merged]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    if SITES in sections:
        for site in sections[SITES].items.values():
            for application in site.items.values():
                if application.values.get("inheritOnly"):
                    name, path = site.values["name"], application.values["path"]
                    found.add((str(name).lower(), str(path).lower()))
    return found
