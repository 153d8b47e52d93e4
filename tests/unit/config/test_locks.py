"""Delegation: what a file may not set because a file above it has said so."""

import pytest

from was.errors import ConfigErrors

BROWSE = '<directoryBrowse enabled="{}" />'
ON, OFF = BROWSE.format("true"), BROWSE.format("false")
LOCKED = 0x80070021


def location(path, web, attributes=""):
    inner = f"<system.webServer>{web}</system.webServer>"
    return f'<location path="{path}" {attributes}>{inner}</location>'


@pytest.fixture
def nested(home, xml):
    """A function that loads a site S with /app and /app/deep, each with a folder of its own."""

    def load(more="", web=""):
        inner = xml.application("/app", "app") + xml.application("/app/deep", "deep")
        return home.server(sites=xml.site(inner), more=more, web=web)

    return load


@pytest.fixture
def fault(at):
    """The one fault that a path has."""

    def ask(loaded, path="/", below=""):
        with pytest.raises(ConfigErrors) as caught:
            at(loaded, path, below=below)
        (error,) = caught.value.errors
        return error

    return ask


def test_a_section_that_is_locked_by_default(nested, home, fault, at):
    """overrideModeDefault of the declaration: web.config may not use it, location tags may."""
    path = home.web_config("app", '\n<httpLogging dontLog="true" />')
    error = fault(nested(), "/app")
    assert (error.file, error.line, error.hresult) == (str(path), 3, LOCKED)
    assert error.section == "system.webServer/httpLogging"
    assert error.message.startswith("This configuration section cannot be used at this path.")
    (home.folder / "app" / "web.config").unlink()
    loaded = nested(location("S/app", '<httpLogging dontLog="true" />'))
    assert at(loaded, "/app").http_logging.dont_log


@pytest.mark.parametrize("attributes", ['overrideMode="Deny"', 'allowOverride="false"'])
def test_a_location_tag_locks_for_deeper_files(nested, home, fault, at, attributes):
    """At the path and below; files beside it and the location tags of the same file are free."""
    loaded = nested(location("S/app", OFF, attributes) + location("S/app/deep", ON))
    assert at(loaded, "/app/deep").directory_browse.enabled
    home.web_config("www", ON)
    assert at(loaded, "/").directory_browse.enabled
    home.web_config("deep", ON)
    assert fault(loaded, "/app/deep").hresult == LOCKED
    home.web_config("app", ON)
    assert fault(loaded, "/app").hresult == LOCKED


def test_a_lock_is_opened_by_a_more_specific_tag_of_the_same_file(nested, home, fault, at):
    """For that path and below; the site's other paths stay closed."""
    web = '<httpLogging dontLog="true" />'
    home.web_config("app", web)
    home.web_config("www", web)
    loaded = nested(location("S/app", "<httpLogging />", 'overrideMode="Allow"'))
    assert fault(loaded, "/").hresult == LOCKED
    # The site's own file is wrong, and with it all below: without it the application is right.
    (home.folder / "www" / "web.config").unlink()
    assert at(loaded, "/app").http_logging.dont_log
    home.web_config("deep", web)
    assert at(loaded, "/app/deep").http_logging.dont_log


def test_a_deeper_file_cannot_open_what_is_locked_above_it(nested, home, fault):
    """Not even by a location tag of its own."""
    home.web_config("www", "", location("app", "<httpLogging />", 'overrideMode="Allow"'))
    assert fault(nested(), "/app").hresult == LOCKED


def test_a_web_config_may_lock_for_those_below_it(nested, home, fault, at):
    """And set the section itself."""
    home.web_config("www", "", location(".", ON, 'overrideMode="Deny"'))
    loaded = nested()
    assert at(loaded).directory_browse.enabled
    assert at(loaded, "/app").directory_browse.enabled
    home.web_config("app", OFF)
    assert fault(loaded, "/app").hresult == LOCKED


def test_sections_of_applications_are_refused_in_folders(nested, home, fault, at):
    """allowDefinition="MachineToApplication"."""
    (home.folder / "www" / "a").mkdir(parents=True)
    web = '<modules runAllManagedModulesForAllRequests="true" />'
    home.web_config("www", web)
    at(nested())
    home.web_config("www/a", web)
    assert fault(nested(), "/", "/a/x").hresult == LOCKED


def test_sections_that_may_not_be_in_a_location_tag(home, nested):
    """allowLocation="false" of a declaration."""
    declared = """<configSections><sectionGroup name="system.webServer">
      <section name="directoryBrowse" allowLocation="false" /></sectionGroup></configSections>"""
    text = f"<configuration>{declared}{location('S', ON)}</configuration>"
    errors = home.errors_of(text)
    assert any("cannot be used in a location tag" in e.message for e in errors)


@pytest.mark.parametrize(
    ("above", "below", "is_locked"),
    [
        ('lockAttributes="enabled"', 'enabled="true"', True),
        ('lockAttributes="enabled"', 'enabled="false"', True),
        ('lockAttributes="enabled"', 'showFlags="Date"', False),
        ('lockAttributes="enabled, showFlags"', 'showFlags="Date"', True),
        ('lockAttributes="*"', 'showFlags="Date"', True),
        ('lockAllAttributesExcept="showFlags"', 'enabled="true"', True),
        ('lockAllAttributesExcept="showFlags"', 'showFlags="Date"', False),
        ('lockItem="true"', 'showFlags="Date"', True),
        ('lockItem="false"', 'showFlags="Date"', False),
    ],
)
def test_locked_attributes(nested, home, fault, at, above, below, is_locked):
    """Setting one is a violation, even to the value that it has; the others are free."""
    home.web_config("app", f"\n<directoryBrowse {below} />")
    loaded = nested(web=f"<directoryBrowse {above} />")
    if is_locked:
        error = fault(loaded, "/app")
        assert (error.message, error.hresult, error.line) == ("Lock violation", LOCKED, 3)
    else:
        at(loaded, "/app")


@pytest.mark.parametrize(
    ("above", "below", "is_locked"),
    [
        ('lockElements="clear"', "<clear />", True),
        ('lockElements="clear"', '<remove value="a" />', False),
        ('lockElements="remove,clear"', '<remove value="a" />', True),
        ('lockElements="*"', '<add value="b" />', True),
        ('lockAllElementsExcept="add"', '<add value="b" />', False),
        ('lockAllElementsExcept="add"', "<clear />", True),
    ],
)
def test_locked_directives_of_a_collection(nested, home, fault, at, above, below, is_locked):
    """lockElements of a collection names its directives."""
    home.web_config("app", f"<defaultDocument><files>{below}</files></defaultDocument>")
    loaded = nested(
        web=f'<defaultDocument><files {above}><clear /><add value="a" /></files></defaultDocument>'
    )
    if is_locked:
        assert fault(loaded, "/app").message == "Lock violation"
    else:
        at(loaded, "/app")


def test_locked_child_elements(nested, home, fault, at):
    """lockElements of an element names its children."""
    web = "<defaultDocument><files><clear /></files></defaultDocument>"
    home.web_config("app", web)
    loaded = nested(web='<defaultDocument lockElements="files" />')
    assert fault(loaded, "/app").message == "Lock violation"
    home.web_config("app", '<defaultDocument enabled="false" />')
    assert not at(loaded, "/app").default_document.enabled


@pytest.mark.parametrize(
    ("below", "is_locked"),
    [
        ('<remove value="a" />', True),
        ("<clear />", True),
        ('<remove value="b" />', False),
        ('<add value="c" />', False),
    ],
)
def test_a_locked_item(nested, home, fault, at, below, is_locked):
    """It can neither be removed, nor its collection cleared; its neighbours can."""
    home.web_config("app", f"<defaultDocument><files>{below}</files></defaultDocument>")
    files = '<clear /><add value="a" lockItem="true" /><add value="b" />'
    loaded = nested(web=f"<defaultDocument><files>{files}</files></defaultDocument>")
    if is_locked:
        assert fault(loaded, "/app").message == "Lock violation"
    else:
        assert "a" in at(loaded, "/app").default_document.files


def test_a_lock_holds_for_deeper_files_not_for_later_tags_of_its_own(nested, home, fault, at):
    """The server's own location tags may set what the server's file has locked."""
    loaded = nested(location("S/app", ON), web='<directoryBrowse lockAttributes="enabled" />')
    assert at(loaded, "/app").directory_browse.enabled
    home.web_config("www", '<directoryBrowse lockAttributes="showFlags" />')
    home.web_config("app", '<directoryBrowse showFlags="Date" />')
    assert fault(loaded, "/app").message == "Lock violation"


def test_lock_attributes_that_make_no_sense(home, nested):
    """lockItem is a bool, overrideMode one of three words: said with line and column."""
    errors = home.errors(web='<directoryBrowse lockItem="maybe" />')
    assert "lockItem" in errors[0].message
    errors = home.errors(more='<location path="S" overrideMode="Perhaps" />')
    assert "Inherit, Allow, Deny" in errors[0].message


def test_a_file_from_iis_unlocks_its_sections_itself(home, at, xml):
    """Its own configSections count, not those of the built-in level."""
    declared = """<configSections><sectionGroup name="system.applicationHost">
      <section name="applicationPools" /><section name="sites" /></sectionGroup>
      <sectionGroup name="system.webServer">
      <section name="handlers" overrideModeDefault="Deny" />
      <section name="httpLogging" overrideModeDefault="Allow" /></sectionGroup></configSections>"""
    text = f"""<configuration>{declared}<system.applicationHost>
      <applicationPools><add name="p" /></applicationPools>
      <sites>{xml.site()}</sites></system.applicationHost></configuration>"""
    home.web_config("www", '<httpLogging dontLog="true" />')
    loaded = home.load(text)
    assert at(loaded).http_logging.dont_log
    home.web_config("www", '<handlers><remove name="TRACEVerbHandler" /></handlers>')
    with pytest.raises(ConfigErrors):
        at(loaded)


@pytest.mark.parametrize("section", ["security/ipSecurity", "fastCgi"])
def test_a_web_config_declares_no_section_of_the_server_s(home, nested, fault, section):
    """It could open to itself what is closed to it: 0x800700B7, as on IIS. Others it may."""
    groups = ["system.webServer", *section.split("/")[:-1]]
    before = "".join(f'<sectionGroup name="{group}">' for group in groups)
    declared = (
        f'{before}<section name="{section.rpartition("/")[2]}" overrideModeDefault="Allow" />'
    )
    declared += "</sectionGroup>" * len(groups)
    file = home.web_config("www", "")
    file.write_text(f"<configuration><configSections>{declared}</configSections></configuration>")
    error = fault(nested())
    assert error.message == f"There is a duplicate 'system.webServer/{section}' section defined"
    assert error.hresult == 0x800700B7


# ── parts in other files ────────────────────────────────────────────────────────────────────────


def test_a_section_that_lies_in_another_file(home, nested, at):
    """configSource takes it as a whole; faults in it are told with its own name and line."""
    home.web_config("www", '<directoryBrowse configSource="parts/browse.config" />')
    parts = home.folder / "www" / "parts"
    parts.mkdir()
    (parts / "browse.config").write_text('<directoryBrowse enabled="true" />')
    assert at(nested()).directory_browse.enabled
    text = '<directoryBrowse\n enabled="true">\n<bad /></directoryBrowse>'
    (parts / "browse.config").write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        at(nested())
    (error,) = caught.value.errors
    assert (error.file, error.line) == (str(parts / "browse.config"), 3)
    (parts / "browse.config").write_text('\n<directoryBrowse enabled="maybe" />')
    with pytest.raises(ConfigErrors) as caught:
        at(nested())
    (error,) = caught.value.errors
    assert (error.file, error.line) == (str(parts / "browse.config"), 2)


def test_children_that_lie_in_another_file(home, nested, at):
    """childSource takes them, and the element keeps its attributes; the server's file can too."""
    (home.file.parent / "files.config").write_text('<files><clear /><add value="z" /></files>')
    files = '<files childSource="files.config" />'
    loaded = nested(web=f'<defaultDocument enabled="false">{files}</defaultDocument>')
    assert at(loaded).default_document.files == ("z",)
    assert not at(loaded).default_document.enabled
    assert home.file.parent / "files.config" in loaded.source_files


@pytest.mark.parametrize(
    ("web", "content", "word"),
    [
        ('<directoryBrowse configSource="../x.config" />', None, "no file in this folder"),
        ('<directoryBrowse configSource="/etc/passwd" />', None, "no file in this folder"),
        ('<directoryBrowse configSource="" />', None, "no file in this folder"),
        ('<directoryBrowse configSource="x" enabled="true" />', None, "cannot lie here too"),
        ('<directoryBrowse configSource="none.config" />', None, "No such file"),
        ('<directoryBrowse configSource="x.config" />', "<other />", "must be 'directoryBrowse'"),
        ('<directoryBrowse configSource="x.config" />', "<directoryBrowse", "not well-formed"),
        (
            '<directoryBrowse configSource="x.config" />',
            '<directoryBrowse configSource="x.config" />',
            "names a further file",
        ),
        (
            '<defaultDocument childSource="x.config" />',
            '<defaultDocument enabled="true" />',
            "has attributes",
        ),
    ],
)
def test_parts_that_cannot_be_taken(home, nested, fault, web, content, word):
    """One clear fault each."""
    home.web_config("www", web)
    if content is not None:
        (home.folder / "www" / "x.config").write_text(content)
    assert word in fault(nested()).message
