"""`was config show` as text: a file that comes to the same settings wherever it is loaded."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from was.cli.config_show import _as_xml, _with_origins
from was.config.files import load_server
from was.config.secrets import Secrets

TESTS = Path(__file__).parents[1]
CORPUS = TESTS / "config" / "corpus"
SAMPLES = sorted(f.parent.name for f in CORPUS.glob("*/web.config"))
SERVER = """<configuration><system.applicationHost>
  <applicationPools><add name="p" />{pools}</applicationPools>
  <sites>{defaults}<site name="S" id="1">
    <bindings><binding protocol="http" bindingInformation="*:80:" /></bindings>
    <application path="/" applicationPool="p">
      <virtualDirectory path="/" physicalPath="www" /></application>
    <application path="/app" applicationPool="p">
      <virtualDirectory path="/" physicalPath="app" /></application>
  </site></sites></system.applicationHost>{more}</configuration>"""


@pytest.fixture
def load(home):
    """The home's configuration as text; loaded."""

    def load(text):
        home.config_file.parent.mkdir(parents=True, exist_ok=True)
        home.config_file.write_text(text)
        return load_server(home.config_file, home=home.path)

    return load


@pytest.fixture
def show(run):
    def show(*arguments):
        result = run("config", "show", *arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    return show


@pytest.fixture
def below(home):
    """A web.config of a folder."""

    def write(folder, web):
        (home.path / folder).mkdir(parents=True, exist_ok=True)
        (home.path / folder / "web.config").write_text(
            f"<configuration><system.webServer>{web}</system.webServer></configuration>"
        )

    return write


@pytest.fixture
def again(load, show, home):
    """What is shown of a path, loaded as the sections of a server without any web.config."""

    def again(path):
        whole = ElementTree.fromstring(show())
        there = ElementTree.fromstring(show(path))
        for child in list(whole):
            if child.tag != "system.applicationHost":
                whole.remove(child)
        whole.extend(there)
        for file in home.path.rglob("web.config"):
            file.unlink()
        return load(ElementTree.tostring(whole, encoding="unicode"))

    return again


def settings(loaded, url):
    (site,) = loaded.config.sites
    above = [a for a in site.applications if f"{url}/".startswith(a.path.rstrip("/") + "/")]
    found = loaded.settings(site, max(above, key=lambda a: len(a.path)), url)
    # What answers 500.21 for a path is left out at the server's level, which it is loaded at again.
    known = {module.name for module in loaded.config.global_modules}
    usable = tuple(h for h in found.handlers.entries if known.issuperset(h.modules))
    # By file and line, which are others here.
    return replace(found, handlers=replace(found.handlers, entries=usable), rule_folders={})


@pytest.mark.parametrize("url", ["/", "/x/y", "/app", "/app/deep", "/app/deep/page.htm"])
def test_the_text_loads_to_the_same_settings(url, load, below, again):
    """Whatever was added, removed and cleared at whichever level on the way."""
    below("www", '<defaultDocument><files><add value="w" /></files></defaultDocument>')
    below("app", '<handlers><remove name="StaticFile" /></handlers>')
    below("app/deep", "<staticContent><clear /></staticContent>")
    more = """<system.webServer><httpErrors><clear /></httpErrors>
        <directoryBrowse enabled="true" /></system.webServer>
      <location path="S/app/deep/page.htm"><system.webServer><handlers><clear />
        <add name="one" path="*" verb="*" modules="StaticFileModule" /></handlers>
      </system.webServer></location>"""
    pools = """<add name="q"><environmentVariables><add name="A" value="1 &lt; &quot;2&quot;" />
        </environmentVariables></add><applicationPoolDefaults queueLength="77">
      <environmentVariables><add name="B" value="3" /></environmentVariables>
      </applicationPoolDefaults>"""
    before = load(SERVER.format(more=more, pools=pools, defaults=""))
    expected = settings(before, url)
    after = again(f"S{url}")
    assert settings(after, url) == expected
    assert after.config.app_pools == before.config.app_pools
    assert after.config.sites == before.config.sites


@pytest.mark.parametrize("name", SAMPLES)
def test_real_files_load_again_to_the_same_settings(name, home, load, again):
    """Those of the corpus."""
    shutil.copytree(CORPUS / name, home.path / "www")
    more = """<location path="S" overrideMode="Allow"><system.webServer><webSocket />
      </system.webServer></location>"""
    expected = settings(load(SERVER.format(more=more, pools="", defaults="")), "/")
    assert settings(again("S"), "/") == expected


def test_what_was_shown_shows_the_same(load, show):
    """With the server's own sections, items with defaults among them."""
    text = (CORPUS / "default_server" / "applicationHost.config").read_text(encoding="utf-8-sig")
    load(text)
    shown = show()
    load(shown)
    assert show() == shown


def test_secrets_are_shown_to_nobody(load, show, home):
    """Neither as they lie in the file nor in plain, and what stands for them loads."""
    home.config_file.parent.mkdir(parents=True)
    sealed = Secrets(home.config_file.with_name("secrets.key")).encrypt("p-secret")
    pools = f"""<add name="q"><processModel userName="u" password="{sealed}" /></add>
      <add name="r"><processModel password="q-secret" /></add>"""
    load(SERVER.format(more="", pools=pools, defaults=""))
    for arguments in ((), ("--origin",), ("--json",), ("--section", "applicationPools")):
        text = show(*arguments)
        assert not re.search(f"[pq]-secret|{re.escape(sealed)}", text)
    assert load(show()).config.app_pools["q"].process_model.password == ""


def test_each_place_is_a_tag_that_says_so(home, load):
    """The attribute stands in the tag that begins in that line of that file."""
    shutil.copytree(CORPUS / "umbraco", home.path / "www")
    loaded = load(SERVER.format(more="", pools="", defaults=""))
    seen = 0

    def look(shown):
        nonlocal seen
        for value in shown.attributes:
            if value.origin is not None and value.origin.level != "built-in":
                seen += 1
                lines = Path(value.origin.file).read_text(encoding="utf-8-sig").split("\n")
                rest = "\n".join(lines[value.origin.line - 1 :])
                tags = re.findall(r"<[^!?/][^>]*>", rest[: rest.find("\n", rest.find(">"))])
                assert any(re.search(rf"\b{value.name}\s*=", tag) for tag in tags), value
        for part in (*shown.elements, *shown.items):
            look(part)

    for shown in loaded.shown("S").values():
        look(shown)
    assert seen > 30


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--section", "processModel"], "it is an element of system.applicationHost/application"),
        (["--section", "handler"], "did you mean 'handlers'?"),
        (["S", "--section", "applicationPools"], "it is the whole server's"),
    ],
)
def test_a_section_that_is_none_is_put_right(load, run, arguments, says):
    """An element of a section, a letter that is missing, a path that the section does not have."""
    load(SERVER.format(pools="", defaults="", more=""))
    refused = run("config", "show", *arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert says in refused.stderr


@pytest.mark.parametrize("columns", [80, 132])
def test_lines_end_where_the_terminal_does(load, columns):
    """A tag with twenty attributes is read as a person would have written it, and is the same."""
    shown = load(SERVER.format(pools="", defaults="", more="")).shown("")
    wide = list(_as_xml(shown, everything=True, columns=None))
    lines = list(_as_xml(shown, everything=True, columns=columns))
    assert len(lines) > len(wide)
    too_long = [line for line in lines if len(line) > columns]
    assert all(line.count('="') <= 1 for line in too_long)  # what is too long by itself
    assert _same("\n".join(lines)) == _same("\n".join(wide))


def test_origins_take_two_lines_where_one_is_too_long(load):
    """The name of a value stands above it; a pipe has one line for each, whatever its length."""
    shown = load(SERVER.format(pools="", defaults="", more="")).shown("")
    one = list(_with_origins(shown, everything=False, columns=None))
    two = list(_with_origins(shown, everything=False, columns=80))
    assert len(two) == 2 * len(one)
    assert list(_with_origins(shown, everything=False, columns=1000)) == one


def _same(text):
    return ElementTree.canonicalize(text, strip_text=True)
