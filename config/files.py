"""Reading configuration.

`load_server` reads an applicationHost.config once; what is in force at a path is asked of the
result (was.config.loaded), which reads the web.config files on the way. A file that is wrong
raises ConfigErrors with every fault in it; a wrong web.config makes `settings` raise for what
lies below it and for nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from was.config.assemble import build_server, known_modules
from was.config.collection import collection_waits
from was.config.faults import Faults
from was.config.foundation import Foundation, foundation
from was.config.level import Level, Scope
from was.config.loaded import LoadedServer
from was.config.merge import Merged, merge
from was.config.missing import missing
from was.config.model import Application, ServerConfig, Site
from was.config.parse import Node, parse
from was.config.past import Past
from was.config.paths import State, apply_scope
from was.config.reading import Sources, read_data, read_file
from was.config.reparse import reparse
from was.config.rewrite_checks import check_rewrite
from was.config.secrets import KEY_NAME, Secrets
from was.config.security_checks import check_security
from was.config.semantics import (
    GLOBAL_MODULES,
    HOME,
    SITES,
    check_modules,
    idle_locations,
    warnings_of,
)
from was.config.validate import read_level
from was.config.views import Viewer
from was.errors import ConfigError, ConfigErrors

__all__ = [
    "LoadedServer",
    "Report",
    "load_content",
    "load_server",
    "load_text",
    "validate",
]


@dataclass(frozen=True, slots=True)
class Report:
    """All that can be said about a configuration without running it."""

    errors: list[ConfigError]
    warnings: list[str]


def load_server(
    path: Path,
    *,
    home: Path | None = None,
    environment: Mapping[str, str] | None = None,
    before: LoadedServer | None = None,
) -> LoadedServer:
    """Read an applicationHost.config, or raise ConfigErrors with all faults in it.

    `home` is the folder that relative paths start from and %WAS_HOME% stands for: by default the
    parent of the folder that holds the file. `environment` supplies the other variables (by
    default this process's). What has not changed since `before` was read is taken from there.
    """
    errors = Faults()
    with collection_waits():
        source = _Source(Path(path), before)
        root = source.tree()
        surroundings = os.environ if environment is None else environment
        loaded = _load_tree(root, source.path, home, surroundings, errors, source)
        if errors:
            raise ConfigErrors(errors.in_order())
        source.settle()
    return loaded


class _Source:
    """The server's file, its tree, and what is known of it from an earlier time."""

    def __init__(self, path: Path, before: LoadedServer | None) -> None:
        self.path = path
        self.data = read_data(path)
        self._before = before
        # What other files say is in the tree of the first: its tags are not those of its text.
        is_same = before is not None and before.source_files == (path,)
        self.past = before.past if before is not None and is_same else None
        self._settle: Callable[[], None] | None = None

    def tree(self) -> Node:
        """Parsed, as far as it is not known."""
        if self.past is not None:
            known = reparse(self.past.root, self.past.data, self.data)
            if known is not None:
                self._settle = known.settle
                return known.root
        return parse(self.data, str(self.path))

    def settle(self) -> None:
        """The new configuration is good: the tree that it shares with the old one is its own."""
        if self._before is not None:
            self._before.past = None
        if self._settle is not None:
            self._settle()


def load_text(content: bytes, home: Path) -> LoadedServer:
    """The configuration that `content` is, or ConfigErrors with all faults in it."""
    errors = Faults()
    with collection_waits():
        loaded = _load_tree(parse(content, "(text)"), home / "(text)", home, {}, errors)
    if errors:
        raise ConfigErrors(errors.in_order())
    return loaded


def _load(path: Path, home: Path | None, errors: list[ConfigError]) -> LoadedServer | None:
    try:
        root = read_file(path)
    except ConfigErrors as error:
        errors.extend(error.errors)
        return None
    return _load_tree(root, path, home, os.environ, errors)


def _load_tree(
    root: Node,
    path: Path,
    home: Path | None,
    environment: Mapping[str, str],
    errors: list[ConfigError],
    source: _Source | None = None,
) -> LoadedServer:
    base = foundation()
    past = None if source is None else source.past
    schema = base.schema
    sources, secrets = Sources(path), Secrets(path.with_name(KEY_NAME))
    level = read_level(
        root,
        schema,
        base.declarations,
        errors,
        is_server=True,
        decrypt=secrets.decrypt,
        take_in=sources.take_in,
    )
    own = level.scopes_at("")
    folder = _home_of(path, home, own)
    state = _server_state(base, level, own, errors)
    sections = state.sections
    viewer = Viewer(folder, environment, None if past is None else past.viewer)
    host_viewer = Viewer(folder, environment, viewer)
    known = known_modules(
        viewer.section(sections.get(GLOBAL_MODULES), schema[GLOBAL_MODULES]), base.images
    )
    check_modules(level, known, errors)
    check_security(level, errors)
    check_rewrite(level, errors)
    _check_locations(level, state, errors)
    records = None if past is None else past.records
    config, records = build_server(
        sections, schema, host_viewer, known, level.left_out, errors, records
    )
    sites = host_viewer.section(sections.get(SITES), schema[SITES])
    # With a fault in them they may not all be known.
    are_known = all(error.section != SITES for error in errors)
    idle = idle_locations(level, sites) if are_known else []
    own_warnings = warnings_of(level, known, is_server=True)
    config = replace(config, warnings=(*own_warnings, *idle, *config.warnings))
    files = (path, *sources.taken)
    reductions = {} if past is None else dict(past.reductions)
    left = None if source is None else Past(source.data, root, viewer, records, reductions)
    return LoadedServer(config, level, state, viewer, base, files, secrets, left)


def _home_of(path: Path, home: Path | None, scopes: list[Scope]) -> str:
    if home is not None:
        return os.path.abspath(home)
    for scope in scopes:
        section = scope.sections.get(HOME)
        if section is not None and section.values.get("path"):
            return str(section.values["path"])
    return str(Path(os.path.abspath(path)).parent.parent)


def _server_state(
    base: Foundation, level: Level, scopes: list[Scope], errors: list[ConfigError]
) -> State:
    """The built-in level with the server's file over it, its location tags for paths aside."""
    sections: dict[str, Merged] = dict(base.sections)
    modes = base.modes.declared(level.declared, 0)
    for scope in scopes:
        for path, element in scope.sections.items():
            sections[path] = merge(sections.get(path), element, path, errors, may_restate=True)
        if scope.is_location:
            modes = modes.after(scope.sections, scope.override_mode, 0)
    return State(sections, modes, None, tuple([n for s in scopes for n in s.not_integrated]))


def _check_locations(level: Level, server: State, errors: list[ConfigError]) -> None:
    """Find the faults in location tags, whether or not a request will ever get there."""
    for path in level.scopes:
        if path:
            state, ignored = server, Faults()
            segments = path.split("/")
            for count in range(1, len(segments) + 1):
                here = errors if count == len(segments) else ignored
                for scope in level.scopes_at("/".join(segments[:count])):
                    state = apply_scope(state, scope, 0, here)


def load_content(content: bytes, path: Path, *, home: Path | None) -> LoadedServer:
    """What load_server would give if `path` held `content`; relative files are found from there."""
    errors = Faults()
    loaded = _load_tree(parse(content, str(path)), path, home, os.environ, errors)
    if errors:
        raise ConfigErrors(errors.in_order())
    return loaded


def validate(path: Path, *, home: Path | None = None) -> Report:
    """Everything wrong with a configuration and all web.config files that it reaches.

    `home` as for load_server.
    """
    errors = Faults()
    loaded = _load(path, home, errors)
    if loaded is None:
        return Report(errors.in_order(), [])
    seen: set[tuple[str, int, int, str]] = set()
    warned: dict[Path, list[str]] = {}
    for site, application, url in _roots(loaded.config):
        for file in loaded.files(site, application, url):
            if file not in warned:
                warned[file] = loaded.web_warnings(file)
        try:
            loaded.settings(site, application, url)
        except ConfigErrors as error:
            for one in error.errors:
                key = (one.file, one.line, one.column, one.message)
                if key not in seen:
                    seen.add(key)
                    errors.append(one)
    below = [warning for warnings in warned.values() for warning in warnings]
    return Report(errors.in_order(), [*loaded.config.warnings, *missing(loaded), *below])


def _roots(config: ServerConfig) -> Iterator[tuple[Site, Application, str]]:
    """The URL path of each folder that the configuration names, with whose it is."""
    for site in config.sites:
        for application in site.applications:
            for directory in application.virtual_directories:
                url = f"{application.path.rstrip('/')}/{directory.path.strip('/')}"
                yield site, application, url
