"""The parser: text to a tree that knows where everything is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.config.parse import MAX_DEPTH, parse
from was.errors import ConfigErrors


def failure(data):
    with pytest.raises(ConfigErrors) as caught:
        parse(data, "x.config")
    (error,) = caught.value.errors
    return error


def test_every_tag_knows_its_line_column_and_byte_offset():
    """Line and column are 1-based; offsets count bytes, also behind characters of several."""
    data = '<a>\n  <b x="é"/><c>\n</c></a>'.encode()
    root = parse(data, "f")
    b, c = root.children
    assert (root.line, root.column, root.start) == (1, 1, 0)
    assert (b.line, b.column, c.line) == (2, 3, 2)
    assert data[b.start :].startswith(b"<b ")
    assert data[c.start :].startswith(b"<c>")
    assert data[c.end :].startswith(b"</c>")
    assert data[root.end :] == b"</a>"
    assert b.attributes == {"x": "é"}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", 1),
        (b"<a>\n<b></a>", 2),
        (b"<a>\n\n<b x='1' x='2'/></a>", 3),
        (b"<a/>\n<b/>", 2),
        (b"\n\n<a b=c/>", 3),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', 1),
        (b"<a>&nothing;</a>", 1),
        (b"<a>\xff</a>", 1),
    ],
)
def test_broken_xml_is_one_error_with_line_and_column(data, line):
    """What is no XML is reported where it goes wrong, in IIS's words."""
    error = failure(data)
    assert error.message.startswith("Configuration file is not well-formed XML")
    assert (error.line, error.file, error.hresult) == (line, "x.config", 0x8007000D)
    assert error.column >= 1


@pytest.mark.parametrize("data", [b"<a>\n<b>\n<c/>\n</a>", b"<a>\n<b>\n<c/>\n"])
def test_a_tag_without_an_end_is_named_with_its_line(data):
    """Where the file goes wrong is far below it, often at the last line of all."""
    error = failure(data)
    assert "XML: <b> of line 2 has no end tag" in error.message
    assert error.line == 4


@pytest.mark.parametrize(
    ("data", "is_named"),
    [
        (b"<a>\n<b c='Sh\xf6p'/></a>", True),
        (b"<?xml version='1.0' encoding='utf-8'?><a>\n<b c='Sh\xf6p'/></a>", True),
        (b"<?xml version='1.0' encoding='iso-8859-1'?><a>\n<b c='Sh\xf6p' <</a>", False),
        (b"<a>\n<b c='Sh\xc3\xb6p' <</a>", False),
        (b"<a>\n<b c='p' <\n'Sh\xf6p'/></a>", False),
    ],
)
def test_what_an_editor_saved_in_another_encoding_is_named(data, is_named):
    """A letter that is no UTF-8 looks right to its author: the byte is said."""
    error = failure(data)
    assert error.line == 2
    assert ("byte 0xf6 is no UTF-8" in error.message) is is_named


def test_document_types_are_refused_and_entities_with_them():
    """An entity bomb is turned away at its first line, before anything is expanded."""
    bomb = b'<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY x "xxx"><!ENTITY y "&x;&x;">]><a>&y;</a>'
    error = failure(bomb)
    assert "entities are not accepted" in error.message
    assert error.line == 2
    external = b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'
    assert "not accepted" in failure(external).message


def test_nesting_is_bounded():
    """A file as deep as allowed is read; one tag more is an error, not a crash."""
    parse(b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH, "f")
    deep = 100_000
    assert "nested" in failure(b"<a>" * deep + b"</a>" * deep).message


def test_a_huge_attribute_is_read_whole():
    """Length alone is no fault."""
    text = "x" * 4_000_000
    assert parse(f'<a b="{text}"/>'.encode(), "f").attributes["b"] == text


def test_text_is_noticed_where_it_stands():
    """White space between tags is nothing; other text keeps the place of its first line."""
    root = parse(b"<a>\n  <b/>\n  hello</a>", "f")
    assert (root.text_line, root.text_column) == (3, 3)
    assert parse(b"<a>\n <b/> </a>", "f").text_line == 0


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_in_another_way(data):
    """Whatever the file holds: a tree, or ConfigErrors with a place."""
    try:
        parse(data, "f")
        faults = []
    except ConfigErrors as error:
        faults = error.errors
    assert all(fault.line >= 1 and fault.column >= 1 for fault in faults)
