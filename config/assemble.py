"""From merged sections to ServerConfig and PathSettings: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from was.config.faults import fault_at
from was.config.integrated import NotIntegrated
from was.config.merge import Element, Merged
from was.config.model import (
    AnonymousAuthentication,
    AppPool,
    Caching,
    ConfigHistory,
    DefaultDocument,
    DirectoryBrowse,
    GlobalModule,
    HandlersSection,
    HttpCompression,
    HttpErrors,
    HttpLogging,
    HttpProtocol,
    Identities,
    ModuleEntry,
    PathSettings,
    RequestFiltering,
    SectionView,
    ServerConfig,
    ServerRuntime,
    StaticContent,
    UrlCompression,
    UrlReservation,
    WebLimits,
)
from was.config.schema import ElementSchema
from was.config.semantics import (
    GLOBAL_MODULES,
    HANDLERS,
    HISTORY,
    MODULES,
    POOLS,
    SITES,
    KnownModules,
    check_isolation,
    handler_works,
    is_windows_path,
)
from was.config.site_records import SiteRecords, check_left_out
from was.config.typed import Typer
from was.config.urls import parse_prefix
from was.config.views import Viewer
from was.errors import ConfigError

__all__ = ["build_server", "build_settings", "known_modules", "modules_in_use"]

_HOST = "system.applicationHost/"
_WEB = "system.webServer/"


def known_modules(view: SectionView, builtin: Mapping[str, str]) -> KnownModules:
    """Which of globalModules can be used; `builtin` holds the images of our own by name.

    IIS's file names DLLs. Where the module is one that we have, ours stands in for the DLL.
    """
    typer = Typer()
    return typer.once(view, KnownModules, lambda: _known_modules(view, builtin, typer))


def _known_modules(view: SectionView, builtin: Mapping[str, str], typer: Typer) -> KnownModules:
    usable: list[GlobalModule] = []
    windows: set[str] = set()
    for item in view.items:
        module = typer.shared(GlobalModule, item)
        if not module.image.lower().endswith(".dll"):
            usable.append(module)
        elif module.name in builtin:
            usable.append(typer.make(GlobalModule, item, image=builtin[module.name]))
        else:
            windows.add(module.name)
    return KnownModules(tuple(usable), frozenset(m.name for m in usable), frozenset(windows))


def modules_in_use(view: SectionView, known: KnownModules, typer: Typer) -> tuple[ModuleEntry, ...]:
    """The entries of a modules section without those that are Windows DLLs."""

    def make() -> tuple[ModuleEntry, ...]:
        entries = (typer.make(ModuleEntry, item) for item in view.items)
        return tuple([e for e in entries if e.type or e.name in known.names])

    return typer.once(view, (ModuleEntry, known.names), make)


def build_server(
    sections: Mapping[str, Merged],
    schema: Mapping[str, ElementSchema],
    viewer: Viewer,
    known: KnownModules,
    left_out: Iterable[Element],
    errors: list[ConfigError],
    before: SiteRecords | None,
) -> tuple[ServerConfig, SiteRecords]:
    """The server's configuration, with the faults of its parts together in `errors`.

    Sites still hold the applications that are only there to be inherited from (inheritOnly).
    `left_out` are items without a key, `before` the records of an earlier configuration.
    """
    typer = Typer()

    def view(path: str) -> SectionView:
        return viewer.section(sections.get(path), schema[path])

    pools = {str(item["name"]): typer.make(AppPool, item) for item in view(POOLS).items}
    canonical = {name.lower(): name for name in pools}
    check_isolation(view(POOLS), pools, errors)
    records = SiteRecords(view(SITES), canonical, before)
    records.check(errors)
    sites = sections.get(SITES) or Merged(schema[SITES], SITES)
    check_left_out(left_out, sites, viewer, canonical, errors)
    history, remarks = _history(view(HISTORY), schema[HISTORY], viewer)
    errors.extend(viewer.errors)
    config = ServerConfig(
        home=viewer.home,
        app_pools=pools,
        sites=() if errors else records.sites,
        web_limits=typer.make(WebLimits, view(_HOST + "webLimits")),
        identities=typer.make(Identities, view(_HOST + "identities")),
        url_reservations=_reservations(view(_HOST + "urlReservations"), typer, errors),
        history=history,
        global_modules=known.usable,
        modules=modules_in_use(view(MODULES), known, typer),
        warnings=(*records.remarks, *remarks),
    )
    return config, records


def _reservations(
    view: SectionView, typer: Typer, errors: list[ConfigError]
) -> tuple[UrlReservation, ...]:
    """The reservations; a URL that is none is reported where it stands."""
    for item in view.items:
        try:
            parse_prefix(str(item["url"]))
        except ValueError as error:
            errors.append(fault_at(item, str(error), _HOST + "urlReservations"))
    return tuple([typer.make(UrlReservation, item) for item in view.items])


def _history(
    view: SectionView, schema: ElementSchema, viewer: Viewer
) -> tuple[ConfigHistory, list[str]]:
    """Where the history is kept; IIS's own file names a folder that is not here."""
    history = Typer().make(ConfigHistory, view)
    if not is_windows_path(history.path):
        return history, []
    attribute = schema.attributes["path"]
    here = str(viewer.resolve(attribute, attribute.default or ""))
    remark = f"{view.file}:{view.line}: configHistory: the history is kept in {here}"
    return replace(history, path=here), [remark]


def build_settings(
    sections: Mapping[str, Merged],
    schema: Mapping[str, ElementSchema],
    viewer: Viewer,
    typer: Typer,
    known: KnownModules,
    of_server: Collection[tuple[str, int]],
    rule_folders: Mapping[tuple[str, int], str],
    not_integrated: tuple[NotIntegrated, ...],
) -> PathSettings:
    """What is in force where `sections` are.

    Handlers of modules that we do not have are left out where IIS's own file brings them
    (`of_server`: file and line of those that the server's level has). One that somebody has added
    for a path stays, and answers 500.21: its files must not be served as they are.
    """
    views = {
        path: viewer.section(sections.get(path), section)
        for path, section in schema.items()
        if path.startswith(_WEB) and path != GLOBAL_MODULES
    }
    handlers = typer.shared(HandlersSection, views[HANDLERS])
    usable = tuple(
        [
            h
            for h in handlers.entries
            if handler_works(h.modules, known) or (h.file, h.line) not in of_server
        ]
    )
    return PathSettings(
        handlers=HandlersSection(access_policy=handlers.access_policy, entries=usable),
        modules=modules_in_use(views[MODULES], known, typer),
        default_document=typer.shared(DefaultDocument, views[_WEB + "defaultDocument"]),
        static_content=typer.shared(StaticContent, views[_WEB + "staticContent"]),
        directory_browse=typer.shared(DirectoryBrowse, views[_WEB + "directoryBrowse"]),
        http_errors=typer.shared(HttpErrors, views[_WEB + "httpErrors"]),
        http_logging=typer.shared(HttpLogging, views[_WEB + "httpLogging"]),
        http_protocol=typer.shared(HttpProtocol, views[_WEB + "httpProtocol"]),
        server_runtime=typer.shared(ServerRuntime, views[_WEB + "serverRuntime"]),
        anonymous_authentication=typer.shared(
            AnonymousAuthentication,
            views[_WEB + "security/authentication/anonymousAuthentication"],
        ),
        request_filtering=typer.shared(RequestFiltering, views[_WEB + "security/requestFiltering"]),
        rule_folders=rule_folders,
        not_integrated=not_integrated,
        http_compression=typer.shared(HttpCompression, views[_WEB + "httpCompression"]),
        url_compression=typer.shared(UrlCompression, views[_WEB + "urlCompression"]),
        caching=typer.shared(Caching, views[_WEB + "caching"]),
        sections=views,
    )
