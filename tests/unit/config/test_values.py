"""Texts of attributes: types, ranges, enums, and what IIS says when they are wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.config.schema import AttributeSchema
from was.config.values import InvalidValueError, expand, parse_value


def attribute(kind, validation="", parameter="", choices=None):
    return AttributeSchema(
        name="x", type=kind, validation=validation, parameter=parameter, choices=choices or {}
    )


COLOURS = {"None": 0, "Red": 1, "Green": 2}


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (attribute("bool"), "True", True),
        (attribute("uint"), "4294967295", 4294967295),
        (attribute("int"), "-1", -1),
        (attribute("uint"), "0xff", 255),
        (attribute("timeSpan"), "00:01:30", 90.0),
        (attribute("timeSpan"), "1.05:00:00", 104400.0),
        (attribute("timeSpan"), "29:00:00", 104400.0),
        (attribute("enum", choices=COLOURS), "red", "Red"),
        (attribute("flags", choices=COLOURS), "Red, green", frozenset({"Red", "Green"})),
        (attribute("flags", choices=COLOURS), "None", frozenset()),
        (attribute("string"), "", ""),
        (attribute("uint", "integerRange", "0,1023,exclude"), "1024", 1024),
    ],
)
def test_values_are_typed(schema, text, value):
    """Enum and flag names and booleans ignore case; a timeSpan is seconds; hex is a number."""
    assert parse_value(schema, text) == value


@pytest.mark.parametrize(
    ("schema", "text", "message"),
    [
        (attribute("bool"), "1", "Boolean must be one of true, false"),
        (attribute("uint"), "-1", "Integer value must be between 0 and 4294967295 inclusive"),
        (attribute("uint"), "1_0", "'1_0' is not an integer"),
        (attribute("uint"), "٣", "'٣' is not an integer"),
        (attribute("uint"), "9" * 5000, f"'{'9' * 5000}' is not an integer"),
        (
            attribute("uint", "integerRange", "10,20"),
            "9",
            "Integer value must be between 10 and 20 inclusive",
        ),
        (
            attribute("uint", "integerRange", "0,1023,exclude"),
            "5",
            "Integer value must not be between 0 and 1023 inclusive",
        ),
        (attribute("enum", choices=COLOURS), "Blue", "Enum must be one of None, Red, Green"),
        (
            attribute("flags", choices=COLOURS),
            "Red,Blue",
            "Flags must be some combination of None, Red, Green",
        ),
        (
            attribute("timeSpan", "timeSpanRange", "0,86400,60"),
            "00:00:30",
            "Timespan value must be between 0 and 86400 seconds inclusive, "
            "with a granularity of 60 seconds",
        ),
        (
            attribute("timeSpan"),
            "9" * 5000 + ":00:00",
            f"'{'9' * 5000}:00:00' is not a time span of the form [d.]hh:mm:ss",
        ),
        (
            attribute("timeSpan"),
            "90",
            "'90' is not a time span of the form [d.]hh:mm:ss",
        ),
        (
            attribute("timeSpan"),
            "1.24:00:00",
            "'1.24:00:00' is not a time span of the form [d.]hh:mm:ss",
        ),
        (attribute("string", "nonEmptyString"), "", "String must not be empty"),
        (
            attribute("string", "environmentVariableName"),
            "A=B",
            "The name of an environment variable must not be empty or contain '='",
        ),
        (
            attribute("string", "siteName"),
            "a/b",
            "The site name must not be empty or contain '/' or '?'",
        ),
        (
            attribute("string", "applicationPath"),
            "/a/",
            "The application path must begin with '/' and must not end with '/'",
        ),
        (
            attribute("string", "virtualDirectoryPath"),
            "/a/../b",
            "The virtual directory path must not contain the segments '.' or '..'",
        ),
    ],
)
def test_wrong_values_are_refused_in_the_words_of_iis(schema, text, message):
    """Each rule of the schema has its message."""
    with pytest.raises(InvalidValueError) as caught:
        parse_value(schema, text)
    assert str(caught.value) == message


def test_a_pool_name_has_none_of_the_forbidden_characters():
    """The validator's list, one by one, and its length."""
    schema = attribute("string", "applicationPoolName")
    assert parse_value(schema, "my pool-1.x") == "my pool-1.x"
    for character in '|<>&\\"/[]+=;:,?*@':
        with pytest.raises(InvalidValueError):
            parse_value(schema, f"a{character}b")
    for name in ("", "x" * 65):
        with pytest.raises(InvalidValueError):
            parse_value(schema, name)


def test_variables_expand_and_unknown_ones_stay():
    """%NAME% of a variable that is set is replaced, once; the rest is left as written."""
    variables = {"HOME": "/h", "A": "%B%", "B": "b"}
    assert expand("%HOME%/x", variables) == "/h/x"
    assert expand("%home%/x", variables) == "/h/x"
    assert expand("%NO%/100%", variables) == "%NO%/100%"
    assert expand("%A%", variables) == "%B%"


@given(st.integers(0, 4_000_000))
def test_time_spans_read_back_what_they_say(seconds):
    """[d.]hh:mm:ss is days, hours, minutes and seconds."""
    days, rest = divmod(seconds, 86400)
    text = f"{days}.{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    assert parse_value(attribute("timeSpan"), text) == float(seconds)


@given(st.sampled_from(["bool", "uint", "int", "int64", "timeSpan", "enum", "flags"]), st.text())
def test_any_text_is_a_value_or_refused(kind, text):
    """No text makes a reader fail in another way."""
    try:
        parse_value(attribute(kind, choices=COLOURS), text)
        message = "fine"
    except InvalidValueError as error:
        message = str(error)
    assert message
