"""One attribute's text to its value, by its schema; and the same way back for messages and files.

The texts of the complaints are IIS's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from was.config.schema import AttributeSchema, ElementSchema, SchemaValue

__all__ = [
    "MAX_PATH",
    "InvalidValueError",
    "expand",
    "fill_defaults",
    "format_value",
    "parse_value",
]

_TIME = re.compile(r"(?:(\d{1,10})\.)?(\d{1,10}):([0-5]?\d):([0-5]?\d)(?:\.(\d{1,7}))?\Z")
_INTEGER = re.compile(r"(-?[0-9]{1,20}|0[xX][0-9a-fA-F]{1,16})\Z")
_VARIABLE = re.compile(r"%([^%=]+)%")
_RANGES = {
    "uint": (0, 4294967295),
    "int": (-2147483648, 2147483647),
    "int64": (-(2**63), 2**63 - 1),
}
# What "Infinite" stands for, where an attribute allows it: the largest value of its type.
_INFINITE: dict[str, int | float] = {
    **{kind: high for kind, (_, high) in _RANGES.items()},
    "timeSpan": 922337203685.4775807,
}
MAX_PATH = 1024
_POOL_NAME = frozenset('|<>&\\"/[]+=;:,?*@')


class InvalidValueError(ValueError):
    """The text is no value of the attribute; the message says what it must be. Reader only."""


def parse_value(schema: AttributeSchema, text: str) -> SchemaValue:
    """The typed value of `text`, or InvalidValueError with IIS's wording."""
    kind = schema.type
    if schema.allow_infinite and text.lower() == "infinite" and kind in _INFINITE:
        return _INFINITE[kind]
    if kind == "string":
        value: SchemaValue = text
    elif kind == "bool":
        value = _bool(text)
    elif kind in _RANGES:
        value = _integer(kind, text)
    elif kind == "timeSpan":
        value = _time_span(schema, text)
    elif kind == "enum":
        value = _enum(schema, text)
    elif kind == "flags":
        value = _flags(schema, text)
    else:
        raise InvalidValueError(f"Unknown type '{kind}' in the schema")
    if schema.validation:
        _validate(schema, value)
    return value


def format_value(schema: AttributeSchema, value: SchemaValue) -> str:
    """`value` as a file says it: what parse_value takes back to the same value."""
    if schema.allow_infinite and value == _INFINITE.get(schema.type):
        return "Infinite"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, frozenset):
        names = [name for name in schema.choices if name in value]
        nothing = [name for name, bit in schema.choices.items() if not bit]
        return ", ".join(names or nothing)
    if isinstance(value, float):
        return _format_time_span(schema.time_format, value)
    if isinstance(value, int) and schema.display_hex:
        return f"0x{value:X}"
    return str(value)


def _format_time_span(time_format: str, value: float) -> str:
    if time_format != "string":
        return str(int(value // (60 if time_format == "minutes" else 1)))
    ticks = round(value * 10_000_000)
    seconds, fraction = divmod(ticks, 10_000_000)
    days, rest = divmod(seconds, 86400)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    text = f"{days}.{text}" if days else text
    return f"{text}.{fraction:07}" if fraction else text


def fill_defaults(elements: Iterable[ElementSchema]) -> None:
    """Type the defaults of `elements` and all below them, once, before anything is read."""
    for element in elements:
        if len(element.defaults) == len(element.attributes) and element.attributes:
            continue
        element.defaults = {n: _default(a) for n, a in element.attributes.items()}
        fill_defaults(element.elements.values())
        if element.collection is not None:
            fill_defaults([element.collection.item])


def _default(schema: AttributeSchema) -> SchemaValue:
    if schema.default:
        return parse_value(schema, schema.default)
    if schema.type in _RANGES:
        return 0
    if schema.type == "timeSpan":
        return 0.0
    if schema.type == "bool":
        return False
    return frozenset() if schema.type == "flags" else ""


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with %NAME% replaced; a name that is not set stays as it is, as on Windows.

    Names ignore case when they are not found as written.
    """
    if "%" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        found = variables.get(name)
        if found is None:
            found = variables.get(name.upper())
        return match[0] if found is None else found

    return _VARIABLE.sub(replace, text)


def _bool(text: str) -> bool:
    lowered = text.lower()
    if lowered not in ("true", "false"):
        raise InvalidValueError("Boolean must be one of true, false")
    return lowered == "true"


def _integer(kind: str, text: str) -> int:
    digits = text.strip()
    low, high = _RANGES[kind]
    # int() alone would take 1_000 and the digits of other scripts.
    if not _INTEGER.match(digits):
        raise InvalidValueError(f"'{text}' is not an integer")
    value = int(digits, 16) if "x" in digits.lower() else int(digits)
    if not low <= value <= high:
        raise InvalidValueError(f"Integer value must be between {low} and {high} inclusive")
    return value


def _time_span(schema: AttributeSchema, text: str) -> float:
    if schema.time_format != "string":
        unit = 60.0 if schema.time_format == "minutes" else 1.0
        return _integer("int64", text) * unit
    match = _TIME.match(text.strip())
    if match is None or not text.isascii():
        raise InvalidValueError(f"'{text}' is not a time span of the form [d.]hh:mm:ss")
    days, hours, minutes, seconds, fraction = match.groups()
    if days is not None and int(hours) > 23:
        raise InvalidValueError(f"'{text}' is not a time span of the form [d.]hh:mm:ss")
    whole = int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + float(f"0.{fraction or 0}")


def _enum(schema: AttributeSchema, text: str) -> str:
    if text in schema.choices:
        return text
    lowered = text.lower()
    for name in schema.choices:
        if name.lower() == lowered:
            return name
    raise InvalidValueError(f"Enum must be one of {', '.join(schema.choices)}")


def _flags(schema: AttributeSchema, text: str) -> frozenset[str]:
    names = {name.lower(): name for name in schema.choices}
    result: set[str] = set()
    for part in text.split(","):
        wanted = part.strip().lower()
        if not wanted:
            continue
        if wanted not in names:
            raise InvalidValueError(
                f"Flags must be some combination of {', '.join(schema.choices)}"
            )
        if schema.choices[names[wanted]]:
            result.add(names[wanted])
    return frozenset(result)


def _validate(schema: AttributeSchema, value: SchemaValue) -> None:
    kind = schema.validation
    if kind == "integerRange" and isinstance(value, int):
        _integer_range(schema.parameter, value)
    elif kind == "timeSpanRange" and isinstance(value, float):
        _time_span_range(schema.parameter, value)
    elif isinstance(value, str):
        problem = _text_problem(kind, value)
        if problem:
            raise InvalidValueError(problem)


def _integer_range(parameter: str, value: int) -> None:
    low, high, *mode = parameter.split(",")
    inside = int(low) <= value <= int(high)
    if mode and inside:
        raise InvalidValueError(f"Integer value must not be between {low} and {high} inclusive")
    if not mode and not inside:
        raise InvalidValueError(f"Integer value must be between {low} and {high} inclusive")


def _time_span_range(parameter: str, value: float) -> None:
    low, high, granularity, *mode = parameter.split(",")
    inside = int(low) <= value <= int(high)
    if inside == bool(mode) or value % int(granularity):
        words = "must not be" if mode else "must be"
        raise InvalidValueError(
            f"Timespan value {words} between {low} and {high} seconds inclusive, "
            f"with a granularity of {granularity} seconds"
        )


def _text_problem(kind: str, value: str) -> str:
    if kind == "nonEmptyString":
        return "" if value else "String must not be empty"
    if kind == "environmentVariableName":
        if value and "=" not in value:
            return ""
        return "The name of an environment variable must not be empty or contain '='"
    if kind == "requireTrimmedString":
        return "" if value == value.strip() else "String must not begin or end with white space"
    if kind == "applicationPoolName":
        if not value or len(value) > 64 or _POOL_NAME & set(value):
            return (
                "The application pool name must have 1 to 64 characters and none of "
                '| < > & \\ " / [ ] + = ; : , ? * @'
            )
        return ""
    if kind == "siteName":
        return (
            ""
            if value and not set("/?") & set(value)
            else ("The site name must not be empty or contain '/' or '?'")
        )
    if kind in ("applicationPath", "virtualDirectoryPath"):
        return _path_problem(kind, value)
    return f"Unknown validation '{kind}' in the schema"


def _path_problem(kind: str, value: str) -> str:
    word = "application" if kind == "applicationPath" else "virtual directory"
    if len(value) > MAX_PATH:
        return f"The {word} path must not be longer than {MAX_PATH} characters"
    if not value.startswith("/") or (value != "/" and value.endswith("/")):
        return f"The {word} path must begin with '/' and must not end with '/'"
    if "/." in value and any(segment in (".", "..") for segment in value.split("/")):
        return f"The {word} path must not contain the segments '.' or '..'"
    return ""
