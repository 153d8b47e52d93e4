"""A changed file to its tree, by way of the tree of what it was: pure.

Of ten thousand sites one has another value. Then the tag around the change is parsed anew and takes
its place; all others stay the very same objects, by which later steps see that there is
nothing to do for them. Where that cannot be done so that every line and column is right, the
answer is None and the whole file must be parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from was.config.parse import MAX_DEPTH, Node, parse
from was.errors import ConfigErrors

__all__ = ["Reparsed", "reparse"]

# A change that concerns more than this part of the file is no small one.
_SMALL_PART = 4
_ENCODING = re.compile(rb"""\A(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*["']([^"']*)["']""")


class Reparsed:
    """`root` is the tree of the new file.

    The tags behind the change are those of the old tree. `settle` makes their offsets those of the
    new file: to be called when the old tree has no further use.
    """

    def __init__(self, root: Node, settle: Callable[[], None]) -> None:
        self.root = root
        self.settle = settle


def reparse(old: Node, before: bytes, after: bytes) -> Reparsed | None:
    """The tree of `after`, sharing with `old`, the tree of `before`, what did not change."""
    if before == after:
        return Reparsed(old, _nothing)
    first = _common_length(before, after)
    shortest = min(len(before), len(after)) - first
    behind = _common_length(before[::-1][:shortest], after[::-1][:shortest])
    last = len(before) - behind  # of the old file; the change is before[first:last]
    path = _path_around(old, before, first, last)
    if not path or not _is_utf8(before) or not _is_utf8(after):
        return None
    changed, delta = path[-1], len(after) - len(before)
    stop = after.find(b">", changed.end + delta) + 1
    if not _keeps_lines(before[first:last], after[first : len(after) - behind], after[stop:]):
        return None
    if stop - changed.start > len(after) // _SMALL_PART:
        return None
    try:
        fresh = parse(after[changed.start : stop], changed.file, encoding="utf-8")
    except ConfigErrors:
        return None  # the whole file says what is wrong, and where
    if _depth(fresh) + len(path) - 1 > MAX_DEPTH:
        return None
    _move(fresh, changed)
    root = _with(path, fresh)
    return Reparsed(root, lambda: _settle(path, root, delta))


def _nothing() -> None:
    """There is nothing to settle."""


def _common_length(one: bytes, other: bytes) -> int:
    """How many bytes the two begin with that are the same."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _path_around(root: Node, text: bytes, first: int, last: int) -> list[Node]:
    """From the root to the innermost tag that holds the change between its `<` and its `</`.

    Empty if there is none; the root alone is as good as none.
    """
    path: list[Node] = []
    node: Node | None = root
    while node is not None:
        path.append(node)
        around = (c for c in node.children if c.start < first and last <= c.end)
        node = next((c for c in around if text.startswith(f"</{c.name}".encode(), c.end)), None)
    return path if len(path) > 1 else []


def _is_utf8(data: bytes) -> bool:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:2] in (b"<\0", b"\0<"):
        return False
    declared = _ENCODING.match(data[:1000])
    return declared is None or declared[1].lower() in (b"utf-8", b"us-ascii")


def _keeps_lines(old: bytes, new: bytes, rest: bytes) -> bool:
    """Whether all tags behind the change keep their line and column."""
    if old.count(b"\n") != new.count(b"\n") or b"\r" in old or b"\r" in new:
        return False
    line, _, _ = rest.partition(b"\n")
    return b"<" not in line


def _depth(node: Node) -> int:
    return 1 + max((_depth(child) for child in node.children), default=0)


def _below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _below(child)


def _move(fresh: Node, place: Node) -> None:
    """From the positions in a piece of the file to those in the whole."""
    for node in _below(fresh):
        if node.line == 1:
            node.column += place.column - 1
        if node.text_line == 1:
            node.text_column += place.column - 1
        node.line += place.line - 1
        node.text_line += place.line - 1 if node.text_line else 0
        node.start += place.start
        node.end += place.start


def _with(path: list[Node], fresh: Node) -> Node:
    """The tree with `fresh` in the place of the last of `path`; those above are copies."""
    for node, old in zip(reversed(path[:-1]), reversed(path), strict=False):
        copy = Node(node.name, node.attributes, node.file, node.line, node.column, node.start)
        copy.end, copy.text_line, copy.text_column = node.end, node.text_line, node.text_column
        copy.children = [fresh if child is old else child for child in node.children]
        fresh = copy
    return fresh


def _settle(path: list[Node], root: Node, delta: int) -> None:
    """Move what lies behind the change; the copies above it end later."""
    if not delta:
        return
    node = root
    for old in path[1:]:
        node.end += delta
        is_behind = False
        inner = node
        for child in node.children:
            if is_behind:
                for one in _below(child):
                    one.start += delta
                    one.end += delta
            elif child.start == old.start:
                is_behind, inner = True, child
        node = inner
