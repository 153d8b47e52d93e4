"""Patterns of rewrite rules: ECMAScript expressions, wildcards and exact texts, as `re` objects.

ECMAScript's syntax is translated where `re` means something else by it:

    (?<name>…)  \\k<name>       written (?P<name>…), (?P=name)
    \\d \\w \\b and their opposites   of ASCII only
    $                          the very end, not before a last line feed
    .                          no carriage return either
    [] [^]                     nothing, anything
    a reference to a group that took no part: the empty text
    \\A \\Z \\z \\a and other letters without a meaning: themselves

What ECMAScript does not have (inline flags, atomic groups, possessive repeats) is refused. Pure.
"""

from __future__ import annotations

import re

__all__ = ["InvalidPatternError", "Pattern", "compile_pattern", "repeats_repeats"]

Pattern = re.Pattern[str]

_REPEAT = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")
_GROUP = re.compile(r"\((?:\?(?::|=|!|<=|<!|<([A-Za-z_$][\w$]*)>)|(?!\?))")
_NAMED_REFERENCE = re.compile(r"\\k<([A-Za-z_$][\w$]*)>")
_HEX = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})")
_NUMBER = re.compile(r"\\([1-9]\d?)")
_ASCII_SETS = {
    "d": r"(?a:\d)",
    "D": r"(?a:\D)",
    "w": r"(?a:\w)",
    "W": r"(?a:\W)",
    "b": r"(?a:\b)",
    "B": r"(?a:\B)",
}
_SAME = frozenset("fnrtvsS")


class InvalidPatternError(ValueError):
    """The text is no pattern of its syntax; says why."""


def compile_pattern(text: str, syntax: str, ignore_case: bool, *, part: bool = False) -> Pattern:
    """A pattern to `search` with. Raises InvalidPatternError.

    `syntax` is ECMAScript, Wildcard or ExactMatch. The last two fit a text as a whole, or any
    part of it with `part`.
    """
    flags = re.IGNORECASE if ignore_case else re.NOFLAG
    if syntax == "ECMAScript":
        source = _Translator(text).translate()
    elif syntax == "Wildcard":
        source = _wildcard(text)
        flags |= re.DOTALL
    else:
        source = re.escape(text)
    if syntax != "ECMAScript" and not part:
        source = rf"\A{source}\Z"
    try:
        return re.compile(source, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidPatternError(str(error)) from None


def repeats_repeats(text: str) -> bool:
    """Whether an ECMAScript pattern repeats a group that repeats something itself.

    Such a pattern may take time that doubles with each character of a text that does not fit.
    """
    translator = _Translator(text)
    translator.translate()
    return translator.is_nested


def _wildcard(text: str) -> str:
    """`*` is any text and a back-reference, `?` one character."""
    return "".join("(.*)" if c == "*" else "." if c == "?" else re.escape(c) for c in text)


class _Translator:
    """One pass over an expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._pieces: list[str] = []
        self._groups = 0  # opened so far
        self._names: dict[str, int] = {}
        # For each open group: its number (0: none), and whether something in it repeats for ever.
        self._open: list[tuple[int, bool]] = [(0, False)]
        self.is_nested = False

    def translate(self) -> str:
        """The expression as `re` wants it."""
        text = self._text
        while self._at < len(text):
            c = text[self._at]
            if c == "\\":
                self._escape()
            elif c == "[":
                self._class()
            elif c == "(":
                self._open_group()
            elif c == ")":
                self._close_group()
            elif c in "*+?{":
                self._repeat()
            else:
                self._pieces.append({"$": r"\Z", ".": r"[^\n\r]"}.get(c, c))
                self._at += 1
        if len(self._open) > 1:
            raise InvalidPatternError(f"a parenthesis is not closed in '{text}'")
        return "".join(self._pieces)

    def _take(self, piece: str, length: int) -> None:
        self._pieces.append(piece)
        self._at += length

    # ── groups and repeats ──────────────────────────────────────────────────────────────────────

    def _open_group(self) -> None:
        match = _GROUP.match(self._text, self._at)
        if match is None:
            raise InvalidPatternError(
                f"'{self._text[self._at : self._at + 3]}' begins no group of ECMAScript"
            )
        number = 0
        opening = match[0]
        if opening == "(" or match[1]:
            self._groups += 1
            number = self._groups
        if match[1]:
            name = match[1].replace("$", "_")
            if name in self._names:
                raise InvalidPatternError(f"two groups have the name '{match[1]}'")
            self._names[name] = number
            opening = f"(?P<{name}>"
        self._open.append((number, False))
        self._take(opening, len(match[0]))

    def _close_group(self) -> None:
        if len(self._open) == 1:
            raise InvalidPatternError(f"a parenthesis is closed that is not open in '{self._text}'")
        _, repeats = self._open.pop()
        self._take(")", 1)
        if repeats:
            match = _REPEAT.match(self._text, self._at)
            if match is not None and _is_endless(match[0]):
                self.is_nested = True
            self._note_repeat()

    def _note_repeat(self) -> None:
        number, _ = self._open[-1]
        self._open[-1] = (number, True)

    def _repeat(self) -> None:
        match = _REPEAT.match(self._text, self._at)
        if match is None:  # a brace that is one
            self._take(r"\{", 1)
            return
        if _is_endless(match[0]):
            self._note_repeat()
        self._take(match[0], len(match[0]))
        if self._text[self._at : self._at + 1] == "?":
            self._take("?", 1)
        if _REPEAT.match(self._text, self._at):
            raise InvalidPatternError(f"nothing to repeat at position {self._at}")

    # ── escapes ─────────────────────────────────────────────────────────────────────────────────

    def _escape(self) -> None:
        text, at = self._text, self._at
        following = text[at + 1 : at + 2]
        if not following:
            raise InvalidPatternError("the last character is a backslash")
        if following in _ASCII_SETS:
            self._take(_ASCII_SETS[following], 2)
        elif match := _NUMBER.match(text, at):
            self._reference(match)
        elif match := _NAMED_REFERENCE.match(text, at):
            name = match[1].replace("$", "_")
            if name not in self._names:
                raise InvalidPatternError(
                    f"there is no group '{match[1]}' before it is referred to"
                )
            self._take(self._taken(self._names[name]), len(match[0]))
        else:
            piece, length = self._character()
            self._take(piece, length)

    def _reference(self, match: re.Match[str]) -> None:
        number, length = int(match[1]), len(match[0])
        if number > self._groups and number > 9:
            number, length = int(match[1][0]), 2
        if number <= self._groups:
            self._take(self._taken(number), length)
        else:  # a group that comes later has taken no part
            self._take("(?:)", length)

    def _taken(self, number: int) -> str:
        """What a group took, or nothing; within the group itself it has taken nothing yet."""
        if any(number == open_group for open_group, _ in self._open):
            return "(?:)"
        return f"(?:(?({number})\\{number}|))"

    def _character(self) -> tuple[str, int]:
        """The escape of one character or of a set that both syntaxes have; and its length."""
        text, at = self._text, self._at
        following = text[at + 1 : at + 2]
        if match := _HEX.match(text, at):
            return match[0], len(match[0])
        if following in _SAME:
            return f"\\{following}", 2
        if following == "0":
            return r"\x00", 2
        if following == "c" and (letter := text[at + 2 : at + 3]).isascii() and letter.isalpha():
            return f"\\x{ord(letter) % 32:02x}", 3
        return re.escape(following), 2

    # ── classes ─────────────────────────────────────────────────────────────────────────────────

    def _class(self) -> None:
        text = self._text
        opening = "[^" if text.startswith("[^", self._at) else "["
        self._at += len(opening)
        members: list[str] = []
        is_of_ascii = False
        while not text.startswith("]", self._at):
            if self._at >= len(text):
                raise InvalidPatternError(f"a bracket is not closed in '{text}'")
            c = text[self._at]
            if c != "\\":
                members.append(f"\\{c}" if c in "[&|~" else c)
                self._at += 1
                continue
            following = text[self._at + 1 : self._at + 2]
            if following and following in "dDwW":
                is_of_ascii = True
                members.append(f"\\{following}")
                self._at += 2
            elif following == "b":
                members.append(r"\x08")
                self._at += 2
            elif not following:
                raise InvalidPatternError("the last character is a backslash")
            else:
                piece, length = self._character()
                members.append(piece)
                self._at += length
        self._at += 1
        self._pieces.append(_closed_class(opening, members, is_of_ascii))


def _closed_class(opening: str, members: list[str], is_of_ascii: bool) -> str:
    if not members:
        return r"[\s\S]" if opening == "[^" else "(?!)"
    # "--" would be a warning of `re`; a hyphen is a range or itself by its place in both.
    for number in range(1, len(members)):
        if members[number] == "-" and members[number - 1] == "-":
            members[number] = r"\-"
    # A set on one side of a hyphen makes that hyphen itself.
    for number, member in enumerate(members):
        beside = members[number - 1 : number] + members[number + 1 : number + 2]
        if member == "-" and any(b in _SETS for b in beside):
            members[number] = r"\-"
    whole = f"{opening}{''.join(members)}]"
    return f"(?a:{whole})" if is_of_ascii else whole


_SETS = frozenset({r"\d", r"\D", r"\w", r"\W", r"\s", r"\S"})


def _is_endless(repeat: str) -> bool:
    return repeat in ("*", "+") or repeat.endswith(",}")
