"""The own log: what one value looks like in a line."""

import pytest

from was.log import text_of, to_text


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


class WordlessError(Exception):
    """As that of an object whose `repr` needs a database that has gone."""

    def __str__(self):
        raise LookupError("no words")


def test_an_exception_is_named_whatever_its_words_do():
    """The class and what it says of itself; what raises instead is no reason to fail."""
    assert text_of(ValueError("no shop")) == "ValueError: no shop"
    assert text_of(WordlessError()) == "WordlessError: (its text raises LookupError)"
