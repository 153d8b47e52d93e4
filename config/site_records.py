"""What is known of each site by itself, and what follows for all of them together: pure.

A record is made of one site and the names of the pools. The next configuration finds it again as
long as the site's view is the same object, and has only the comparison of all sites to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from was.config.bindings import (
    ADDRESSED_PROTOCOLS,
    HEALTH_PROTOCOL,
    InvalidBindingError,
    parse_binding_information,
)
from was.config.faults import fault_at
from was.config.merge import DUPLICATE, Element, Key, Merged, merge
from was.config.model import Application, SectionView, Site
from was.config.nearest import WITH_HINTS, meant
from was.config.semantics import SITES, is_windows_path
from was.config.typed import Typer
from was.config.views import Viewer
from was.errors import ConfigError

__all__ = ["SiteRecord", "SiteRecords", "check_left_out"]

_Parts = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class _BindingFact:
    protocol: str
    parts: _Parts | None  # None: it has no address, or a wrong one
    view: SectionView


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """One site: typed, its own faults, its bindings taken apart, and remarks about it."""

    view: SectionView
    site: Site
    name: str
    faults: tuple[ConfigError, ...]
    bindings: tuple[_BindingFact, ...]
    windows_paths: tuple[str, ...]
    unserved: tuple[str, ...]


class SiteRecords:
    """The records of all sites of a configuration. `pools`: their names by those in lower case."""

    def __init__(
        self, sites: SectionView, pools: Mapping[str, str], before: SiteRecords | None
    ) -> None:
        self._pools = dict(pools)
        known: Mapping[int, SiteRecord] = {}
        if before is not None and before._pools == self._pools:
            known = before._records
        typer = Typer()
        self._records: dict[int, SiteRecord] = {
            id(view): known.get(id(view)) or _record(view, pools, typer) for view in sites.items
        }

    @property
    def sites(self) -> tuple[Site, ...]:
        """All sites, typed."""
        return tuple([record.site for record in self._records.values()])

    @property
    def remarks(self) -> list[str]:
        """A line for each folder that only Windows has, and each binding that nobody serves."""
        records = self._records.values()
        # Once, what sites have from their defaults.
        paths = list(dict.fromkeys(line for record in records for line in record.windows_paths))
        return paths + [line for record in records for line in record.unserved]

    def check(self, errors: list[ConfigError]) -> None:
        """The faults of each site, and bindings that two of them have."""
        taken: dict[_Parts, str] = {}
        has_probes = False
        for record in self._records.values():
            errors.extend(record.faults)
            for binding in record.bindings:
                parts = binding.parts
                # Port 0 is a different free port for everybody who asks.
                if parts is None or not parts[1]:
                    continue
                has_probes |= binding.protocol == HEALTH_PROTOCOL
                owner = taken.setdefault(parts, record.name)
                if owner != record.name:
                    text = str(binding.view["bindingInformation"])
                    message = (
                        f"Site '{record.name}' has the same binding '{text}' as site '{owner}'"
                    )
                    errors.append(fault_at(binding.view, message, SITES, DUPLICATE))
        if has_probes:
            self._check_probes(errors)

    def _check_probes(self, errors: list[ConfigError]) -> None:
        """What answers to probes has a port of its own."""
        facts = [b for record in self._records.values() for b in record.bindings if b.parts]
        others = {b.parts[:2] for b in facts if b.parts and b.protocol != HEALTH_PROTOCOL}
        for fact in facts:
            if fact.protocol != HEALTH_PROTOCOL or fact.parts is None or not fact.parts[1]:
                continue
            ip, port, _ = fact.parts
            if any(p == port and (i == ip or "" in (i, ip)) for i, p in others):
                text = f"Port {port} of this {HEALTH_PROTOCOL} binding is an http binding's too"
                errors.append(fault_at(fact.view, text, SITES, DUPLICATE))


def check_left_out(
    left_out: Iterable[Element],
    sites: Merged,
    viewer: Viewer,
    pools: Mapping[str, str],
    errors: list[ConfigError],
) -> None:
    """What else is wrong with sites that have no name or id: all faults are told at once.

    With placeholders for these two, they are looked at as all others are. `sites` is what there is
    without them: it has the defaults.
    """
    collection = sites.schema.collection
    items: dict[Key, Merged] = {}
    for element in left_out:
        if collection is not None and element.schema is collection.item:
            element.values.setdefault("name", "")
            element.values.setdefault("id", 0)
            items[(element.file, len(items))] = merge(None, element, SITES, errors)
    if items:
        typer = Typer()
        for view in viewer.section(replace(sites, items=items, view=None), sites.schema).items:
            errors.extend(_record(view, pools, typer).faults)


def _record(view: SectionView, pools: Mapping[str, str], typer: Typer) -> SiteRecord:
    name = str(view["name"])
    faults: list[ConfigError] = []
    if not any(a["path"] == "/" for a in view.items):
        faults.append(fault_at(view, f"Site '{name}' has no application '/'", SITES))
    for application in view.items:
        _check_application(name, application, pools, faults)
    bindings = view.elements["bindings"].items
    facts = tuple([_binding_fact(binding, faults) for binding in bindings])
    return SiteRecord(
        view,
        _site(view, pools, typer),
        name,
        tuple(faults),
        facts,
        (*_windows_paths(view), *_windows_logs(view.elements["logFile"])),
        tuple(_unserved(name, bindings)),
    )


def _site(view: SectionView, pools: Mapping[str, str], typer: Typer) -> Site:
    applications: list[Application] = []
    for item in view.items:
        pool = str(item["applicationPool"])
        name = pools.get(pool.lower(), pool)
        applications.append(typer.make(Application, item, application_pool=name))
    return typer.make(Site, view, applications=tuple(applications))


def _check_application(
    site: str, application: SectionView, pools: Mapping[str, str], faults: list[ConfigError]
) -> None:
    path, pool = application["path"], application["applicationPool"]
    if str(pool).lower() not in pools and not application["inheritOnly"]:
        hint = meant(str(pool), pools.values()) if len(faults) < WITH_HINTS else ""
        text = (
            f"Application '{site}{path}' names the application pool '{pool}', which does not exist"
            f"{hint}"
        )
        faults.append(fault_at(application, text, SITES))
    if not any(v["path"] == "/" for v in application.items):
        text = f"Application '{site}{path}' has no virtual directory '/'"
        faults.append(fault_at(application, text, SITES))


def _binding_fact(binding: SectionView, faults: list[ConfigError]) -> _BindingFact:
    protocol = str(binding["protocol"]).lower()
    parts: _Parts | None = None
    if protocol in ADDRESSED_PROTOCOLS:
        text = str(binding["bindingInformation"])
        try:
            parts = parse_binding_information(text)
        except InvalidBindingError as error:
            message = f"Invalid bindingInformation '{text}': {error}"
            faults.append(fault_at(binding, message, SITES))
    if protocol == HEALTH_PROTOCOL and parts is not None and parts[2]:
        text = f"A binding of protocol {HEALTH_PROTOCOL} takes no host name: '{parts[2]}'"
        faults.append(fault_at(binding, text, SITES))
    return _BindingFact(protocol, parts, binding)


def _windows_paths(site: SectionView) -> Iterable[str]:
    return (
        f"{directory.file}:{directory.line}: '{path}' looks like a path of Windows"
        for application in site.items
        for directory in application.items
        if is_windows_path(path := str(directory["physicalPath"]))
    )


def _windows_logs(log: SectionView) -> Iterable[str]:
    if is_windows_path(path := str(log["directory"])):
        text = f"'{path}' looks like a path of Windows, the home's logs are used"
        yield f"{log.file}:{log.line}: logFile/@directory: {text}"


def _unserved(name: str, bindings: Iterable[SectionView]) -> Iterable[str]:
    return (
        f"{binding.file}:{binding.line}: binding {binding['protocol']} "
        f"{binding['bindingInformation']} of site '{name}': not served, only http is"
        for binding in bindings
        if str(binding["protocol"]).lower() not in ("http", HEALTH_PROTOCOL)
    )
