"""The text of a binding."""

import pytest

from was.config.bindings import InvalidBindingError, parse_binding_information


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("*:8080:", ("", 8080, "")),
        (":80:", ("", 80, "")),
        ("127.0.0.1:8080:Example.COM", ("127.0.0.1", 8080, "example.com")),
        ("[::1]:8080:", ("::1", 8080, "")),
        ("[0:0::1]:80:x", ("::1", 80, "x")),
        ("*:0:", ("", 0, "")),
        ("*:80:*.example.com", ("", 80, "*.example.com")),
        ("*:80:bücher.example", ("", 80, "xn--bcher-kva.example")),
    ],
)
def test_bindings_have_three_parts(text, parts):
    """Address, port and host; * is every address, hosts are lower case, port 0 any free port."""
    assert parse_binding_information(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        "*:8080",
        "*:x:",
        "*:65536:",
        "*:-1:",
        "*:" + "1" * 5000 + ":",
        "*::",
        "256.1.1.1:80:",
        "1.2.3:80:",
        "01.2.3.4:80:",
        "[::1:80:",
        "[::1]80:",
        "[x]:80:",
        "::1:80:",
        "*:80:a b",
        "*:80:a/b",
        "*:80:*.",
        "*:80:x..y",
        "*:80:ü..x",
        "*:80:" + "ü" * 80,
        "host.example:80:",
    ],
)
def test_what_is_no_binding_is_refused(text):
    """Nothing is guessed: each part must be what it has to be."""
    with pytest.raises(InvalidBindingError):
        parse_binding_information(text)
