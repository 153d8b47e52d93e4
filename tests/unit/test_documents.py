"""README and docs/ name nothing that does not exist: files, commands, settings, links."""

import re
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest

from was.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
USAGE = [ROOT / "README.md", ROOT / "docs" / "guide.md"]
PARTS = ("was", "worker", "listener", "config", "tests", "scripts", "docs", ".ci")
# Files of a home, which lie beside its configuration.
OF_A_HOME = re.compile(r"config/(applicationHost\.config|history|secrets\.key|chaos\.enabled)")


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(document):
    """A link within the repository names a file or a folder of it."""
    prose = re.sub(r"```.*?```|`[^`]*`", "", document.read_text(), flags=re.S)
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", prose)
    inner = [link for link in links if "://" not in link]
    assert [link for link in inner if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_file_that_is_named_exists(document):
    """What holds a decision is looked up by the name that the page gives."""
    named = re.findall(rf"`((?:{'|'.join(map(re.escape, PARTS))})/[\w./*-]*)", document.read_text())
    ours = [path for path in named if not OF_A_HOME.match(path)]
    assert [path for path in ours if not list(ROOT.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_file_named_by_its_name_alone_exists(document):
    """`fate.py` is a file somewhere in the repository, or the text says of whom it is."""
    known = {file.name for part in PARTS for file in (ROOT / part).rglob("*.py")}
    named = set(re.findall(r"`(?:\w+/)*(\w+\.py)`", document.read_text()))
    assert named - known - {"app.py"} == set()


def _command_lines(document):
    """The commands of console blocks and of the text: words after `was`, up to a comment."""
    text = document.read_text()
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", text, re.S))
    lines = re.findall(r"\$ (?:\S*/)?was ((?:(?!   |\$ ).)+)", blocks)
    return lines + re.findall(r"`was ([^`]+)`", text)


@pytest.mark.parametrize("document", USAGE, ids=name)
def test_every_command_and_option_exists(document):
    """What a reader copies is understood."""
    lines = _command_lines(document)
    assert len(lines) > 10
    for line in lines:
        words = re.findall(r"[^\s\[\]]+", line.replace("…", ""))
        for verb in words[0].split("|"):
            assert verb in COMMANDS, line
            commands = [cli, *_commands(verb, words[1:])]
            options = {option for command in commands for option in _options(command)}
            given = {word.partition("=")[0] for word in words if word.startswith("-")}
            assert given <= options, line


def _commands(verb, words):
    command = cli.get_command(click.Context(cli), verb)
    yield command
    if isinstance(command, click.Group) and words:
        for word in words[0].split("|"):
            below = command.get_command(click.Context(command), word)
            assert below is not None, word
            yield below


def _options(command):
    yield from ("-h", "--help")
    for parameter in command.params:
        yield from parameter.opts


def _schema_names():
    """Every element and attribute that a configuration file may have."""
    elements = {"configuration", "location", "system.applicationHost", "system.webServer"}
    attributes = {"path", "overrideMode", "inheritInChildApplications"}
    for file in (ROOT / "config" / "schema").glob("*_schema.xml"):
        for node in ElementTree.parse(file).iter():
            text = node.get("name", "")
            if node.tag == "attribute":
                attributes.add(text)
            elif node.tag in ("sectionSchema", "element"):
                elements.update(text.split("/"))
            elif node.tag == "collection":
                for kind in ("addElement", "removeElement", "clearElement"):
                    elements.update(node.get(kind, "").split(","))
    return elements, attributes


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_setting_in_a_snippet_exists(document):
    """Elements and attributes of the samples are those of the schema, letter by letter."""
    elements, attributes = _schema_names()
    text = document.read_text()
    snippets = re.findall(r"```xml\n(.*?)```", text, re.S) + re.findall(r"`(<[^`]+>)`", text)
    for snippet in snippets:
        bare = re.sub(r"<!--.*?-->", "", snippet, flags=re.S)
        for tag, inside in re.findall(r"<([\w.]+)((?:\s+[\w.:]+(?:=\"[^\"]*\")?)*)", bare):
            if tag == "a":
                continue  # what a tree costs is told by a tag of nobody
            assert tag in elements, f"<{tag}>"
            assert set(re.findall(r"([\w.:]+)=\"", inside)) <= attributes, (tag, inside)


def test_the_configuration_of_the_readme_is_valid(tmp_path):
    """Who copies the first example has a server."""
    from was.config.files import validate

    (text,) = re.findall(
        r"```xml\n(<configuration>.*?</configuration>)", (ROOT / "README.md").read_text(), re.S
    )
    file = tmp_path / "config" / "applicationHost.config"
    file.parent.mkdir()
    file.write_text(text)
    report = validate(file)
    assert report.errors == []
    assert [warning for warning in report.warnings if "there is no folder" not in warning] == []


def test_a_screen_of_the_readme_is_eighty_columns_wide():
    """Tables are a browser's; all else is read in a terminal too."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert [line for line in lines if len(line) > 80 and not line.startswith("|")] == []
