"""`was config show`: what is in force at a path, as a configuration file or with origins."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

import click

from was.cli.home import find_home, home_option
from was.errors import AdminError

if TYPE_CHECKING:
    from was.config.origins import Shown

__all__ = ["show_command"]

PREFIX = "MACHINE/WEBROOT/APPHOST"
DEFAULT = "default"


@click.command("show")
@click.argument("path", required=False, default="")
@click.option("--section", help="This section only, with all its defaults.")
@click.option("--origin", is_flag=True, help="Where each value comes from: level, file and line.")
@click.option("--json", "as_json", is_flag=True, help="One object; origins are always in it.")
@home_option
def show_command(path: str, section: str | None, origin: bool, as_json: bool) -> None:
    """Show what is in force, and where it comes from.

    PATH is a site, or Site/app/folder/file (default: the server).
    Without --section: every section that a file of yours speaks of, without the defaults.
    """
    from was.config.files import load_server

    home = find_home()
    loaded = load_server(home.config_file, home=home.path)
    if path.upper().startswith(PREFIX):
        path = path[len(PREFIX) :].lstrip("/")
    found = loaded.shown(path.strip("/"))
    if section is not None:
        chosen = _sections(found, section)
        if not chosen:
            is_above = bool(path) and bool(_sections(loaded.shown(""), section))
            raise AdminError(_why_none(found, section, is_above=is_above))
    else:
        chosen = {n: s for n, s in found.items() if _is_spoken_of(s)}
    if as_json:
        sections = {name: _as_json(shown) for name, shown in chosen.items()}
        click.echo(json.dumps({"path": path, "sections": sections}))
        return
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = _with_origins if origin else _as_xml
    for line in lines(chosen, everything=section is not None, columns=columns):
        click.echo(line)


def _sections(found: Mapping[str, Shown], section: str) -> dict[str, Shown]:
    """Those of this name: the whole one, else its last part."""
    wanted = section.lower()
    whole = {n: s for n, s in found.items() if n.lower() == wanted}
    return whole or {n: s for n, s in found.items() if n.lower().endswith("/" + wanted)}


def _why_none(found: Mapping[str, Shown], section: str, *, is_above: bool) -> str:
    """What is said of a name that no section has here."""
    text = f"there is no section '{section}' at this path"
    if is_above:
        return f"{text}: it is the whole server's, and shown without a path"
    holders = [name for name, shown in found.items() if _has_element(shown, section.lower())]
    if holders:
        return f"{text}; it is an element of {holders[0]}"
    from was.config.nearest import meant

    return text + meant(section, [*found, *(name.rpartition("/")[2] for name in found)])


def _has_element(shown: Shown, name: str) -> bool:
    return any(e.name.lower() == name or _has_element(e, name) for e in shown.elements)


def _is_spoken_of(shown: Shown) -> bool:
    """Whether another than the built-in level has said anything in it."""
    return (
        shown.has_file_items
        or any(v.origin is not None and v.origin.level != "built-in" for v in shown.attributes)
        or any(_is_spoken_of(element) for element in shown.elements)
        or any(_is_spoken_of(item) for item in shown.items)
    )


def _as_json(shown: Shown) -> dict[str, object]:
    return {
        "name": shown.name,
        "attributes": {
            value.name: {
                "value": value.text,
                "level": "schema" if value.origin is None else value.origin.level,
                "file": "" if value.origin is None else value.origin.file,
                "line": 0 if value.origin is None else value.origin.line,
            }
            for value in shown.attributes
        },
        "elements": {element.name: _as_json(element) for element in shown.elements},
        "items": [_as_json(item) for item in shown.items],
    }


def _with_origins(
    sections: Mapping[str, Shown], *, everything: bool, columns: int | None
) -> Iterator[str]:
    """A line a value; two where a terminal is too narrow for its columns."""
    found = [row for name, shown in sections.items() for row in _rows(shown, name)]
    rows = [row for row in found if everything or row[2] != DEFAULT]
    widths = [max((len(row[n]) for row in rows), default=0) for n in (0, 1)]
    lines = [f"{where:{widths[0]}}  {value:{widths[1]}}  {origin}" for where, value, origin in rows]
    if columns is None or max(map(len, lines), default=0) <= columns:
        yield from lines
        return
    for where, value, origin in rows:
        yield where
        yield f"    {value}  {origin}"


def _rows(shown: Shown, where: str) -> Iterator[tuple[str, str, str]]:
    for value in shown.attributes:
        if value.origin is None:
            origin = DEFAULT
        else:
            file = value.origin.file
            place = f"{file}:{value.origin.line}" if "/" in file else ""
            origin = f"{value.origin.level} {place}".rstrip()
        yield f"{where}/@{value.name}", value.text or '""', origin
    for element in shown.elements:
        yield from _rows(element, f"{where}/{element.name}")
    for item in shown.items:
        key = next((v.text for v in item.attributes if v.origin is not None), "")
        yield from _rows(item, f"{where}/{item.name}[{key}]")


def _as_xml(
    sections: Mapping[str, Shown], *, everything: bool, columns: int | None
) -> Iterator[str]:
    """A file with these sections, its tags broken where a terminal ends."""
    yield "<configuration>"
    depth: list[str] = []
    for name, shown in sorted(sections.items()):
        groups = name.split("/")[:-1]
        while depth != groups[: len(depth)]:
            yield "  " * len(depth) + f"</{depth.pop()}>"
        for group in groups[len(depth) :]:
            depth.append(group)
            yield "  " * len(depth) + f"<{group}>"
        yield from _element(shown, len(depth) + 1, everything, columns)
    while depth:
        yield "  " * len(depth) + f"</{depth.pop()}>"
    yield "</configuration>"


def _element(shown: Shown, depth: int, everything: bool, columns: int | None) -> Iterator[str]:
    wanted = [v for v in shown.attributes if v.origin is not None or (everything and v.text)]
    texts = [f"{value.name}={quoteattr(value.text)}" for value in wanted]
    inner = [e for e in shown.elements if everything or e.is_written]
    indent = "  " * depth
    if not (inner or shown.items or shown.clear):
        yield from _tag(f"{indent}<{shown.name}", texts, " />", columns)
        return
    yield from _tag(f"{indent}<{shown.name}", texts, ">", columns)
    for element in inner:
        yield from _element(element, depth + 1, everything, columns)
    if shown.clear:
        yield f"{indent}  <{shown.clear} />"
    for item in shown.items:
        yield from _element(item, depth + 1, everything, columns)
    yield f"{indent}</{shown.name}>"


def _tag(line: str, attributes: Iterable[str], end: str, columns: int | None) -> Iterator[str]:
    """One tag; what does not fit beside the others goes on below its name."""
    below = " " * (len(line) - len(line.lstrip()) + 4)
    for text in attributes:
        if columns is not None and len(f"{line} {text}{end}") > columns:
            yield line
            line = below + text
        else:
            line += f" {text}"
    yield line + end
