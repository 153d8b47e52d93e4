"""Substitutions as functions: {references} of rewrite rules, compiled once, run for a request.

In a URL two kinds of text meet: what was decoded (the rule's input, {URL}, what UrlDecode gives)
and what is a piece of a URL already ({QUERY_STRING}, a header, a map's value). The first is quoted
when it is put into a URL, so that a "?" or "%" of a path's name stays one and is not decoded twice;
of the second only what no URL may hold is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from urllib.parse import quote, unquote

from was.config.templates import BackReference, Call, Part, Template, Variable
from was.errors import WasError
from was.worker.url_text import tidy_url

__all__ = [
    "Expression",
    "Maps",
    "RewriteError",
    "RewriteMap",
    "Scope",
    "build_expression",
    "build_url",
    "quote_decoded",
]

_DECODED_VARIABLES = frozenset({"URL", "PATH_INFO", "SCRIPT_NAME", "REQUEST_FILENAME"})
_PATH_SAFE = "/-._~!$&'()*+,;=:@"


class RewriteError(WasError):
    """A rule cannot be carried out: 500.50 of its kind, with this text for who may see it."""


class Scope:
    """What references stand for while one rule runs.

    `rule` and `conditions` are the captures; `variable` answers for names.
    """

    __slots__ = ("conditions", "rule", "variable")

    def __init__(self, variable: Callable[[str], str]) -> None:
        self.variable = variable
        self.rule: tuple[str, ...] = ()
        self.conditions: tuple[str, ...] = ()


Expression = Callable[[Scope], str]


class RewriteMap:
    """One `rewriteMap`: a value for each key, another for all other keys."""

    def __init__(self, pairs: Mapping[str, str], default: str, ignore_case: bool) -> None:
        self._ignore_case = ignore_case
        self._pairs = {k.lower(): v for k, v in pairs.items()} if ignore_case else dict(pairs)
        self._default = default

    def find(self, key: str) -> str:
        """The value of a key."""
        return self._pairs.get(key.lower() if self._ignore_case else key, self._default)


Maps = Mapping[str, RewriteMap]


def build_expression(template: Template, maps: Maps) -> Expression:
    """The function that gives the text. Raises RewriteError for a map that is not there."""
    return _join([_compile(part, maps) for part in template])


def build_url(template: Template, maps: Maps) -> Expression:
    """The same where the text is a URL, or part of one."""
    return _join([_quoted(part, maps) for part in template])


def _join(steps: list[Expression]) -> Expression:
    if not steps:
        return lambda scope: ""
    if len(steps) == 1:
        return steps[0]
    return lambda scope: "".join([step(scope) for step in steps])


def _compile(part: Part, maps: Maps) -> Expression:
    if isinstance(part, str):
        text = part
        return lambda scope: text
    if isinstance(part, Variable):
        name = part.name
        return lambda scope: scope.variable(name)
    if isinstance(part, BackReference):
        return _captured(part.number, part.is_condition)
    argument = build_expression(part.argument, maps)
    function = _FUNCTIONS.get(part.name)
    if function is None:
        found = maps.get(part.name)
        if found is None:
            raise RewriteError(f"There is no rewrite map or function of the name '{part.name}'")
        function = found.find
    call = function
    return lambda scope: call(argument(scope))


def _captured(number: int, is_condition: bool) -> Expression:
    if is_condition:
        return lambda s: s.conditions[number] if number < len(s.conditions) else ""
    return lambda s: s.rule[number] if number < len(s.rule) else ""


def _quoted(part: Part, maps: Maps) -> Expression:
    plain = _compile(part, maps)
    if isinstance(part, str):
        text = tidy_url(part)
        return lambda scope: text
    if part == Variable("REQUEST_URI"):
        return lambda scope: _quote_uri(plain(scope))
    if _is_decoded(part):
        return lambda scope: quote_decoded(plain(scope))
    return lambda scope: tidy_url(plain(scope))


def _is_decoded(part: Part) -> bool:
    if isinstance(part, BackReference):
        return not part.is_condition
    if isinstance(part, Variable):
        return part.name in _DECODED_VARIABLES
    if isinstance(part, Call):
        if part.name == "tolower":
            return bool(part.argument) and all(_is_decoded(p) for p in part.argument)
        return part.name == "urldecode"
    return False


def quote_decoded(text: str) -> str:
    """Decoded text as part of a URL."""
    return quote(text.encode("utf-8", "surrogateescape"), safe=_PATH_SAFE)


def _quote_uri(text: str) -> str:
    path, mark, query = text.partition("?")
    return quote_decoded(path) + mark + tidy_url(query)


def _url_decode(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def _url_encode(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="")


_FUNCTIONS: dict[str, Callable[[str], str]] = {
    "tolower": str.lower,
    "urlencode": _url_encode,
    "urldecode": _url_decode,
    "htmlencode": escape,
}
