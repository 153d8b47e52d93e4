"""The text of a binding."""

import pytest

from was.config.bindings import InvalidBindingError, binding_prefix, parse_binding_information


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
    ("text", "prefix"),
    [
        ("*:80:", "http://*:80/"),
        ("*:80:WWW.x.com", "http://www.x.com:80/"),
        ("192.0.2.1:80:", "http://192.0.2.1:80/"),
        ("192.0.2.1:80:a", "http://a:80:192.0.2.1/"),
        ("[0::1]:80:", "http://[::1]:80/"),
        ("[::ffff:192.0.2.1]:80:", "http://192.0.2.1:80/"),
        ("*:8443:*.x.com", "http://*.x.com:8443/"),
        ("*:80:bücher.example", "http://xn--bcher-kva.example:80/"),
    ],
)
def test_a_binding_registers_a_prefix(text, prefix):
    """Host names go before addresses, addresses before none."""
    assert str(binding_prefix("http", text)) == prefix


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
        "*:80:*",
        "*:80:+",
        "*:80:x.",
        "*:80:-x",
        "*:80:a:b",
        "*:²:",
        "*:80:" + "x" * 254,
        "*:80:" + "ü" * 80,
        "host.example:80:",
    ],
)
def test_what_is_no_binding_is_refused(text):
    """Nothing is guessed: each part must be what it has to be."""
    with pytest.raises(InvalidBindingError, match=r"\A[^\n]+\Z"):
        parse_binding_information(text)
