"""What the parts of a configuration must say together: pure checks over complete views.

The schema knows one section at a time. Here an application must name a pool that exists, a site
must have a root, two sites may not listen on the same binding, and a handler must name modules
that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from was.config.added_fields import field_remarks
from was.config.callables import reference_of
from was.config.faults import fault_at
from was.config.level import Level, Scope
from was.config.merge import Element, added_items
from was.config.model import AppPool, GlobalModule, IdentityType, SectionView, Value, library_of
from was.config.nearest import WITH_HINTS, meant
from was.config.rewrite_checks import rewrite_remarks
from was.config.schema import ElementSchema
from was.config.security_checks import security_remarks
from was.config.urls import tidy_path
from was.errors import ConfigError

__all__ = [
    "GLOBAL_MODULES",
    "HANDLERS",
    "HISTORY",
    "HOME",
    "MODULES",
    "POOLS",
    "SITES",
    "KnownModules",
    "check_isolation",
    "check_modules",
    "handler_works",
    "idle_locations",
    "is_windows_path",
    "warnings_of",
]

HISTORY = "system.applicationHost/configHistory"
HOME = "system.applicationHost/home"
POOLS = "system.applicationHost/applicationPools"
SITES = "system.applicationHost/sites"
GLOBAL_MODULES = "system.webServer/globalModules"
MODULES = "system.webServer/modules"
HANDLERS = "system.webServer/handlers"
COMPRESSION = "system.webServer/httpCompression"
ERRORS = "system.webServer/httpErrors"

MANAGED = "ManagedPipelineHandler"
_RUNNING = frozenset({"CgiModule", "FastCgiModule", "IsapiModule"})  # scriptProcessor is a file
_MODULE_MISSING = 0x8007007E


@dataclass(frozen=True, slots=True)
class KnownModules:
    """The global modules that can be used here, and those that are Windows DLLs and cannot."""

    usable: tuple[GlobalModule, ...]
    names: frozenset[str]
    windows_only: frozenset[str]


def check_isolation(
    pools: SectionView, typed: Mapping[str, AppPool], errors: list[ConfigError]
) -> None:
    """Numbers that are written as texts, and a user where one is needed."""
    for view in pools.items:
        pool = typed[str(view["name"])]
        isolation, model = pool.isolation, pool.process_model
        attribute = "umask"
        try:
            _ = isolation.umask_bits
            attribute = "connectPorts"
            isolation.ports(isolation.connect_ports)
            attribute = "bindPorts"
            isolation.ports(isolation.bind_ports)
        except ValueError as error:
            text = f"Pool '{pool.name}', isolation/{attribute}: {error}"
            errors.append(fault_at(view, text, POOLS))
        if model.identity_type is IdentityType.SPECIFIC_USER and not model.user_name:
            text = f"Pool '{pool.name}': identityType is SpecificUser and there is no userName"
            errors.append(fault_at(view, text, POOLS))


def is_windows_path(path: str) -> bool:
    """Whether no folder here is meant: backslashes, or a variable that nobody has set."""
    return "\\" in path or "%" in path


def idle_locations(level: Level, sites: SectionView) -> list[str]:
    """A line for each location tag that belongs to no site."""
    known = {str(site["name"]).lower() for site in sites.items}
    return [
        f"{level.file}:{scope.line}: location '{scope.path}': no effect here, "
        "there is no site of this name"
        for path, scopes in level.scopes.items()
        for scope in scopes
        if scope.is_location and path and path.partition("/")[0] not in known
    ]


def check_modules(level: Level, known: KnownModules, errors: list[ConfigError]) -> None:
    """Every module and handler that a file adds, anywhere in it, names something that exists."""
    for scope in level.all_scopes():
        for item in added_items(scope.sections.get(HANDLERS)):
            _check_handler(item, known, errors)
        for item in added_items(scope.sections.get(MODULES)):
            name = str(item.values["name"])
            if not item.values.get("type") and name not in known.names | known.windows_only:
                text = f"Module '{name}' is not in globalModules{_hint(name, known, errors)}"
                errors.append(fault_at(item, text, MODULES, _MODULE_MISSING))


def _check_handler(item: Element, known: KnownModules, errors: list[ConfigError]) -> None:
    name = str(item.values["name"])
    modules = _names(item.values.get("modules", ""))
    if not modules and item.values.get("type"):
        return
    if not modules:
        text = f"Handler '{name}' names no module: it needs the attribute 'modules'"
        errors.append(fault_at(item, text + _available(known), HANDLERS))
        return
    for module in modules:
        if module not in known.names | known.windows_only and module != MANAGED:
            text = f"Handler '{name}' names the module '{module}', which is not in globalModules"
            text += _hint(module, known, errors)
            errors.append(fault_at(item, text, HANDLERS, _MODULE_MISSING))
    if "WsgiModule" in modules or "AsgiModule" in modules:
        _check_callable(name, str(item.values.get("scriptProcessor", "")), item, errors)


def _check_callable(name: str, text: str, item: Element, errors: list[ConfigError]) -> None:
    if not text:
        wrong = "needs a scriptProcessor of the form module:callable"
    elif "%" not in text and ((found := reference_of(text)) is None or not found.name):
        wrong = f"has the scriptProcessor '{text}', which is not of the form module:callable"
        wrong += ": a factory takes literals only" if "(" in text else ""
    else:
        return
    errors.append(fault_at(item, f"Handler '{name}' {wrong}", HANDLERS))


def _hint(name: str, known: KnownModules, errors: list[ConfigError]) -> str:
    """The module that may have been meant, else all there are."""
    near = meant(name, known.names) if len(errors) < WITH_HINTS else ""
    return near or _available(known)


def _available(known: KnownModules) -> str:
    return f"; available are {', '.join(sorted(known.names))}"


def _names(text: Value) -> list[str]:
    return [part.strip() for part in str(text).split(",") if part.strip()]


def handler_works(modules: Iterable[str], known: KnownModules) -> bool:
    """Whether every module that a handler names can be used here."""
    return all(module in known.names for module in modules)


def warnings_of(level: Level, known: KnownModules, *, is_server: bool) -> list[str]:
    """What the file says that is accepted and has no effect here, a line each."""
    found: list[str] = []
    for scope in level.all_scopes():
        for path, section in scope.sections.items():
            if section.schema.no_effect:
                found.append(_warning(section, f"section {path}"))
            else:
                _collect(section, section.schema, found)
        found.extend(_compression_remarks(scope.sections.get(COMPRESSION)))
        found.extend(_error_page_remarks(scope.sections.get(ERRORS)))
        found.extend(_handler_remarks(scope, known, is_server=is_server))
        found.extend(
            _warning(item, f"module {item.values['name']}")
            for item in added_items(scope.sections.get(MODULES))
            if item.values.get("type") or item.values["name"] in known.windows_only
        )
        found.extend(
            _warning(item, f"the DLL of module {item.values['name']}")
            for item in added_items(scope.sections.get(GLOBAL_MODULES))
            if str(item.values["image"]).lower().endswith(".dll")
        )
    found.extend(
        f"{level.file}:{scope.line}: location '{scope.path}': no effect here, "
        "no request has such a path"
        for scope in level.all_scopes()
        if tidy_path(f"/{scope.path}") != f"/{scope.path}"
    )
    found.extend(level.remarks)
    found.extend(field_remarks(level))
    found.extend(security_remarks(level))
    found.extend(rewrite_remarks(level))
    unread = level.unread
    found.extend(f"{level.file}:{line}: section {path}: no effect here" for path, line in unread)
    return found


def _handler_remarks(scope: Scope, known: KnownModules, *, is_server: bool) -> Iterable[str]:
    for item in added_items(scope.sections.get(HANDLERS)):
        modules = _names(item.values.get("modules", MANAGED))
        if _RUNNING.intersection(modules):
            yield from _program_remarks(item)
        if MANAGED in modules or known.windows_only.intersection(modules):
            name = item.values["name"]
            if is_server and not scope.path:
                yield _warning(item, f"handler {name}")
            else:
                text = f"handler {name}: not available here, its requests get 500.21"
                yield f"{item.file}:{item.line}: {text}"


def _program_remarks(item: Element) -> Iterable[str]:
    """A `%` alone is no sign: it stands for the script."""
    program = str(item.values.get("scriptProcessor", ""))
    if "\\" in program:
        text = f"handler {item.values['name']}: '{program}' looks like a path of Windows"
        yield f"{item.file}:{item.line}: {text}"


def _compression_remarks(section: Element | None) -> Iterable[str]:
    for item in added_items(section):
        name = str(item.values["name"])
        library = library_of(name)
        if library is None:
            yield _warning(item, f"scheme {name}")
        elif not library:
            text = f"scheme {name}: its library is not installed (extra `compression`), not used"
            yield f"{item.file}:{item.line}: {text}"
    directory = "" if section is None else str(section.values.get("directory", ""))
    if section is not None and is_windows_path(directory):
        text = "httpCompression/@directory: the pool's own temporary folder is used"
        yield f"{section.file}:{section.line}: {text}"


def _error_page_remarks(section: Element | None) -> Iterable[str]:
    """The page has a status of its own, and the challenge is gone with the 401: as with IIS."""
    for item in added_items(section):
        if item.values.get("statusCode") == 401 and item.values.get("responseMode") == "ExecuteURL":
            text = "error 401 by ExecuteURL: nobody is asked to log in; responseMode File asks"
            yield f"{item.file}:{item.line}: {text}"


def _warning(element: Element, what: str) -> str:
    return f"{element.file}:{element.line}: {what}: no effect here"


def _collect(element: Element, schema: ElementSchema, found: list[str]) -> None:
    attributes: Mapping[str, object] = element.values
    for name, value in attributes.items():
        known = schema.attributes.get(name)
        if known is None or value == schema.defaults[name]:
            continue
        if known.no_effect or (known.idle_choices and str(value) in known.idle_choices):
            found.append(_warning(element, f"{element.name}/@{name}"))
    found.extend(_idle_locks(element))
    for child in element.elements.values():
        if child.schema.no_effect:
            found.append(_warning(child, child.name))
        else:
            _collect(child, child.schema, found)
    for directive in element.directives:
        item = directive.element
        if item.remarks is None:
            remarks: list[str] = []
            _collect(item, item.schema, remarks)
            item.remarks = tuple(remarks)
        found.extend(item.remarks)


def _idle_locks(element: Element) -> Iterable[str]:
    """Names in its locks that nothing here has: who believes in such a fence is to hear of it."""
    schema, items = element.schema, element.schema.collection
    directives = () if items is None else (*items.add, items.remove, items.clear)
    for lock, text in element.locks.items():
        if lock == "lockItem" or schema.allow_unrecognized:
            continue
        known = {*schema.elements, *directives} if "Elements" in lock else schema.attributes.keys()
        for name in _names(text):
            if name != "*" and name not in known:
                yield _warning(element, f"{element.name}/@{lock}: '{name}'")
