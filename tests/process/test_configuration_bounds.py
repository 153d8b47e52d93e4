"""Files made to cost: read in a process with little memory and little time, to a clear end.

The child has 768 MB of address space and 60 s of processor time. What passes either is killed and
fails its test; what ends says a line about the fault.
"""

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import resource, sys
from pathlib import Path
from was.config.files import load_server, validate
from was.errors import ConfigErrors

resource.setrlimit(resource.RLIMIT_AS, (768 << 20, 768 << 20))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
try:
    load_server(Path(sys.argv[1]))
    print("loaded")
except ConfigErrors as error:
    print(len(error.errors), str(error.errors[0])[:400])
"""
MEGABYTE = 1_000_000
ROOT = b"<configuration>\n"
END = b"\n</configuration>"
WEB = b"<system.webServer>", b"</system.webServer>"
ENTITIES = b"".join(b'<!ENTITY l%d "%s">' % (n + 1, b"&l%d;" % n * 10) for n in range(30))

# name: (head, what is repeated, how often, tail, words of the fault)
FILES = {
    "an attribute of 100 MB": (ROOT + b'<a b="', b"x", 100 * MEGABYTE, b'" />' + END, "maximum"),
    "a comment of 100 MB": (ROOT + b"<!--", b"x", 100 * MEGABYTE, b"-->" + END, "maximum"),
    "an attribute of 30 MB": (ROOT + b'<a b="', b"x", 30 * MEGABYTE, b'" />' + END, "2:1: A tag"),
    "a comment of 30 MB": (ROOT + b"<!--", b"x", 30 * MEGABYTE, b"-->" + END, "2:1: A tag"),
    "an instruction of 30 MB": (ROOT + b"<?a ", b"x", 30 * MEGABYTE, b"?>" + END, "2:1: A tag"),
    "30 MB of text": (ROOT, b"x\n", 15 * MEGABYTE, END, "Unrecognized text"),
    "10 MB of blanks": (ROOT, b" \n", 5 * MEGABYTE, END, "loaded"),
    "30 MB in a CDATA section": (ROOT + b"<![CDATA[", b"xy", 15 * MEGABYTE, b"]]>" + END, "text"),
    "millions of tags": (ROOT, b"<a/>", 8 * MEGABYTE, END, "tags"),
    "a million levels": (ROOT, b"<a>", MEGABYTE, b"", "nested more than"),
    "a tag without an end": (ROOT + b"<a ", b'b="" ', 6 * MEGABYTE, b"", "A tag"),
    "one attribute, again and again": (ROOT + b"<a ", b'b="" ', 600_000, b"/>" + END, "duplicate"),
    "unknown elements": (ROOT + WEB[0], b"<a/>", 200_000, WEB[1] + END, "1001 "),
    "unknown sections in locations": (
        ROOT,
        b'<location path="a"><b/></location>',
        100_000,
        END,
        "1001 ",
    ),
    "sections in locations of one path": (
        ROOT + b'<location path="a" />' * 100_000,
        b'<location path="a"><system.webServer><caching /></system.webServer></location>',
        100_000,
        END,
        "duplicate",
    ),
    "an item, again and again": (
        ROOT + WEB[0] + b"<staticContent>",
        b'<mimeMap fileExtension="a" mimeType="b" />',
        100_000,
        b"</staticContent>" + WEB[1] + END,
        "1001 ",
    ),
    "entities of entities": (
        b"<!DOCTYPE c [" + b'<!ENTITY l0 "lol">' + ENTITIES + b"]>" + ROOT,
        b"&l30;",
        1,
        END,
        "not accepted",
    ),
}


def outcome(file: Path) -> str:
    """What a child with little to spend says of `file`."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(file)],
        capture_output=True,
        text=True,
        timeout=270,  # processor time is what is limited: the machine may be busy
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    return child.stdout


@pytest.mark.parametrize("name", FILES)
def test_a_file_made_to_cost_ends_in_a_clear_fault(tmp_path, name):
    """Within the child's memory and time, with file and line."""
    head, piece, count, tail, words = FILES[name]
    folder = tmp_path / "config"
    folder.mkdir()
    file = folder / "applicationHost.config"
    with file.open("wb") as target:
        target.write(head)
        whole, rest = divmod(count, 100_000)
        for _ in range(whole):
            target.write(piece * 100_000)
        target.write(piece * rest + tail)
    try:
        said = outcome(file)
    finally:
        file.unlink()
    assert words in said
    assert said == "loaded\n" or f"{file}:" in said


def test_many_different_attributes_are_bounded_by_the_length_of_their_tag(tmp_path):
    """Each costs more than its bytes: 350,000 of them are one tag that is nearly too long."""
    file = tmp_path / "applicationHost.config"
    attributes = b" ".join(b'a%x=""' % n for n in range(350_000))
    file.write_bytes(b"<configuration " + attributes + b" />")
    assert outcome(file).startswith("1001 ")
