"""A file of configuration as pieces: each character of it is in one of them, so that what nobody
changes is written back as it was read. Pure.

Positions come from was.config.parse, so a document is well-formed XML. Attributes and the white
space between tags are cut out here, and only for files that are to be edited. What is added takes
its indentation, line ends, quotes and the form of empty tags from its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from was.config.parse import Node, parse
from was.errors import ConfigError, ConfigErrors

__all__ = ["Document", "Tag", "is_writable"]

_NAME = re.compile(rb"<[^\s/>]+")
_ATTRIBUTE = re.compile(rb"(\s+)([^\s=]+)(\s*=\s*)(?:\"([^\"]*)\"|'([^']*)')")
_CLOSING = re.compile(rb"\s*/?>")
_FOOT = re.compile(rb"</[^>]*>")
_BETWEEN = re.compile(r"<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>|[^<]+", re.DOTALL)
_LEAD = re.compile(r"(?:\r\n|\n|\r)?[ \t]*\Z")
_LINE_END = re.compile(r"\r\n|\n|\r")
_DECLARED = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)
_QUOTES = {'"': "&quot;", "'": "&apos;"}
_MARKS = (
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
    (b"\xef\xbb\xbf", "utf-8"),
)


def is_writable(value: str) -> bool:
    """Whether an XML file can hold `value` as an attribute at all."""
    return _NOT_XML.search(value) is None


class _Attribute:
    """One attribute as written: white space before it, name, equals sign, quoted text."""

    __slots__ = ("equals", "name", "quote", "raw", "space", "value")

    def __init__(
        self, space: str, name: str, equals: str, quote: str, raw: str, value: str
    ) -> None:
        self.space = space
        self.name = name
        self.equals = equals
        self.quote = quote
        self.raw = raw
        self.value = value

    def text(self) -> str:
        return f"{self.space}{self.name}{self.equals}{self.quote}{self.raw}{self.quote}"


class Tag:
    """One element.

    `lead` is the white space that was added with it (None: the file had it), `is_created` tells
    that it may go when nothing is left in it.
    """

    __slots__ = (
        "_attributes",
        "_closing",
        "_content",
        "_empty_form",
        "_foot",
        "_style",
        "is_created",
        "lead",
        "name",
        "parent",
    )

    def __init__(self, name: str, parent: Tag | None, style: Style, closing: str) -> None:
        self.name = name
        self.parent = parent
        self.lead: str | None = None
        self.is_created = False
        self._style = style
        self._attributes: list[_Attribute] = []
        self._closing = closing
        self._content: list[str | Tag] = []
        self._foot = ""
        self._empty_form: tuple[str, list[str | Tag], str] | None = None

    @classmethod
    def cut(cls, node: Node, source: bytes, parent: Tag | None, style: Style) -> tuple[Tag, int]:
        """The element that `node` is in `source` (UTF-8), and where it ends."""
        start = _NAME.match(source, node.start)
        at = node.start if start is None else start.end()
        attributes: list[_Attribute] = []
        while found := _ATTRIBUTE.match(source, at):
            at = found.end()
            attributes.append(_attribute(found, node.attributes))
        closing = _CLOSING.match(source, at)
        # The parser has been here before: there is no start tag that ends otherwise.
        tag = cls(node.name, parent, style, "" if closing is None else closing[0].decode())
        tag._attributes = attributes
        at += len(tag._closing)
        if tag._closing.endswith("/>"):
            return tag, at
        for child in node.children:
            tag._content += _BETWEEN.findall(source[at : child.start].decode())
            below, at = cls.cut(child, source, tag, style)
            tag._content.append(below)
        tag._content += _BETWEEN.findall(source[at : node.end].decode())
        foot = _FOOT.match(source, node.end)
        tag._foot = "" if foot is None else foot[0].decode()
        return tag, node.end + len(tag._foot.encode())

    @property
    def children(self) -> list[Tag]:
        """The elements in this one."""
        return [piece for piece in self._content if isinstance(piece, Tag)]

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes, with their values as a reader gets them."""
        return {a.name: a.value for a in self._attributes}

    def text(self) -> str:
        """The whole element as it is to stand in the file."""
        parts: list[str] = []
        self.write(parts)
        return "".join(parts)

    def write(self, parts: list[str]) -> None:
        """Add the element's text to `parts`."""
        parts.append(f"{self.lead or ''}<{self.name}")
        parts.extend([a.text() for a in self._attributes])
        parts.append(self._closing)
        for piece in self._content:
            if isinstance(piece, str):
                parts.append(piece)
            else:
                piece.write(parts)
        parts.append(self._foot)

    # ── attributes ──────────────────────────────────────────────────────────────────────────────

    def set(self, name: str, value: str) -> None:
        """Give an attribute a value; a new one comes last."""
        for attribute in self._attributes:
            if attribute.name == name:
                if attribute.value != value:
                    attribute.raw = _escaped(value, attribute.quote)
                    attribute.value = value
                return
        if self._attributes:
            last = self._attributes[-1]
            space, quote = last.space, last.quote
        else:
            space, quote = " ", '"'
        raw = _escaped(value, quote)
        self._attributes.append(_Attribute(space, name, "=", quote, raw, value))

    def reset(self, name: str) -> bool:
        """Remove an attribute; False if it is not there."""
        before = len(self._attributes)
        self._attributes = [a for a in self._attributes if a.name != name]
        return len(self._attributes) < before

    # ── elements ────────────────────────────────────────────────────────────────────────────────

    def insert(self, name: str, attributes: Mapping[str, str], index: int | None = None) -> Tag:
        """A new element, before the child with that number or as the last one."""
        children = self.children
        new = Tag(name, self, self._style, self._empty_closing())
        for key, value in attributes.items():
            new.set(key, value)
        if not children:
            self._insert_first(new)
        elif index is None or index >= len(children):
            self._insert_after(children[-1], new)
        elif index > 0:
            self._insert_after(children[index - 1], new)
        else:
            new.lead = self._lead_of(children[0])
            self._content.insert(self._end_of_line(0), new)
        return new

    def remove(self, child: Tag) -> None:
        """Take an element out, with the line that was its own."""
        at = self._content.index(child)
        del self._content[at]
        if child.lead is None:
            self._close_gap(at)
        if self._empty_form is not None and not self.children:
            self._closing, self._content, self._foot = self._empty_form
            self._empty_form = None

    def prune(self) -> None:
        """Remove this element if it was created, and is empty now; then those above it."""
        above = self.parent
        has_text = self._attributes and self.name != "location"
        if self.is_created and above is not None and not self._content and not has_text:
            above.remove(self)
            above.prune()

    def _insert_after(self, sibling: Tag, new: Tag) -> None:
        new.lead = self._lead_of(sibling)
        self._content.insert(self._end_of_line(self._content.index(sibling) + 1), new)

    def _insert_first(self, new: Tag) -> None:
        line_end, indent = self._style.line_end, self._indent()
        new.lead = f"{line_end}{indent}{self._style.unit}" if line_end else ""
        last = self._content[-1] if self._content else ""
        tail = _LEAD.search(last) if isinstance(last, str) and last.isspace() else None
        if isinstance(last, str) and tail is not None and _LINE_END.match(tail[0]):
            # The line of the end tag is there already.
            head = last[: tail.start()]
            self._content[-1:] = [head, new, tail[0]] if head else [new, tail[0]]
            return
        self._empty_form = (self._closing, list(self._content), self._foot)
        if not self._foot:
            self._closing, self._foot = ">", f"</{self.name}>"
        self._content.append(new)
        if line_end:
            self._content.append(line_end + indent)

    def _end_of_line(self, at: int) -> int:
        """The place at or after `at` where a line ends: what else stands in it belongs to it."""
        for index in range(at, len(self._content)):
            piece = self._content[index]
            if isinstance(piece, Tag):
                return at
            if piece.isspace():
                end = _LINE_END.search(piece)
                if end is not None:
                    if end.start() == 0:
                        return index
                    self._content[index : index + 1] = [piece[: end.start()], piece[end.start() :]]
                    return index + 1
        return at

    def _close_gap(self, at: int) -> None:
        """Remove what is left of the line whose only tag stood before `at`."""
        rest = self._end_of_line(at)
        shares_line = any(isinstance(p, str) and not p.isspace() for p in self._content[at:rest])
        if shares_line:
            following = self._content[at]
            if isinstance(following, str) and following.isspace():
                self._content[at] = following.lstrip(" \t")
        elif at:
            before = self._content[at - 1]
            if isinstance(before, str) and before.isspace():
                self._content[at - 1] = _LEAD.sub("", before, count=1)

    def _lead_of(self, child: Tag) -> str:
        if child.lead is not None:
            return child.lead
        at = self._content.index(child)
        before = self._content[at - 1] if at else ""
        if not isinstance(before, str) or not before.isspace():
            return ""
        found = _LEAD.search(before)
        return "" if found is None else found[0]

    def _indent(self) -> str:
        if self.parent is None:
            return ""
        lead = self.parent._lead_of(self)
        end = _LINE_END.match(lead)
        return self.parent._indent() if end is None else lead[end.end() :]

    def _empty_closing(self) -> str:
        for child in self.children:
            if not child._foot and not _LINE_END.search(child._closing):
                return child._closing
        return self._style.empty_closing


class Style:
    """How a file is written where no neighbour tells."""

    def __init__(self, source: str) -> None:
        end = _LINE_END.search(source)
        self.line_end = "" if end is None else end[0]
        tag = re.search(r"(\s?)/>", source)
        self.empty_closing = " />" if tag is None or tag[1] else "/>"
        indented = re.search(r"<configuration[^>]*>\s*?[\r\n]([ \t]+)<", source)
        self.unit = "  " if indented is None else indented[1]
        if not self.line_end:
            self.unit = ""


class Document:
    """One file: `root`, what stands before and after it, and its encoding."""

    def __init__(self, data: bytes, file: str) -> None:
        """Cut `data` up; ConfigErrors if it is no well-formed XML, or of a strange encoding."""
        node = parse(data, file)
        self.file = file
        self._encoding = _encoding(data)
        text = self._decoded(data)
        source = text.encode()
        if source != data:
            node = parse(source, file, encoding="utf-8")
        self.root, stop = Tag.cut(node, source, None, Style(text))
        self._before = source[: node.start].decode()
        self._after = source[stop:].decode()

    def to_bytes(self) -> bytes:
        """The file; what its encoding cannot hold is written as a character reference."""
        text = self._before + self.root.text() + self._after
        return text.encode(self._encoding, "xmlcharrefreplace")

    def _decoded(self, data: bytes) -> str:
        try:
            text = data.decode(self._encoding)
            is_same = text.encode(self._encoding) == data
        except (LookupError, ValueError):
            text, is_same = "", False
        if not is_same:
            message = f"A file of the encoding '{self._encoding}' cannot be edited"
            raise ConfigErrors([ConfigError(message, file=self.file, line=1, column=1)])
        return text


def _encoding(data: bytes) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    declared = _DECLARED.match(data)
    return "utf-8" if declared is None else declared[1].decode()


def _attribute(found: re.Match[bytes], values: Mapping[str, str]) -> _Attribute:
    space, name, equals, double, single = found.groups()
    quote, raw = ("'", single) if double is None else ('"', double)
    key = name.decode()
    return _Attribute(space.decode(), key, equals.decode(), quote, raw.decode(), values[key])


def _escaped(value: str, quote: str) -> str:
    return value.translate(_ESCAPES).replace(quote, _QUOTES[quote])
