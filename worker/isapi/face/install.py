"""isapi.install: what an extension's script asks for, as configuration of this server.

The classes take what they take on Windows, and the script's hooks and arguments work as there. What
install prints are elements for applicationHost.config: a virtual directory becomes an application's
handlers, ScriptMaps and filters what they are there. Run the script by
`python -m was.worker.isapi extension.py install`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

__all__ = [
    "ConfigurationError",
    "FilterParameters",
    "GetLoaderModuleName",
    "HandleCommandLine",
    "ISAPIParameters",
    "Install",
    "InstallModule",
    "InstallationError",
    "ItemNotFound",
    "MergeStandardOptions",
    "ScriptMapParams",
    "Uninstall",
    "UninstallModule",
    "VirtualDirParameters",
    "build_usage",
    "log",
    "split_path",
    "standard_arguments",
    "verbose",
]

verbose = 1
# ScriptMapParams.Flags: the file must exist.
CHECK_PATH_INFO = 4


def log(level: int, what: object) -> None:
    """Say something where that much is wanted. The configuration has standard output."""
    if verbose >= level:
        print(what, file=sys.stderr)


class InstallationError(Exception):
    """What the script asks for cannot be had."""


class ItemNotFound(InstallationError):
    """Something is not there."""


class ConfigurationError(InstallationError):
    """Something is said that has no meaning."""


class _Parameters:
    """Attributes with defaults, set by keyword; what is none of them is for the script's hooks.

    PreInstall, PostInstall, PreRemove and PostRemove may be given: they are called with the object
    itself and the options; PostInstall of a virtual directory or filter with what was made as well.
    """

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


class FilterParameters(_Parameters):
    """A filter."""

    Name: str = ""
    Description: str | None = None
    Path: str | None = None
    Server: str | None = None
    AddExtensionFile = True
    AddExtensionFile_Enabled = True
    AddExtensionFile_GroupID: str | None = None
    AddExtensionFile_CanDelete = True
    AddExtensionFile_Description: str | None = None


class ScriptMapParams(_Parameters):
    """A mapping of an extension, "*" for all."""

    Extension: str = ""
    Module: str | None = None
    Flags = 5
    Verbs = ""
    AddExtensionFile = True
    AddExtensionFile_Enabled = True
    AddExtensionFile_GroupID: str | None = None
    AddExtensionFile_CanDelete = True
    AddExtensionFile_Description: str | None = None


class VirtualDirParameters(_Parameters):
    """A virtual directory, here the path of an application or below one."""

    Name: str = ""
    Description: str | None = None
    AppProtection = 2
    Headers: str | None = "X-Powered-By: Python"
    Path: str | None = None
    Type: str | None = None
    AccessExecute: bool | None = True
    AccessRead: bool | None = None
    AccessWrite: bool | None = None
    AccessScript: bool | None = None
    ContentIndexed: bool | None = None
    EnableDirBrowsing: bool | None = None
    EnableDefaultDoc: bool | None = None
    DefaultDoc: str | None = None
    ScriptMaps: Sequence[ScriptMapParams] = ()
    ScriptMapUpdate = "end"
    Server: str | None = None

    def is_root(self) -> bool:
        """Whether it is the site's root."""
        return self.split_path() == ["", ""]

    def split_path(self) -> list[str]:
        """The path above it, and its name."""
        return split_path(self.Name)


def split_path(path: str) -> list[str]:
    """The path above, "" for the root, and the last segment."""
    return ("/" + path.strip("/")).rsplit("/", 1)


class ISAPIParameters(_Parameters):
    """All that a script asks for."""

    ServerName = "Default Web Site"
    Description: str | None = None
    Filters: Sequence[FilterParameters] = ()
    VirtualDirs: Sequence[VirtualDirParameters] = ()


def _configuration(params: ISAPIParameters, server: str | None) -> str:
    """The elements of applicationHost.config that stand for `params`."""
    images: dict[str, None] = {}
    lines: list[str] = []
    for directory in params.VirtualDirs:
        site = server or directory.Server or params.ServerName
        place = "/".join([site, *filter(None, directory.Name.split("/"))])
        lines += [f"<location path={quoteattr(place)}>", "  <system.webServer>"]
        lines.append(f"    <handlers{_access_policy(directory)}>")
        for mapping in directory.ScriptMaps:
            image = str(mapping.Module)
            if mapping.AddExtensionFile and mapping.AddExtensionFile_Enabled:
                images[image] = None
            lines.append(f"      {_handler(mapping, image)}")
        lines += ["    </handlers>", "  </system.webServer>", "</location>"]
    for one in params.Filters:
        place = server or one.Server or params.ServerName
        lines += [f"<location path={quoteattr(place)}>", "  <system.webServer><isapiFilters>"]
        lines.append(f"    <filter name={quoteattr(one.Name)} path={quoteattr(str(one.Path))} />")
        lines += ["  </isapiFilters></system.webServer>", "</location>"]
    if images:
        lines.append("<system.webServer><security><isapiCgiRestriction>")
        lines += [f'  <add path={quoteattr(image)} allowed="true" />' for image in images]
        lines.append("</isapiCgiRestriction></security></system.webServer>")
    return "\n".join(lines)


def _access_policy(directory: VirtualDirParameters) -> str:
    rights = {
        "Read": directory.AccessRead,
        "Write": directory.AccessWrite,
        "Execute": directory.AccessExecute,
        "Script": directory.AccessScript,
    }
    # The root is what the site makes it.
    granted = (
        ""
        if directory.is_root()
        else ", ".join(name for name, is_granted in rights.items() if is_granted)
    )
    return f' accessPolicy="{granted}"' if granted else ""


def _handler(mapping: ScriptMapParams, image: str) -> str:
    is_all = mapping.Extension == "*"
    path = "*" if is_all else f"*{mapping.Extension}"
    kind = "File" if mapping.Flags & CHECK_PATH_INFO and not is_all else "Unspecified"
    name = os.path.basename(image) + ("" if is_all else mapping.Extension)
    access = ' requireAccess="None"' if is_all else ""
    return (
        f"<add name={quoteattr(name)} path={quoteattr(path)} "
        f"verb={quoteattr(mapping.Verbs or '*')} "
        f'modules="IsapiModule" scriptProcessor={quoteattr(image)} '
        f'resourceType="{kind}"{access} />'
    )


def _call_hook(part: _Parameters, name: str, options: Any, *more: object) -> None:
    hook = getattr(part, name, None)
    if hook is not None:
        hook(part, options, *more)


def _server_of(options: Any) -> str | None:
    return getattr(options, "server", None)


def Install(params: ISAPIParameters, options: Any = None) -> None:
    """Print the configuration, between the script's own hooks."""
    parts: list[_Parameters] = [*params.VirtualDirs, *params.Filters]
    for part in (params, *parts):
        _call_hook(part, "PreInstall", options)
    print(_configuration(params, _server_of(options)), flush=True)
    for part in parts:
        _call_hook(part, "PostInstall", options, None)
    _call_hook(params, "PostInstall", options)


def Uninstall(params: ISAPIParameters, options: Any = None) -> None:
    """Print what is to be taken out again, between the script's own hooks."""
    parts: list[_Parameters] = [params, *params.VirtualDirs, *params.Filters]
    for part in parts:
        _call_hook(part, "PreRemove", options)
    print("<!-- to be taken out of applicationHost.config: -->")
    print(_configuration(params, _server_of(options)), flush=True)
    for part in (*parts[1:], params):
        _call_hook(part, "PostRemove", options)


def GetLoaderModuleName(mod_name: str, check_module: bool | None = None) -> str:
    """The image to name for a script: the script itself, which needs no loader here."""
    del check_module
    return os.path.abspath(mod_name)


def _name_images(params: ISAPIParameters, image: str) -> None:
    """Where the script names no image, its own."""
    for one in params.Filters:
        one.Path = os.path.abspath(one.Path or image)
    for directory in params.VirtualDirs:
        for mapping in directory.ScriptMaps:
            mapping.Module = os.path.abspath(mapping.Module or image)


_Log = Callable[[int, object], None]


def _no_log(level: int, what: object) -> None:
    """Scripts that call InstallModule say themselves what they do."""


def InstallModule(
    conf_module_name: str, params: ISAPIParameters, options: Any, log: _Log = _no_log
) -> None:
    """Print the configuration that installs the extension."""
    if not os.path.isfile(conf_module_name):
        raise ConfigurationError(f"{conf_module_name} does not exist")
    _name_images(params, GetLoaderModuleName(conf_module_name))
    Install(params, options)
    log(1, "Put this into applicationHost.config.")


def UninstallModule(
    conf_module_name: str, params: ISAPIParameters, options: Any, log: _Log = _no_log
) -> None:
    """Print the configuration that is to be taken out."""
    _name_images(params, GetLoaderModuleName(conf_module_name, False))
    Uninstall(params, options)
    log(1, "Take this out of applicationHost.config.")


standard_arguments: dict[str, Callable[..., None]] = {
    "install": InstallModule,
    "remove": UninstallModule,
}


def build_usage(handler_map: dict[str, Callable[..., None]]) -> str:
    """The usage of a script: its arguments, each with the first words of its function."""
    lines = [f"%prog [options] [{'|'.join(handler_map)}]", "commands:"]
    lines += [f"  {name:<10}: {handler.__doc__ or ''}" for name, handler in handler_map.items()]
    return "\n".join(lines)


def MergeStandardOptions(options: Any, params: ISAPIParameters) -> None:
    """Nothing: for scripts that replace it."""


def HandleCommandLine(
    params: ISAPIParameters,
    argv: Sequence[str] | None = None,
    conf_module_name: str | None = None,
    default_arg: str = "install",
    opt_parser: Any = None,
    custom_arg_handlers: dict[str, Callable[..., None]] | None = None,
) -> None:
    """What the script's arguments say: install, remove, or one of its own.

    `opt_parser` is an optparse.OptionParser with options of the script's own. A handler of its own
    is called with the options, a function to log with, and its argument.
    """
    global verbose
    from optparse import OptionParser

    arguments = list(argv or sys.argv)
    parser: Any = opt_parser if opt_parser is not None else OptionParser(usage="")
    own = custom_arg_handlers or {}
    if not parser.get_usage():
        parser.set_usage(build_usage({**standard_arguments, **own}))
    parser.add_option("-q", "--quiet", action="store_const", const=0, dest="verbose", default=1)
    parser.add_option("-v", "--verbosity", action="count", dest="verbose", default=1)
    parser.add_option("", "--server", action="store", help="the site, in place of the script's")
    options, words = parser.parse_args(arguments[1:])
    MergeStandardOptions(options, params)
    verbose = options.verbose
    known = {**standard_arguments, "uninstall": UninstallModule}
    module_name = conf_module_name or sys.argv[0]
    for word in words or [default_arg]:
        try:
            if word in own:
                own[word](options, log, word)
            elif word in known:
                known[word](module_name, params, options, log)
            else:
                parser.error(f"Invalid arg {word!r}")
        except InstallationError as error:
            sys.exit(f"{type(error).__name__}: {error}")
