"""XML text to a tree that remembers where every tag stands.

pyexpat gives line, column and byte offset of each tag; nothing here looks at what a tag means.
Document type declarations are refused outright, and with them entities and everything that
entities were ever abused for. What a file can cost is bounded: nesting, so that a tree can be
walked recursively; its size, the number of its tags and the length of one tag, so that a file that
somebody else wrote takes neither the memory nor the minutes of the process that reads it.
"""

from __future__ import annotations

from pyexpat import ErrorString, ExpatError, ParserCreate
from pyexpat.errors import XML_ERROR_NO_ELEMENTS, XML_ERROR_TAG_MISMATCH

from was.errors import ConfigError, ConfigErrors

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_TAGS", "MAX_TAG_BYTES", "Node", "parse", "too_large"]

MAX_DEPTH = 64
MAX_BYTES = 32 << 20
MAX_TAGS = 500_000
# A tag or a comment is held as a whole; expat keeps a record of each attribute of it.
MAX_TAG_BYTES = 4 << 20
_PIECE = 1 << 20


class Node:
    """One tag: name, attributes as written, children, and its place in the file.

    `reading` is for who reads the tag: what it has made of it, to be found there again. `start` is
    the byte offset of its `<`, `end` that of the `<` of its end tag (for an empty tag
    `end` equals `start`). `text_line` is the line of the first text that is not white space, 0
    if there is none; `text_column` belongs to it.
    """

    __slots__ = (
        "attributes",
        "children",
        "column",
        "end",
        "file",
        "line",
        "name",
        "reading",
        "start",
        "text_column",
        "text_line",
    )

    def __init__(
        self, name: str, attributes: dict[str, str], file: str, line: int, column: int, start: int
    ) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Node] = []
        self.file = file
        self.line = line
        self.column = column
        self.start = start
        self.end = start
        self.text_line = 0
        self.text_column = 0
        self.reading: object = None


class _Builder:
    """The handlers of one parse: a stack of open tags."""

    def __init__(self, file: str, encoding: str | None) -> None:
        self.file = file
        self.parser = parser = ParserCreate(encoding)
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text
        parser.StartDoctypeDeclHandler = self.doctype
        self.root: Node | None = None
        self.open: list[Node] = []
        self.tags = 0
        self.has_seen_text = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        parser, stack = self.parser, self.open
        node = Node(
            name,
            attributes,
            self.file,
            parser.CurrentLineNumber,
            parser.CurrentColumnNumber + 1,
            parser.CurrentByteIndex,
        )
        if not stack:
            self.root = node
        elif len(stack) >= MAX_DEPTH:
            raise self.error(f"Elements are nested more than {MAX_DEPTH} deep")
        else:
            stack[-1].children.append(node)
        self.tags += 1
        if self.tags > MAX_TAGS:
            raise self.error(f"Configuration file has more than {MAX_TAGS} tags")
        stack.append(node)
        if self.has_seen_text:
            self.listen()

    def end(self, name: str) -> None:
        self.open.pop().end = self.parser.CurrentByteIndex
        if self.has_seen_text:
            self.listen()

    def listen(self) -> None:
        self.has_seen_text = False
        self.parser.CharacterDataHandler = self.text

    def text(self, data: str) -> None:
        if not data.isspace():
            node = self.open[-1]
            if not node.text_line:
                node.text_line = self.parser.CurrentLineNumber
                indent = len(data) - len(data.lstrip())
                node.text_column = self.parser.CurrentColumnNumber + 1 + indent
            # Expat hands over each line by itself; the rest of them say nothing new.
            self.has_seen_text = True
            self.parser.CharacterDataHandler = None

    def doctype(self, *declaration: object) -> None:
        raise self.error("Document type declarations and entities are not accepted")

    def read(self, data: bytes) -> None:
        """Parse piece by piece, to notice a tag that does not end."""
        parser = self.parser
        parsed = 0
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            parser.Parse(piece, False)
            # Where the tag begins that is not complete yet; -1 if expat has not looked again.
            parsed = max(parsed, parser.CurrentByteIndex)
            if at + len(piece) - parsed > MAX_TAG_BYTES:
                raise self.error(f"A tag or a comment is longer than {MAX_TAG_BYTES} bytes")
        parser.Parse(b"", True)

    def close(self) -> None:
        """Part from the parser: the two hold each other, and the tree with them."""
        parser = self.parser
        parser.StartElementHandler = parser.EndElementHandler = None
        parser.CharacterDataHandler = parser.StartDoctypeDeclHandler = None

    def error(self, message: str) -> ConfigErrors:
        parser = self.parser
        return _errors(message, self.file, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)


def _errors(message: str, file: str, line: int, column: int) -> ConfigErrors:
    return ConfigErrors([ConfigError(message, file=file, line=line, column=column)])


def too_large(file: str, limit: int) -> ConfigErrors:
    """What to raise for a file of more than `limit` bytes."""
    text = "Cannot read configuration file because it exceeds the maximum file size"
    return _errors(f"{text} of {limit} bytes", file, 1, 1)


def _foreign(data: bytes, line: int) -> str:
    """Which byte of the line an editor has not saved as the UTF-8 that the file is to be in."""
    declared = data[: data.find(b"?>") + 1].lower()
    if b"encoding" in declared and b"utf-8" not in declared:
        return ""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if data.count(b"\n", 0, error.start) + 1 == line:
            return (
                f": byte 0x{data[error.start]:02x} is no UTF-8, and no other encoding is declared"
            )
    return ""


def parse(data: bytes, file: str, *, encoding: str | None = None) -> Node:
    """The root tag of `data`; ConfigErrors with one error, line and column, if it is no XML.

    `encoding` is that of `data`, whatever it says itself; by default what it says.
    """
    if len(data) > MAX_BYTES:
        raise too_large(file, MAX_BYTES)
    builder = _Builder(file, encoding)
    try:
        builder.read(data)
    except ExpatError as error:
        reason = ErrorString(error.code)
        if builder.open and reason in (XML_ERROR_TAG_MISMATCH, XML_ERROR_NO_ELEMENTS):
            left = builder.open[-1]
            reason = f"<{left.name}> of line {left.line} has no end tag ({reason})"
        text = f"Configuration file is not well-formed XML: {reason}{_foreign(data, error.lineno)}"
        raise _errors(text, file, error.lineno, error.offset + 1) from None
    except (LookupError, ValueError) as error:
        # An encoding name that Python does not know, or one of several bytes a character.
        raise builder.error(f"Configuration file is not well-formed XML: {error}") from None
    finally:
        builder.close()
    if builder.root is None:
        raise _errors("Configuration file is not well-formed XML: no element", file, 1, 1)
    return builder.root
