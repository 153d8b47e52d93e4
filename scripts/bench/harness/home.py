"""A home to run: pools, sites and applications written as an applicationHost.config.

Only what differs from the defaults is written, as a person would write it. A home lies in a folder
that any user may enter, since a pool's worker may run under an identity of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import quoteattr

__all__ = [
    "Application",
    "Pool",
    "Site",
    "application_host_config",
    "make_home",
    "place_application",
    "wsgi_handler",
]


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool; `elements` are its child elements, by name; `inside` is further XML as it is."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    elements: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    inside: str = ""


@dataclass(frozen=True, slots=True)
class Application:
    """One application of a site; `handlers` are `add` elements, ready written."""

    path: str
    folder: Path
    pool: str
    handlers: tuple[str, ...] = ()
    sections: str = ""  # further elements of system.webServer


@dataclass(frozen=True, slots=True)
class Site:
    """One site; port 0 lets the system choose, `was list sites` tells which."""

    name: str
    applications: tuple[Application, ...]
    bindings: tuple[str, ...] = ("127.0.0.1:0:",)


def wsgi_handler(processor: str, *, path: str = "*", name: str = "app") -> str:
    """An `add` element that maps `path` to the WSGI application `module:name`."""
    return (
        f'<add name={quoteattr(name)} path={quoteattr(path)} verb="*" modules="WsgiModule" '
        f"scriptProcessor={quoteattr(processor)} />"
    )


def asgi_handler(processor: str, *, path: str = "*", name: str = "app") -> str:
    """The same for the ASGI application `module:name`."""
    return wsgi_handler(processor, path=path, name=name).replace("WsgiModule", "AsgiModule")


def application_host_config(pools: list[Pool], sites: list[Site], extra: str = "") -> str:
    """The text of an applicationHost.config; `extra` goes before its end."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<configuration>"]
    lines += ["  <system.applicationHost>", "    <applicationPools>"]
    for pool in pools:
        lines += _pool_lines(pool, _data_folders(pool, sites))
    lines += ["    </applicationPools>", "    <sites>"]
    for number, site in enumerate(sites, 1):
        lines += _site_lines(number, site)
    lines += ["    </sites>", "  </system.applicationHost>"]
    for site in sites:
        for application in site.applications:
            lines += _location_lines(site, application)
    lines += [extra, "</configuration>", ""] if extra else ["</configuration>", ""]
    return "\n".join(lines)


def make_home(folder: Path, config: str, *, is_testing: bool = True) -> Path:
    """Write a home into `folder`; `is_testing` allows it a time scale."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "applicationHost.config").write_text(config)
    (folder / "run").mkdir(exist_ok=True)
    if is_testing:
        (folder / "run" / "testing").touch()
    return folder


def place_application(folder: Path, *sources: Path) -> Path:
    """Copy an application's files into `folder`, with a `data` folder anybody may write to."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    for source in sources:
        if source.is_dir():
            shutil.copytree(source, folder / source.name, dirs_exist_ok=True)
        else:
            shutil.copy(source, folder / source.name)
    data = folder / "data"
    data.mkdir(exist_ok=True)
    data.chmod(0o777)
    return folder


def _attributes(values: Mapping[str, str]) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in values.items())


def _data_folders(pool: Pool, sites: list[Site]) -> str:
    """What `place_application` made for an application to write to."""
    applications = (a for site in sites for a in site.applications if a.pool == pool.name)
    return ";".join(str(a.folder / "data") for a in applications)


def _pool_lines(pool: Pool, writable: str) -> list[str]:
    lines = [f"      <add name={quoteattr(pool.name)}{_attributes(pool.attributes)}>"]
    elements = {"isolation": {"writable": writable}, **pool.elements}
    lines += [f"        <{name}{_attributes(values)} />" for name, values in elements.items()]
    lines += [f"        {pool.inside}", "      </add>"] if pool.inside else ["      </add>"]
    return lines


def _site_lines(number: int, site: Site) -> list[str]:
    lines = [f'      <site name={quoteattr(site.name)} id="{number}">']
    for application in site.applications:
        lines += [
            f"        <application path={quoteattr(application.path)} "
            f"applicationPool={quoteattr(application.pool)}>",
            f'          <virtualDirectory path="/" '
            f"physicalPath={quoteattr(str(application.folder))} />",
            "        </application>",
        ]
    lines.append("        <bindings>")
    lines += [
        f'          <binding protocol="http" bindingInformation={quoteattr(binding)} />'
        for binding in site.bindings
    ]
    lines += ["        </bindings>", "      </site>"]
    return lines


def _location_lines(site: Site, application: Application) -> list[str]:
    if not application.handlers and not application.sections:
        return []
    path = site.name + ("" if application.path == "/" else application.path)
    lines = [f"  <location path={quoteattr(path)}>", "    <system.webServer>"]
    if application.handlers:
        lines += ["      <handlers>"]
        lines += [f"        {handler}" for handler in application.handlers]
        lines += ["      </handlers>"]
    if application.sections:
        lines.append(f"      {application.sections}")
    lines += ["    </system.webServer>", "  </location>"]
    return lines
