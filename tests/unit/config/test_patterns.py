"""Patterns and substitutions of rewrite rules: what ECMAScript means, said to `re`."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.config.patterns import InvalidPatternError, compile_pattern, repeats_repeats
from was.config.templates import (
    BackReference,
    Call,
    InvalidTemplateError,
    Variable,
    parse_template,
)


def search(pattern, text, *, syntax="ECMAScript", ignore_case=True, part=False):
    match = compile_pattern(pattern, syntax, ignore_case, part=part).search(text)
    return None if match is None else (match[0], *match.groups(""))


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^(?<year>\d+)-\k<year>$", "12-12", ("12-12", "12")),
        (r"^x$", "x\n", None),
        (r"a.b", "a\rb", None),
        (r"^[\w-]+$", "é", None),
        (r"^[^\W]+$", "é", None),
        (r"^\d$", "\N{ARABIC-INDIC DIGIT TWO}", None),
        (r"\bé", "é", None),
        (r"^[\w-.]+$", "a-.b", ("a-.b",)),
        (r"^[--x]", "-", ("-",)),
        (r"^[a&&b||c~~]+$", "a&|~", ("a&|~",)),
        (r"^(a)?b\1$", "b", ("b", "")),
        (r"^(?:(a)|b)\1$", "b", ("b", "")),
        (r"^\2(a)(b)$", "ab", ("ab", "a", "b")),
        (r"^(a\1)$", "a", ("a", "a")),
        (r"a{", "a{", ("a{",)),
        (r"a{,2}", "a{,2}", ("a{,2}",)),
        (r"a{2}", "aa", ("aa",)),
        (r"[[]", "[", ("[",)),
        (r"^[]", "", None),
        (r"[^]", "\n", ("\n",)),
        (r"\/wp\-admin", "/WP-Admin", ("/WP-Admin",)),
        (r"\x41\u0042\cJ\0", "AB\n\0", ("AB\n\0",)),
        (r"\A\Z\y", "AZy", ("AZy",)),
        (r"(?=a)a(?!c)(?<=a)b(?<!c)", "ab", ("ab",)),
        (r"^(.*?)/?$", "a/", ("a/", "a")),
        (r"a|b", "xb", ("b",)),
    ],
)
def test_ecmascript(pattern, text, found):
    """A pattern finds what ECMAScript would find, not what Python would."""
    assert search(pattern, text) == found


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "[a", "a**", "a++", "*", "(?i)a", "(?>a)", "(?#a)", "(?P<n>a)", "\\", r"\k<n>",
     "(?<n>a)(?<n>b)", "a{2,1}", "[b-a]", "[\\", "(?<=a*)b"],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern):
    """Whatever cannot be matched as ECMAScript would is an error of the configuration."""
    with pytest.raises(InvalidPatternError):
        compile_pattern(pattern, "ECMAScript", True)


@given(st.text(max_size=30))
def test_no_text_breaks_the_translation(text):
    """Any text is a pattern or an InvalidPatternError, without a warning of `re`."""
    with suppress(InvalidPatternError):
        compile_pattern(text, "ECMAScript", True)


@given(st.text(alphabet="abc/.-_0123456789", max_size=20), st.text(max_size=10))
def test_plain_texts_are_themselves(text, before):
    """Quoted for ECMAScript, a text is found where it is."""
    assert search(re.sub(r"([^\w])", r"\\\1", text, flags=re.ASCII), before + text) is not None


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("*/*.html", "contoso/test.html", ("contoso/test.html", "contoso", "test")),
        ("a?c", "aBc", ("aBc",)),
        ("a*", "xa", None),
        ("(a)", "(a)", ("(a)",)),
    ],
)
def test_wildcards(pattern, text, found):
    """A star is a back-reference, a question mark one character; the whole text must fit."""
    assert search(pattern, text, syntax="Wildcard") == found


def test_exact_match():
    """A text fits itself alone, or as a part of one where a part is asked for."""
    assert search("a.b", "A.B", syntax="ExactMatch") == ("A.B",)
    assert search("a.b", "A.B", syntax="ExactMatch", ignore_case=False) is None
    assert search("a.b", "xa.b", syntax="ExactMatch") is None
    assert search("a.b", "xa.bx", syntax="ExactMatch", part=True) == ("a.b",)


@pytest.mark.parametrize(
    ("pattern", "is_nested"),
    [("(a+)+", True), ("^(?:a|b*)*$", True), ("((a+)b)+", True), ("([^/]+/)?x", False),
     ("^(.*)/(.*)$", False), ("(a+){2}", False), ("(a{2,}){3,}", True)],
)  # fmt: skip
def test_repeats_within_repeats_are_known(pattern, is_nested):
    """A group that is repeated and repeats something itself is what takes exponential time."""
    assert repeats_repeats(pattern) is is_nested


def test_references():
    """All kinds of references, nested, with literal text between."""
    found = parse_template("a{R:1}{ToLower:{C:2}x}{http_host}\\{q\\}{My Map:{R:0}}")
    assert found == (
        "a",
        BackReference(1, False),
        Call("tolower", (BackReference(2, True), "x")),
        Variable("HTTP_HOST"),
        "{q}",
        Call("my map", (BackReference(0, False),)),
    )


@pytest.mark.parametrize("text", ["{", "}", "{R:1", "{R:x}}", "{}", "{a b}", "{ToLower:{R:1}"])
def test_what_is_no_substitution_is_refused(text):
    """A brace that belongs to nothing is an error of the configuration."""
    with pytest.raises(InvalidTemplateError):
        parse_template(text)


@given(st.text(alphabet="{}RC:1ab\\", max_size=20))
def test_no_text_breaks_the_parser(text):
    """Any text is a substitution or an InvalidTemplateError."""
    with suppress(InvalidTemplateError):
        parse_template(text)
