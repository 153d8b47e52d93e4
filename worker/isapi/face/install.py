"""isapi.install: what an extension's script asks for, as configuration of this server.

The classes take what they take on Windows. Install prints elements for applicationHost.config: a
virtual directory becomes an application's handlers, ScriptMaps and filters what they are there. Run
the script by `python -m was.worker.isapi extension.py install`.
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
    "HandleCommandLine",
    "ISAPIParameters",
    "Install",
    "InstallationError",
    "ItemNotFound",
    "ScriptMapParams",
    "VirtualDirParameters",
    "configuration",
    "verbose",
]

verbose = 1
# ScriptMapParams.Flags: the file must exist.
CHECK_PATH_INFO = 4


class InstallationError(Exception):
    """What the script asks for cannot be had."""


class ItemNotFound(InstallationError):
    """Something is not there."""


class ConfigurationError(InstallationError):
    """Something is said that has no meaning."""


class _Parameters:
    """Attributes with defaults, set by keyword."""

    def __init__(self, **given: Any) -> None:
        for name, value in given.items():
            if not hasattr(type(self), name):
                raise ConfigurationError(f"{type(self).__name__} has no {name}")
            setattr(self, name, value)

    def PreInstall(self, params: Any, options: Any) -> None:
        """Called before."""

    def PostInstall(self, params: Any, options: Any, target: Any = None) -> None:
        """Called after."""


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
        return self.Name.strip("/") == ""

    def split_path(self) -> list[str]:
        """The segments of its name."""
        return [part for part in self.Name.split("/") if part]


class ISAPIParameters(_Parameters):
    """All that a script asks for."""

    ServerName = "Default Web Site"
    Description: str | None = None
    Filters: Sequence[FilterParameters] = ()
    VirtualDirs: Sequence[VirtualDirParameters] = ()


def configuration(params: ISAPIParameters, script: str) -> str:
    """The elements of applicationHost.config that stand for `params` of a script."""
    images: list[str] = []
    lines: list[str] = []
    for directory in params.VirtualDirs:
        place = "/".join([directory.Server or params.ServerName, *directory.split_path()])
        lines += [f"<location path={quoteattr(place)}>", "  <system.webServer>"]
        lines.append(f"    <handlers{_access_policy(directory)}>")
        for mapping in directory.ScriptMaps:
            image = os.path.abspath(mapping.Module or script)
            images.append(image)
            lines.append(f"      {_handler(mapping, image)}")
        lines += ["    </handlers>", "  </system.webServer>", "</location>"]
    filters = [
        f"    <filter name={quoteattr(one.Name)} "
        f"path={quoteattr(os.path.abspath(one.Path or script))} />"
        for one in params.Filters
    ]
    if filters or images:
        lines.append("<system.webServer>")
        if filters:
            lines += ["  <isapiFilters>", *filters, "  </isapiFilters>"]
        if images:
            lines.append("  <security><isapiCgiRestriction>")
            lines += [
                f'    <add path={quoteattr(image)} allowed="true" />'
                for image in dict.fromkeys(images)
            ]
            lines.append("  </isapiCgiRestriction></security>")
        lines.append("</system.webServer>")
    return "\n".join(lines)


def _access_policy(directory: VirtualDirParameters) -> str:
    rights = {
        "Read": directory.AccessRead,
        "Write": directory.AccessWrite,
        "Execute": directory.AccessExecute,
        "Script": directory.AccessScript,
    }
    granted = ", ".join(name for name, is_granted in rights.items() if is_granted)
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


def Install(params: ISAPIParameters, options: Any = None) -> None:
    """Print the configuration, between the script's own hooks."""
    parts: list[_Parameters] = [params, *params.VirtualDirs, *params.Filters]
    for part in parts:
        part.PreInstall(params, options)
    print(configuration(params, sys.argv[0]))
    for part in parts:
        part.PostInstall(params, options)


def HandleCommandLine(
    params: ISAPIParameters,
    argv: Sequence[str] | None = None,
    conf_module_name: str | None = None,
    default_arg: str = "install",
    opt_parser: object = None,
    custom_arg_handlers: dict[str, Callable[..., None]] | None = None,
) -> None:
    """What the script's arguments say: install, or one of its own."""
    del conf_module_name, opt_parser
    words = [word for word in (sys.argv if argv is None else argv)[1:] if not word.startswith("-")]
    handlers = custom_arg_handlers or {}
    for word in words or [default_arg]:
        if word in handlers:
            handlers[word](None, None, word)
        elif word == "install":
            Install(params)
        elif word in ("remove", "uninstall"):
            raise InstallationError("take out of applicationHost.config what install has printed")
        else:
            raise ConfigurationError(f"unknown argument {word!r}")
