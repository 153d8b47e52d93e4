"""Whatever a file holds: a configuration, or ConfigErrors with a place. Never another exception."""

import encodings.aliases
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from was.config.faults import MAX_FAULTS
from was.config.files import load_server, load_text, validate
from was.config.parse import MAX_BYTES, MAX_TAG_BYTES, MAX_TAGS, parse
from was.errors import ConfigErrors

CORPUS = Path(__file__).parent / "corpus"
SMALL = b"""<?xml version="1.0" encoding="UTF-8"?>
<configuration><configSections><section name="own" /></configSections>
<system.applicationHost><applicationPools><add name="p"><recycling><periodicRestart>
<schedule><clear /><add value="03:00:00" /></schedule></periodicRestart></recycling></add>
<applicationPoolDefaults queueLength="20" /></applicationPools>
<sites><site name="S" id="1"><bindings><binding protocol="http" bindingInformation="*:80:" />
</bindings><application path="/" applicationPool="p"><virtualDirectory path="/"
physicalPath="www" /></application></site></sites></system.applicationHost>
<!-- a remark --><own><any>text</any></own>
<location path="S"><system.webServer><httpErrors><remove statusCode="404" />
<error statusCode="404" path="\xc3\xa9.htm" /></httpErrors></system.webServer></location>
</configuration>"""
SAMPLES = [SMALL, *(f.read_bytes() for f in sorted(CORPUS.glob("*/web.config")))]


def faults(data):
    """The faults of a file with `data`, none if it is a configuration; each must have a place."""
    try:
        load_text(data, Path("/home-of-nobody"))
    except ConfigErrors as error:
        found = error.errors
    else:
        return []
    assert found
    assert all(fault.file and fault.line >= 1 and fault.column >= 1 for fault in found)
    return found


def test_the_sample_is_a_configuration():
    """So that what the other tests do to it is what makes it none."""
    assert faults(SMALL) == []


def test_a_file_that_ends_anywhere_is_a_fault():
    """Cut off at every byte: never half a configuration."""
    for end in range(len(SMALL) - 1):
        assert faults(SMALL[:end]), end


PIECES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        [
            *(b"<", b">", b"/>", b"</", b'"', b"'", b"=", b" ", b"\n", b"\0", b"&amp;", b"&x;"),
            *(b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?", b"?>", b"<clear />", b"<remove />"),
            *(b"<!DOCTYPE a [", b'<location path="">', b"</location>", b"configuration"),
            *(b"<configSections>", b'lockItem="true"', b'lockAttributes="*"', b"%WAS_HOME%"),
            *(b'configSource="a"', b"\xff", b"\xef\xbb\xbf", b"&#0;", b"&#xD800;", b"&#13;"),
        ]
    ),
)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), PIECES), min_size=1, max_size=4)


def edited(data, edits):
    for where, length, piece in edits:
        at = int(where * len(data))
        data = data[:at] + piece + data[at + length :]
    return data


@settings(max_examples=300)
@given(sample=st.sampled_from(SAMPLES), edits=EDITS)
def test_a_file_with_something_in_it_is_a_configuration_or_a_list_of_faults(sample, edits):
    """Pieces of XML, of configuration and of nothing at any place of a real file."""
    faults(edited(sample, edits))


@given(data=st.binary(max_size=400))
def test_bytes_that_are_no_file_are_one_fault(data):
    """At their place, in IIS's words."""
    found = faults(data)
    assert len(found) == 1
    assert found[0].hresult == 0x8007000D


@given(data=st.data())
def test_swapped_parts_of_a_file_are_a_configuration_or_a_list_of_faults(data):
    """Whole tags in places where they do not belong."""
    tags = re.split(rb"(?=<)", SMALL)
    order = data.draw(st.permutations(range(1, len(tags))))
    count = data.draw(st.integers(0, 6))
    shuffled = [1 + i for i in range(len(tags) - 1)]
    for one, other in zip(order[:count], order[count : 2 * count], strict=False):
        shuffled[one - 1], shuffled[other - 1] = shuffled[other - 1], shuffled[one - 1]
    faults(tags[0] + b"".join(tags[i] for i in shuffled))


@pytest.mark.parametrize(
    ("codec", "mark"),
    [("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")],
)
def test_byte_order_marks_say_the_encoding(codec, mark):
    """What Notepad and Visual Studio write is read; a truncated character is a fault."""
    text = SMALL.decode().replace('encoding="UTF-8"', f'encoding="{codec[:6].rstrip("-")}"')
    data = mark + text.encode(codec)
    assert faults(data) == []
    tree = parse(data, "f")
    assert data[tree.start :].startswith("<configuration".encode(codec))
    assert faults(data[:-1]) != [] or codec == "utf-8"
    assert faults(mark)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32", "cp037"])
def test_another_encoding_than_the_declared_one_is_a_fault(codec):
    """The declaration says UTF-8."""
    assert len(faults(SMALL.decode().encode(codec))) == 1


@pytest.mark.parametrize("name", sorted({*encodings.aliases.aliases.values(), "undefined", "no"}))
def test_any_declared_encoding_is_known_or_a_fault(name):
    """Also those of Python that are no character sets."""
    text = SMALL.decode().replace("UTF-8", name).replace("é", "e")
    faults(text.encode())


def test_nul_bytes_and_forbidden_characters_are_faults():
    """Anywhere in the file, also as references."""
    for bad in (b"\0", b"\x01", b"&#0;", b"&#1;", b"\xed\xa0\x80", b"\xc0\x80"):
        for place in (b"www", b"remark", b"text", b"site"):
            if place == b"remark" and bad.startswith(b"&"):
                continue
            assert faults(SMALL.replace(place, bad, 1)), (bad, place)


def test_entities_of_every_kind_are_refused_where_they_are_declared():
    """Bombs, files, addresses, parameters: none is expanded, opened or asked for."""
    for declaration in (
        b'<!DOCTYPE c [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;">]>',
        b'<!DOCTYPE c [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE c SYSTEM "http://127.0.0.1:1/x.dtd">',
        b'<!DOCTYPE c [<!ENTITY % p SYSTEM "file:///dev/zero"> %p;]>',
        b"<!DOCTYPE c>",
        b'<!DOCTYPE c [<!ATTLIST configuration x CDATA "y">]>',
    ):
        (fault,) = faults(SMALL.replace(b"?>\n", b"?>\n" + declaration + b"\n", 1))
        assert "not accepted" in fault.message
        assert fault.line == 2


def test_attributes_given_twice_or_by_the_thousand():
    """Twice is no XML; a thousand unknown ones are as many faults, up to a limit."""
    (fault,) = faults(b'<configuration a="" a="" />')
    assert "duplicate attribute" in fault.message
    many = b" ".join(b'a%d=""' % n for n in range(MAX_FAULTS + 100))
    found = faults(b"<configuration " + many + b" />")
    assert len(found) == MAX_FAULTS + 1
    assert "more faults" in found[-1].message


def test_a_long_value_is_not_repeated_whole_in_its_fault():
    """A message is for a person."""
    data = SMALL.replace(b'id="1"', b'id="' + b"9" * 1_000_000 + b'"')
    (fault,) = faults(data)
    assert len(fault.message) < 3000
    assert "is not an integer" in fault.message


def test_a_tag_has_a_length_a_file_a_size_and_a_number_of_tags():
    """Each limit is a fault of its own, at the place where it was passed."""
    long = b"<configuration>\n<a b='" + b"x" * (MAX_TAG_BYTES + (2 << 20)) + b"' /></configuration>"
    (fault,) = faults(long)
    assert f"longer than {MAX_TAG_BYTES}" in fault.message
    assert fault.line == 2
    remark = b"<configuration>\n<!--" + b"x" * (MAX_TAG_BYTES + (2 << 20))
    assert f"longer than {MAX_TAG_BYTES}" in faults(remark)[0].message
    big = b"<configuration />" + b" " * MAX_BYTES
    assert "exceeds the maximum file size" in faults(big)[0].message
    tags = b"<configuration>" + b"<a/>" * MAX_TAGS + b"</configuration>"
    assert f"more than {MAX_TAGS} tags" in faults(tags)[0].message


def test_paths_have_a_length():
    """Each prefix of a path is a level of its own."""
    deep = b"S/" + b"a/" * 600 + b"b"
    (fault,) = faults(SMALL.replace(b'path="S"', b'path="' + deep + b'"'))
    assert "longer than 1024" in fault.message
    path = b'application path="/' + b"a/" * 600 + b'b"'
    found = faults(SMALL.replace(b'application path="/"', path))
    assert any("longer than 1024" in fault.message for fault in found)


@pytest.mark.parametrize("kind", ["loop", "pipe", "folder", "endless", "dangling"])
def test_what_is_no_plain_file_is_not_read(tmp_path, kind):
    """A link in a circle, a pipe that nobody writes to, a folder, a device without an end."""
    file = tmp_path / "applicationHost.config"
    if kind == "loop":
        file.symlink_to(tmp_path / "other")
        (tmp_path / "other").symlink_to(file)
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero" if kind == "endless" else tmp_path / "nothing")
    with pytest.raises(ConfigErrors) as caught:
        load_server(file, home=tmp_path)
    (fault,) = caught.value.errors
    assert (fault.file, fault.hresult) == (str(file), 0x80070003)
    assert fault.message.startswith("Cannot read configuration file")


def test_a_web_config_may_be_smaller_than_the_servers_file(home):
    """One of two megabytes concerns its application only, and says why."""
    home.web_config("www", "").write_bytes(b"<configuration />" + b" " * (2 << 20))
    home.server()
    (fault,) = validate(home.file).errors
    assert "exceeds the maximum file size of 1048576 bytes" in fault.message
