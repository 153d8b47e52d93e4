"""XML text to a tree that remembers where every tag stands.

pyexpat gives line, column and byte offset of each tag; nothing here looks at what a tag means.
Document type declarations are refused outright, and with them entities and everything that
entities were ever abused for; nesting is bounded so that a tree can be walked recursively.
"""

from __future__ import annotations

from pyexpat import ErrorString, ExpatError, ParserCreate

from was.errors import ConfigError, ConfigErrors

__all__ = ["MAX_DEPTH", "Node", "parse"]

MAX_DEPTH = 64


class Node:
    """One tag: name, attributes as written, children, and its place in the file.

    `start` is the byte offset of its `<`, `end` that of the `<` of its end tag (for an empty tag
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
        stack.append(node)

    def end(self, name: str) -> None:
        self.open.pop().end = self.parser.CurrentByteIndex

    def text(self, data: str) -> None:
        if not data.isspace():
            node = self.open[-1]
            if not node.text_line:
                node.text_line = self.parser.CurrentLineNumber
                indent = len(data) - len(data.lstrip())
                node.text_column = self.parser.CurrentColumnNumber + 1 + indent

    def doctype(self, *declaration: object) -> None:
        raise self.error("Document type declarations and entities are not accepted")

    def error(self, message: str) -> ConfigErrors:
        parser = self.parser
        return _errors(message, self.file, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)


def _errors(message: str, file: str, line: int, column: int) -> ConfigErrors:
    return ConfigErrors([ConfigError(message, file=file, line=line, column=column)])


def parse(data: bytes, file: str, *, encoding: str | None = None) -> Node:
    """The root tag of `data`; ConfigErrors with one error, line and column, if it is no XML.

    `encoding` is that of `data`, whatever it says itself; by default what it says.
    """
    builder = _Builder(file, encoding)
    try:
        builder.parser.Parse(data, True)
    except ExpatError as error:
        reason = ErrorString(error.code)
        text = f"Configuration file is not well-formed XML: {reason}"
        raise _errors(text, file, error.lineno, error.offset + 1) from None
    except (LookupError, ValueError) as error:
        # An encoding name that Python does not know, or one of several bytes a character.
        raise builder.error(f"Configuration file is not well-formed XML: {error}") from None
    if builder.root is None:
        raise _errors("Configuration file is not well-formed XML: no element", file, 1, 1)
    return builder.root
