"""The own log: what one value looks like in a line."""

import pytest

from was.log import to_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("shop", "shop"),
        (7, "7"),
        ("", '""'),
        ("/srv/Bäckerei", "/srv/Bäckerei"),
        ("/srv/Bäckerei Süd", '"/srv/Bäckerei Süd"'),
        ('say "no"', '"say \\"no\\""'),
        ("C:\\new folder", '"C:\\\\new folder"'),
        ("one\ntwo\x1b[2J\udce4\u2028", '"one\\ntwo\\x1b[2J\\udce4\\u2028"'),
    ],
)
def test_a_value_is_readable_and_stays_on_its_line(value, text):
    """Letters of any language as they are; nothing that a terminal or a reader acts on."""
    assert to_text(value) == text
