"""scriptProcessor as a command line, and the query as arguments (RFC 3875, 4.4): pure.

/usr/bin/perl "%s" %s        the first %s is the script's file, the second the query's words
/usr/bin/perl|-T %s %s       the form of IIS's script maps: program|arguments
/usr/lib/git-core/git-http-backend      no %s: the program finds all in its environment
"""

from __future__ import annotations

import shlex
from urllib.parse import unquote_to_bytes

__all__ = ["Command", "parse_command", "query_words"]

PLACE = "%s"


class Command:
    """A command line with places for the script and the query's words."""

    __slots__ = ("_tokens",)

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._tokens = tokens

    @property
    def program(self) -> str:
        """The file that is executed."""
        return self._tokens[0]

    @property
    def needs_script(self) -> bool:
        """Whether the script's file is part of it."""
        return any(PLACE in token for token in self._tokens)

    def arguments(self, script: bytes, words: list[bytes]) -> list[bytes]:
        """The arguments, program first."""
        result: list[bytes] = []
        has_script = False
        for token in self._tokens:
            encoded = token.encode("utf-8", "surrogateescape")
            if PLACE not in token:
                result.append(encoded)
            elif not has_script:
                has_script = True
                result.append(encoded.replace(PLACE.encode(), script, 1))
            elif token == PLACE:
                result += words
            else:
                result.append(encoded.replace(PLACE.encode(), b" ".join(words), 1))
        return result


def parse_command(processor: str) -> Command:
    """A scriptProcessor as a command. Raises ValueError: a quote is open, or nothing is there."""
    program, bar, arguments = processor.partition("|")
    if bar:
        tokens = [program.strip().strip('"'), *shlex.split(arguments)]
    else:
        tokens = shlex.split(processor)
    if not tokens or not tokens[0]:
        raise ValueError("scriptProcessor names no program")
    return Command(tuple(tokens))


def query_words(method: str, query: str) -> list[bytes]:
    """The words of a query without "=", decoded; none for other queries and methods.

    None either where one of them can be no argument: it would have a NUL in it.
    """
    if method not in ("GET", "HEAD") or not query or "=" in query:
        return []
    words = [unquote_to_bytes(word) for word in query.split("+")]
    return [] if any(b"\0" in word for word in words) else words
