"""Reading configuration.

`load_server` reads an applicationHost.config once; what is in force at an application is asked
of the result with `settings`, which reads the web.config files above and at it. A file that is
wrong raises ConfigErrors with every fault in it; a wrong web.config makes `settings` raise for
the applications below it and for no other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from was.config.assemble import build_server, build_settings, known_modules
from was.config.collection import collection_waits
from was.config.faults import Faults
from was.config.merge import Merged, merge
from was.config.model import Application, PathSettings, SectionView, ServerConfig, Site
from was.config.parse import Node, parse
from was.config.reading import MAX_WEB_CONFIG_BYTES, read_file
from was.config.reduce import reduce_server
from was.config.schema import ElementSchema, build_schema
from was.config.secrets import KEY_NAME, Secrets
from was.config.semantics import (
    GLOBAL_MODULES,
    HOME,
    SITES,
    check_modules,
    idle_locations,
    warnings_of,
)
from was.config.typed import Typer
from was.config.validate import Declaration, Level, Scope, read_level
from was.config.values import fill_defaults
from was.config.views import Viewer
from was.errors import ConfigError, ConfigErrors

__all__ = [
    "LoadedServer",
    "Report",
    "load_server",
    "load_text",
    "reduced",
    "validate",
]

_SCHEMA_FOLDER = Path(__file__).resolve().parent / "schema"
_HOST = "system.applicationHost/"


@dataclass(frozen=True, slots=True)
class Report:
    """All that can be said about a configuration without running it."""

    errors: list[ConfigError]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class _Foundation:
    """What is the same for every configuration: the schema and the built-in level."""

    schema: dict[str, ElementSchema]
    declarations: dict[str, Declaration]
    sections: dict[str, Merged]
    images: dict[str, str]


@cache
def _foundation() -> _Foundation:
    # IIS_schema.xml comes first: the others extend what it declares.
    files = sorted(_SCHEMA_FOLDER.glob("*_schema.xml"))
    documents = [parse(file.read_bytes(), file.name) for file in files]
    schema = build_schema(documents)
    fill_defaults(schema.values())
    errors = Faults()
    root = parse((_SCHEMA_FOLDER / "builtin.xml").read_bytes(), "builtin.xml")
    level = read_level(root, schema, {}, errors, is_server=True)
    sections: dict[str, Merged] = {}
    for scope in level.scopes_at(""):
        for path, element in scope.sections.items():
            sections[path] = merge(None, element, path, errors)
    if errors:
        raise ConfigErrors(errors)
    modules = sections[GLOBAL_MODULES].items.values()
    named = {str(m.values["name"]): str(m.values["image"]) for m in modules}
    images = {n: image for n, image in named.items() if not image.lower().endswith(".dll")}
    return _Foundation(schema, level.declarations, sections, images)


def load_server(
    path: Path, *, home: Path | None = None, environment: Mapping[str, str] | None = None
) -> LoadedServer:
    """Read an applicationHost.config, or raise ConfigErrors with all faults in it.

    `home` is the folder that relative paths start from and %WAS_HOME% stands for: by default the
    parent of the folder that holds the file. `environment` supplies the other variables (by
    default this process's).
    """
    errors = Faults()
    with collection_waits():
        loaded = _load(Path(path), home, os.environ if environment is None else environment, errors)
    if loaded is None or errors:
        raise ConfigErrors(errors)
    return loaded


def load_text(content: bytes, home: Path) -> LoadedServer:
    """The configuration that `content` is, or ConfigErrors with all faults in it."""
    errors = Faults()
    loaded = _load_tree(parse(content, "(text)"), home / "(text)", home, {}, errors)
    if errors:
        raise ConfigErrors(errors)
    return loaded


def _load(
    path: Path, home: Path | None, environment: Mapping[str, str], errors: list[ConfigError]
) -> LoadedServer | None:
    try:
        root = read_file(path)
    except ConfigErrors as error:
        errors.extend(error.errors)
        return None
    return _load_tree(root, path, home, environment, errors)


def _load_tree(
    root: Node,
    path: Path,
    home: Path | None,
    environment: Mapping[str, str],
    errors: list[ConfigError],
) -> LoadedServer:
    foundation = _foundation()
    secrets = Secrets(path.with_name(KEY_NAME))
    level = read_level(
        root,
        foundation.schema,
        foundation.declarations,
        errors,
        is_server=True,
        decrypt=secrets.decrypt,
    )
    own = level.scopes_at("")
    folder = _home_of(path, home, own)
    sections = _fold(foundation.sections, own, errors, may_restate=True)
    viewer = Viewer(folder, environment)
    host_viewer = Viewer(folder, environment)
    schema = foundation.schema
    known = known_modules(
        viewer.section(sections.get(GLOBAL_MODULES), schema[GLOBAL_MODULES]), foundation.images
    )
    check_modules(level, known, errors)
    _check_locations(level, sections, errors)
    config = build_server(sections, schema, host_viewer, known, errors)
    sites = host_viewer.section(sections.get(SITES), schema[SITES])
    idle = idle_locations(level, sites)
    config = replace(config, warnings=(*warnings_of(level, known), *idle, *config.warnings))
    return LoadedServer(path, config, level, sections, viewer, secrets)


def _home_of(path: Path, home: Path | None, scopes: list[Scope]) -> str:
    if home is not None:
        return os.path.abspath(home)
    for scope in scopes:
        section = scope.sections.get(HOME)
        if section is not None and section.values.get("path"):
            return str(section.values["path"])
    return str(Path(os.path.abspath(path)).parent.parent)


def _fold(
    base: dict[str, Merged],
    scopes: list[Scope],
    errors: list[ConfigError],
    *,
    may_restate: bool = False,
) -> dict[str, Merged]:
    """`base` with the sections of `scopes` folded in; `base` itself if they say nothing."""
    if not any(scope.sections for scope in scopes):
        return base
    sections = dict(base)
    for scope in scopes:
        for path, element in scope.sections.items():
            sections[path] = merge(
                sections.get(path), element, path, errors, may_restate=may_restate
            )
    return sections


def _check_locations(level: Level, base: dict[str, Merged], errors: list[ConfigError]) -> None:
    """Find the duplicates in location tags, whether or not a request will ever get there."""
    for path in level.scopes:
        if path:
            sections, ignored = base, list[ConfigError]()
            segments = path.split("/")
            for count in range(1, len(segments)):
                sections = _fold(sections, level.scopes_at("/".join(segments[:count])), ignored)
            _fold(sections, level.scopes_at(path), errors)


class LoadedServer:
    """One applicationHost.config as read, and what is in force below it.

    `config` is its typed view; `level` keeps the tree as written.
    """

    def __init__(
        self,
        path: Path,
        config: ServerConfig,
        level: Level,
        sections: dict[str, Merged],
        viewer: Viewer,
        secrets: Secrets,
    ) -> None:
        self.path = path
        self._secrets = secrets
        self.level = level
        self._all_sites = {s.name.lower(): s for s in config.sites}
        self._viewer = viewer
        self._typer = Typer()
        schema = _foundation().schema
        self._every_section = sections
        self._sections = {p: m for p, m in sections.items() if not p.startswith(_HOST)}
        view = viewer.section(sections.get(GLOBAL_MODULES), schema[GLOBAL_MODULES])
        self._known = known_modules(view, _foundation().images)
        self._base: PathSettings | None = None
        self._inherit_only = _inherit_only(sections)
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

    def settings(self, site: Site, application: Application) -> PathSettings:
        """What is in force at the root of `application`.

        Raises ConfigErrors if a web.config above or at it is wrong; that concerns this
        application (and those below the same file) only.
        """
        errors = Faults()
        scopes = self._scopes(site, application, errors)
        sections = _fold(self._sections, scopes, errors)
        if errors:
            raise ConfigErrors(errors)
        schema = _foundation().schema
        if sections is not self._sections:
            viewer = self._viewer.fork()
            return build_settings(sections, schema, viewer, self._typer.fork(), self._known)
        if self._base is None:
            self._base = build_settings(sections, schema, self._viewer, self._typer, self._known)
        return self._base

    def section(self, path: str) -> SectionView:
        """Any section of the schema as it stands at the server's level; KeyError if none."""
        viewer = Viewer(self._viewer.home, self._viewer.variables)
        return viewer.section(self._every_section.get(path), _foundation().schema[path])

    def files(self, site: Site, application: Application) -> list[Path]:
        """The web.config files that `settings` consults, outermost first, existing or not."""
        if not self._reads_web_config(application):
            return []
        return [file for _, file in self._chain(site, application) if file is not None]

    def _reads_web_config(self, application: Application) -> bool:
        pool = self.config.app_pools.get(application.application_pool)
        return pool is None or pool.enable_configuration_override

    def _chain(self, site: Site, application: Application) -> list[tuple[str, Path | None]]:
        """The paths from the site down to the application, each with its web.config."""
        by_path = {a.path.lower(): a for a in self._all_sites[site.name.lower()].applications}
        segments = [part for part in application.path.lower().split("/") if part]
        chain: list[tuple[str, Path | None]] = []
        for count in range(len(segments) + 1):
            path = "/" + "/".join(segments[:count])
            here = by_path.get(path)
            file = None if here is None else Path(here.physical_path) / "web.config"
            chain.append(("/".join([site.name.lower(), *segments[:count]]), file))
        return chain

    def _scopes(
        self, site: Site, application: Application, errors: list[ConfigError]
    ) -> list[Scope]:
        """The scopes that hold at the application, outermost first.

        At each path from the site down: the location tags of outer files that address exactly
        this path, outermost file first, then the path's own web.config.
        """
        found: list[Scope] = []
        files: list[tuple[str, Level]] = []
        chain = self._chain(site, application)
        reads_files = self._reads_web_config(application)
        for path, file in chain:
            here = list(self.level.scopes_at(path))
            for above, level in files:
                here.extend(level.scopes_at(path[len(above) + 1 :]))
            if file is not None and reads_files:
                declared = (files[-1][1] if files else self.level).declarations
                own = self._web_config(file, declared, errors)
                if own is not None:
                    here.extend(own.scopes_at(""))
                    files.append((path, own))
            is_target = path == chain[-1][0]
            found.extend(s for s in here if is_target or s.inherit_in_child_applications)
        return found

    def _web_config(
        self, file: Path, declared: Mapping[str, Declaration], errors: list[ConfigError]
    ) -> Level | None:
        """One file as read; `declared` are the sections declared above it."""
        if not os.path.lexists(file):
            return None
        try:
            root = read_file(file, MAX_WEB_CONFIG_BYTES)
        except ConfigErrors as error:
            errors.extend(error.errors)
            return None
        level = read_level(root, _foundation().schema, declared, errors, is_server=False)
        check_modules(level, self._known, errors)
        return level

    def web_warnings(self, file: Path) -> list[str]:
        """What one web.config says that has no effect here; its errors are not ours."""
        level = self._web_config(file, self.level.declarations, [])
        return [] if level is None else warnings_of(level, self._known)

    def reduced(self, pool_name: str) -> bytes:
        """See the function of this name."""
        kept: dict[str, list[str]] = {}
        for site in self.config.sites:
            paths = [
                a.path.lower()
                for a in site.applications
                if a.application_pool.lower() == pool_name.lower()
            ]
            if paths:
                kept[site.name.lower()] = paths
        root = self.level.root
        if root is None:
            raise ValueError("this server was not read from a file")
        schema, decrypt = _foundation().schema, self._secrets.decrypt
        return reduce_server(root, schema, self._viewer, pool_name, kept, decrypt)


def _inherit_only(sections: dict[str, Merged]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    if SITES in sections:
        for site in sections[SITES].items.values():
            for application in site.items.values():
                if application.values.get("inheritOnly"):
                    name, path = site.values["name"], application.values["path"]
                    found.add((str(name).lower(), str(path).lower()))
    return found


def reduced(loaded: LoadedServer, pool_name: str) -> bytes:
    """The text of the pool's own applicationHost.config, which loads to the same settings."""
    return loaded.reduced(pool_name)


def validate(path: Path, *, home: Path | None = None) -> Report:
    """Everything wrong with a configuration and all web.config files that it reaches."""
    errors = Faults()
    loaded = _load(Path(path), home, os.environ, errors)
    if loaded is None:
        return Report(errors, [])
    seen: set[tuple[str, int, int, str]] = set()
    warned: dict[Path, list[str]] = {}
    for site in loaded.config.sites:
        for application in site.applications:
            for file in loaded.files(site, application):
                if file not in warned:
                    warned[file] = loaded.web_warnings(file)
            try:
                loaded.settings(site, application)
            except ConfigErrors as error:
                for one in error.errors:
                    key = (one.file, one.line, one.column, one.message)
                    if key not in seen:
                        seen.add(key)
                        errors.append(one)
    below = [warning for warnings in warned.values() for warning in warnings]
    return Report(errors, [*loaded.config.warnings, *below])
