"""scriptProcessor as a command line, queries as arguments."""

import pytest

from was.worker.cgi.command import parse_command, query_words


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ("/bin/p", [b"/bin/p"]),
        ("/bin/p %s", [b"/bin/p", b"/a b.pl"]),
        ("/bin/p %s %s", [b"/bin/p", b"/a b.pl", b"x", b"y z"]),
        ('"/opt/my p" -T "%s" %s', [b"/opt/my p", b"-T", b"/a b.pl", b"x", b"y z"]),
        ("/opt/my p|-T %s", [b"/opt/my p", b"-T", b"/a b.pl"]),
        ("/bin/p -f=%s -q=%s", [b"/bin/p", b"-f=/a b.pl", b"-q=x y z"]),
    ],
)
def test_commands(processor, expected):
    """The first %s is the file, the second the words; a bar divides program and arguments."""
    command = parse_command(processor)
    assert command.arguments(b"/a b.pl", [b"x", b"y z"]) == expected
    assert command.needs_script == ("%s" in processor)


@pytest.mark.parametrize("processor", ["", "  ", '"/bin/p', "|a"])
def test_what_is_no_command(processor):
    """Nothing, and a quote that is not closed."""
    with pytest.raises(ValueError, match=r"no program|No closing quotation"):
        parse_command(processor)


def test_words_of_a_query():
    """RFC 3875, 4.4: by "+", decoded; none where there is a "=", and none of other methods."""
    assert query_words("GET", "a+b%2B%3d") == [b"a", b"b+="]
    assert query_words("GET", "a=b+c") == []
    assert query_words("GET", "a+b%00") == []
    assert query_words("POST", "a") == []
    assert query_words("GET", "") == []
