"""A file as pieces: what nobody changes is written back as it was read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import was.config.schema
from was.config.document import Document, is_writable
from was.config.parse import parse
from was.errors import ConfigErrors

SHIPPED = sorted(Path(was.config.schema.__file__).parent.rglob("*.xml"))
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1", "windows-1252"]

names = st.sampled_from(["add", "remove", "section", "a.b", "é", "x-y"])
gaps = st.sampled_from(
    ["", " ", "\n", "\r\n\t", "\n\n    ", "<!-- a <b> & 'c' -->", "<?pi x > y?>", " <!--\n-->\n  "]
)
values = st.text(st.sampled_from("ab<>&\"' \tä\n;"), max_size=6)


@st.composite
def tags(draw, depth=3):
    name = draw(names)
    written = "".join(
        draw(st.sampled_from([" ", "  ", "\n    ", "\r\n\t"]))
        + key
        + draw(st.sampled_from(["=", " = ", "\n= "]))
        + quoted(draw(values), draw(st.sampled_from("\"'")))
        for key in draw(st.lists(st.sampled_from(["name", "path", "é"]), unique=True))
    )
    space = draw(st.sampled_from(["", " ", "\n  "]))
    inner = [] if depth == 0 else draw(st.lists(tags(depth=depth - 1), max_size=3))
    if not inner and draw(st.booleans()):
        return f"<{name}{written}{space}/>"
    content = "".join(draw(gaps) + tag for tag in inner) + draw(gaps)
    return f"<{name}{written}{space}>{content}</{name}{draw(st.sampled_from(['', ' ', chr(10)]))}>"


def quoted(value, quote):
    escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "&#xA;")
    return quote + escaped.replace(quote, "&#34;" if quote == '"' else "&apos;") + quote


@st.composite
def files(draw):
    encoding = draw(st.sampled_from(ENCODINGS))
    declared = {"utf-8-sig": "utf-8", "utf-16-le": "utf-16", "utf-16-be": "utf-16"}.get(
        encoding, encoding
    )
    head = draw(gaps.filter(lambda text: not text.startswith((" ", "\n", "\r"))))
    if encoding not in ("utf-8", "utf-8-sig") or draw(st.booleans()):
        head = f'<?xml version="1.0" encoding="{declared}"?>{head}'
    return (head + draw(tags()) + draw(gaps)).encode(encoding)


@given(files())
def test_what_was_read_is_written_byte_for_byte(data):
    """Whatever the encoding, mark, line ends, quotes, comments and white space."""
    assert Document(data, "f").to_bytes() == data


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_our_own_files_are_written_as_they_were_read(path):
    """Real files, with everything that people write."""
    assert Document(path.read_bytes(), str(path)).to_bytes() == path.read_bytes()


@given(files(), st.data())
def test_adding_then_removing_restores_the_file(data, choice):
    """New elements and attributes anywhere, taken away in any order: the same bytes again."""
    document = Document(data, "f")
    added = []
    for _ in range(choice.draw(st.integers(1, 4))):
        tag = choice.draw(st.sampled_from(all_tags(document.root)))
        if choice.draw(st.booleans()):
            index = choice.draw(st.one_of(st.none(), st.integers(0, 4)))
            added.append((tag, tag.insert("new", {"v": choice.draw(values)}, index)))
        elif "fresh" not in tag.attributes:
            tag.set("fresh", choice.draw(values))
            added.append((tag, None))
    parse(document.to_bytes(), "f")
    for tag, child in choice.draw(st.permutations(added)):
        if child is None:
            tag.reset("fresh")
        elif child.parent is not None and child in child.parent.children:
            child.parent.remove(child)
    assert document.to_bytes() == data


@given(files(), st.data())
def test_a_change_is_read_back_and_nothing_else_changes(data, choice):
    """The parser finds the new value, and everything else as it was."""
    document = Document(data, "f")
    number = choice.draw(st.integers(0, len(all_tags(document.root)) - 1))
    value = choice.draw(st.text(st.characters(codec="utf-8")).filter(is_writable))
    before = facts(parse(data, "f"))
    all_tags(document.root)[number].set("name", value)
    after = facts(parse(document.to_bytes(), "f"))
    before[number][1]["name"] = value
    assert after == before


@given(files(), st.data())
def test_removing_what_the_file_had_leaves_the_rest(data, choice):
    """Tags and comments around it stay, and the file stays well-formed."""
    document = Document(data, "f")
    below = all_tags(document.root)[1:]
    if not below:
        return
    tag = choice.draw(st.sampled_from(below))
    gone = len(all_tags(tag))
    number = below.index(tag) + 1
    tag.parent.remove(tag)
    before = facts(parse(data, "f"))
    after = facts(parse(document.to_bytes(), "f"))
    assert after == before[:number] + before[number + gone :]


def all_tags(tag):
    return [tag, *(t for child in tag.children for t in all_tags(child))]


def facts(node):
    return [(node.name, node.attributes), *(f for child in node.children for f in facts(child))]


def edited(text, change):
    document = Document(text.encode(), "f")
    change(document.root)
    return document.to_bytes().decode()


FILE = """<configuration>
\t<sites> <!-- all of them -->
\t\t<!-- the first -->
\t\t<site name='one'/> <!-- about one -->

\t\t<!-- the second -->
\t\t<site name='two'
\t\t      id='2'/>
\t</sites>
\t<empty/>
</configuration>
"""


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (
            lambda sites: sites.insert("site", {"name": "new"}),
            "id='2'/>\n",
            "id='2'/>\n\t\t<site name=\"new\"/>\n",
        ),
        (
            lambda sites: sites.insert("site", {"name": "new"}, 1),
            "<!-- about one -->\n",
            '<!-- about one -->\n\t\t<site name="new"/>\n',
        ),
        (
            lambda sites: sites.insert("site", {"name": "new"}, 0),
            "<!-- all of them -->\n",
            '<!-- all of them -->\n\t\t<site name="new"/>\n',
        ),
        (
            lambda sites: sites.children[1].set("more", "'<\t>'"),
            "id='2'/>",
            "id='2'\n\t\t      more='&apos;&lt;&#9;&gt;&apos;'/>",
        ),
        (
            lambda sites: sites.children[0].insert("a", {}).insert("b", {}),
            "<site name='one'/>",
            "<site name='one'>\n\t\t\t<a>\n\t\t\t\t<b/>\n\t\t\t</a>\n\t\t</site>",
        ),
        (
            lambda sites: sites.remove(sites.children[1]),
            "\n\t\t<site name='two'\n\t\t      id='2'/>",
            "",
        ),
        (
            lambda sites: sites.remove(sites.children[0]),
            "<site name='one'/> <!-- about one -->",
            "<!-- about one -->",
        ),
        (
            lambda sites: sites.parent.children[1].insert("x", {}),
            "<empty/>",
            "<empty>\n\t\t<x/>\n\t</empty>",
        ),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_new_text_looks_like_its_neighbours(change, old, new, line_end):
    """Indentation, line ends, quotes and empty tags; comments stay where they belong."""
    text = FILE.replace("\n", line_end)
    expected = text.replace(old.replace("\n", line_end), new.replace("\n", line_end))
    assert expected != text
    assert edited(text, lambda root: change(root.children[0])) == expected


def test_a_file_of_one_line_stays_one():
    """No line ends and no indentation come into a file that has none."""
    text = "<configuration><a/></configuration>"
    assert edited(text, lambda root: root.insert("b", {}).insert("c", {})) == (
        "<configuration><a/><b><c/></b></configuration>"
    )


def test_what_the_encoding_cannot_hold_becomes_a_reference():
    """A euro sign in a file of Latin 1."""
    data = '<?xml version="1.0" encoding="ISO-8859-1"?><a x="ä"/>'.encode("latin-1")
    document = Document(data, "f")
    document.root.set("y", "€")
    assert document.to_bytes() == data.replace(b"/>", b' y="&#8364;"/>')
    assert parse(document.to_bytes(), "f").attributes == {"x": "ä", "y": "€"}


def test_a_file_that_cannot_be_given_back_is_not_edited():
    """Text that means the same in other bytes would be changed by writing it."""
    data = b'<?xml version="1.0" encoding="UTF-7"?><a x="1"/>'
    with pytest.raises(ConfigErrors):
        Document(data, "f")


@pytest.mark.parametrize("value", ["\0", "\x1b", "\ud800", "\ufffe"])
def test_what_xml_cannot_hold_is_known(value):
    """Not even as a reference."""
    assert not is_writable(f"a{value}")
    assert is_writable("a\t\r\n\x85\u2028🙂")
