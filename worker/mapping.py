"""Handler mapping: which entry of `handlers` answers a request.

Entries are tried in order; the first whose preCondition, verb, path and resourceType fit wins.
Where the first entry fits everything (`path="*" verb="*"`, Unspecified), nothing is looked at.

Paths ignore case. A pattern without "/" is compared with the last segment (`*.cgi`, `app.py`;
`*.` = a name without a dot), one that begins with "/" with the whole path of the site, any other
with the path below the application. Where an entry allows path info, a pattern without "/" may
fit an earlier segment, and PATH_INFO is what follows it.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable

from was.config.model import Handler, RequireAccess, ResourceType

__all__ = ["HandlerMapper", "Match", "NoMatch", "ScriptMapInfo"]


class ScriptMapInfo:
    """IScriptMapInfo: one handler mapping as modules see it."""

    __slots__ = (
        "allow_path_info",
        "allowed_verbs",
        "handler",
        "is_star_script_map",
        "managed_type",
        "modules",
        "name",
        "path",
        "required_access",
        "resource_type",
        "response_buffer_limit",
        "script_processor",
    )

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.name = handler.name
        self.path = handler.path
        self.allowed_verbs = handler.verb
        self.modules = handler.modules
        self.script_processor = handler.script_processor
        self.managed_type = handler.type
        self.allow_path_info = handler.allow_path_info
        self.required_access: RequireAccess = handler.require_access
        self.resource_type: ResourceType = handler.resource_type
        self.response_buffer_limit = handler.response_buffer_limit
        self.is_star_script_map = handler.path.strip() == "*" and bool(handler.script_processor)


class Match:
    """An entry that fits, and where PATH_INFO begins in the path (-1: as the application says)."""

    __slots__ = ("path_info_at", "script_map")

    def __init__(self, script_map: ScriptMapInfo, path_info_at: int = -1) -> None:
        self.script_map = script_map
        self.path_info_at = path_info_at


class NoMatch:
    """Nothing fits: 404.4, or 404.0 where all that was missing was the file."""

    __slots__ = ("is_missing_file",)

    def __init__(self, is_missing_file: bool) -> None:
        self.is_missing_file = is_missing_file


# Where PATH_INFO begins for a path that fits, None for one that does not.
_Matcher = Callable[[str, int], int | None]


class HandlerMapper:
    """The handlers of one application; `prefix_length` is that of its path ("/" counts 0)."""

    def __init__(self, script_maps: tuple[ScriptMapInfo, ...], prefix_length: int) -> None:
        self._prefix_length = prefix_length
        self._entries = [
            (
                script_map,
                None if _is_any(script_map.allowed_verbs) else _split(script_map.allowed_verbs),
                _compile(script_map),
            )
            for script_map in script_maps
        ]
        self.always: Match | None = None
        if script_maps:
            first = script_maps[0]
            if (
                _is_any(first.allowed_verbs)
                and _is_any(first.path)
                and first.resource_type is ResourceType.UNSPECIFIED
            ):
                self.always = Match(first)

    def find(
        self,
        verb: str,
        path: str,
        resource_mode: Callable[[int], int],
        skipped: frozenset[str] | None = None,
    ) -> Match | NoMatch:
        """The entry for a request; `resource_mode` is asked only where a resourceType is set.

        It is asked for the whole path (-1), or for the part before PATH_INFO by its length. Entries
        whose names are among `skipped` are passed over.
        """
        if self.always is not None and not skipped:
            return self.always
        mode = -1
        is_missing_file = False
        for script_map, verbs, matcher in self._entries:
            if skipped and script_map.name in skipped:
                continue
            if verbs is not None and verb not in verbs:
                continue
            at = matcher(path, self._prefix_length)
            if at is None:
                continue
            wanted = script_map.resource_type
            if wanted is not ResourceType.UNSPECIFIED:
                if 0 <= at < len(path):
                    found = resource_mode(at)
                else:
                    if mode < 0:
                        mode = resource_mode(-1)
                    found = mode
                if not _is_there(wanted, found):
                    is_missing_file = is_missing_file or found == 0
                    continue
            return Match(script_map, at)
        return NoMatch(is_missing_file)


def _is_there(wanted: ResourceType, mode: int) -> bool:
    if mode == 0:
        return False
    if wanted is ResourceType.EITHER:
        return True
    return stat.S_ISDIR(mode) == (wanted is ResourceType.DIRECTORY)


def _is_any(text: str) -> bool:
    return "*" in _split(text)


def _split(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def _compile(script_map: ScriptMapInfo) -> _Matcher:
    if _is_any(script_map.path):
        return _match_all
    matchers = [
        _compile_pattern(pattern, script_map.allow_path_info)
        for pattern in sorted(_split(script_map.path))
    ]
    if len(matchers) == 1:
        return matchers[0]

    def match_first(path: str, prefix_length: int) -> int | None:
        for matcher in matchers:
            at = matcher(path, prefix_length)
            if at is not None:
                return at
        return None

    return match_first


def _match_all(path: str, prefix_length: int) -> int | None:
    return -1


def _compile_pattern(pattern: str, allow_path_info: bool) -> _Matcher:
    if "/" in pattern:
        return _compile_path(pattern)
    if pattern == "*.":
        is_named = re.compile(r"[^.]*").fullmatch
    else:
        is_named = re.compile(_regex(pattern), re.IGNORECASE | re.DOTALL).fullmatch

    def match_name(path: str, prefix_length: int) -> int | None:
        start = path.rfind("/") + 1
        if is_named(path, start):
            return len(path)
        if allow_path_info:
            start = prefix_length + 1
            end = path.find("/", start)
            while end >= 0:
                if is_named(path, start, end):
                    return end
                start, end = end + 1, path.find("/", end + 1)
        return None

    return match_name


def _compile_path(pattern: str) -> _Matcher:
    matches = re.compile(_regex(pattern), re.IGNORECASE | re.DOTALL).fullmatch
    is_absolute = pattern.startswith("/")

    def match_path(path: str, prefix_length: int) -> int | None:
        # Only an exact name says where the script ends: what "*" fits is the application's.
        if matches(path, 0 if is_absolute else prefix_length + 1):
            return -1 if "*" in pattern else len(path)
        return None

    return match_path


def _regex(pattern: str) -> str:
    return ".*".join(re.escape(part) for part in pattern.split("*"))
