"""What is in force below an application: virtual directories, folders, files."""

import os

import pytest

from was.errors import ConfigErrors

BROWSE = '<directoryBrowse enabled="{}" />'
DOCUMENT = '<defaultDocument enabled="false" />'
ON, OFF = BROWSE.format("true"), BROWSE.format("false")


def location(path, web, attributes=""):
    inner = f"<system.webServer>{web}</system.webServer>"
    return f'<location path="{path}" {attributes}>{inner}</location>'


@pytest.fixture
def app(home, xml):
    """Loads a site S with a folder www/a/b, an application /app, and /app/pics elsewhere."""
    (home.folder / "www" / "a" / "b").mkdir(parents=True)
    (home.folder / "app" / "x").mkdir(parents=True)
    (home.folder / "pics" / "y").mkdir(parents=True)

    def load(more="", pool="", directory=""):
        inner = f"""<application path="/app" applicationPool="p">
            <virtualDirectory path="/" physicalPath="app" {directory} />
            <virtualDirectory path="/pics" physicalPath="pics" /></application>"""
        return home.server(sites=xml.site(inner), more=more, pools=f'<add name="p" {pool} />')

    return load


@pytest.fixture
def browses(at):
    def ask(loaded, below, path="/"):
        return at(loaded, path, below=below).directory_browse.enabled

    return ask


def test_a_folder_s_own_file_holds_in_it_and_below(app, home, browses):
    """Also for paths that do not exist below it; not beside it, and not above."""
    home.web_config("www/a", ON)
    loaded = app()
    assert not browses(loaded, "/")
    assert not browses(loaded, "/A2/")
    for path in ("/a", "/a/", "/a/b", "/a/b/file.txt", "/a/none/at/all"):
        assert browses(loaded, path), path


def test_the_deeper_file_wins(app, home, browses):
    """Folder by folder."""
    home.web_config("www", ON)
    home.web_config("www/a", OFF)
    home.web_config("www/a/b", ON)
    loaded = app()
    assert [browses(loaded, p) for p in ("/", "/a/", "/a/b/")] == [True, False, True]


def test_a_virtual_directory_has_the_file_of_its_folder(app, home, browses):
    """Its place is its URL: it inherits from the application, not from folders above its own."""
    home.web_config("app", ON)
    home.web_config("pics", DOCUMENT)
    loaded = app()
    assert browses(loaded, "/app/pics/z", "/app")
    settings = loaded.settings(*_site_app(loaded), "/app/PICS/y/")
    assert not settings.default_document.enabled
    assert loaded.settings(*_site_app(loaded), "/app/x").default_document.enabled


def _site_app(loaded):
    (site,) = loaded.config.sites
    return site, next(a for a in site.applications if a.path == "/app")


def test_a_location_tag_may_name_a_folder_a_file_or_what_is_not_there(app, home, at, browses):
    """From the server's file, and from a web.config relative to its own place."""
    home.web_config("www", "", location("a/page.html", DOCUMENT) + location("made/up", ON))
    loaded = app(location("S/a/b", ON) + location("S/app/x/file.txt", ON))
    assert browses(loaded, "/a/b/c")
    assert not browses(loaded, "/a")
    assert not at(loaded, below="/a/PAGE.html").default_document.enabled
    assert at(loaded, below="/a/page2.html").default_document.enabled
    assert browses(loaded, "/made/up/3")
    assert not browses(loaded, "/made")
    assert browses(loaded, "/app/x/file.txt", "/app")
    assert not browses(loaded, "/app/x/", "/app")


def test_what_child_applications_do_not_inherit_holds_in_folders(app, home, browses):
    """inheritInChildApplications concerns applications alone."""
    attributes = 'inheritInChildApplications="false"'
    home.web_config("www", "", location(".", ON, attributes))
    loaded = app()
    assert browses(loaded, "/a/b")
    assert not browses(loaded, "/app", "/app")
    assert not browses(loaded, "/app/x", "/app")


def test_an_application_inherits_from_the_folders_that_its_path_leads_through(home, xml, at):
    """/a/app lies below the site's folder a by its URL, wherever its own folder is."""
    (home.folder / "www" / "a").mkdir(parents=True)
    home.web_config("www/a", ON)
    loaded = home.server(sites=xml.site(xml.application("/a/app", "app")))
    assert at(loaded, "/a/app").directory_browse.enabled


def test_allow_sub_dir_config(app, home, browses):
    """false: only the file at the virtual directory's own folder is read."""
    home.web_config("app", DOCUMENT)
    home.web_config("app/x", ON)
    assert browses(app(), "/app/x", "/app")
    loaded = app(directory='allowSubDirConfig="false"')
    assert not browses(loaded, "/app/x", "/app")
    assert not loaded.settings(*_site_app(loaded), "/app/x").default_document.enabled


def test_enable_configuration_override(app, home, browses):
    """false: no web.config at all; location tags of the server's file hold on."""
    home.web_config("app/x", ON)
    assert not browses(app(pool='enableConfigurationOverride="false"'), "/app/x", "/app")
    loaded = app(location("S/app/x", ON), pool='enableConfigurationOverride="false"')
    assert browses(loaded, "/app/x/y", "/app")


def test_a_broken_file_breaks_its_folder_and_nothing_else(app, home, at):
    """Everything at and below it fails with the file's own fault."""
    path = home.web_config("www/a", "<nonsense />")
    loaded = app()
    at(loaded, below="/")
    at(loaded, below="/other")
    for below in ("/a", "/a/b/c"):
        with pytest.raises(ConfigErrors) as caught:
            at(loaded, below=below)
        assert {e.file for e in caught.value.errors} == {str(path)}


def test_paths_that_nobody_speaks_of_share_one_object(app, home):
    """However deep, and however many: a call list for each would be memory for nothing."""
    home.web_config("www/a", ON)
    loaded = app()
    (site,) = loaded.config.sites
    root = next(a for a in site.applications if a.path == "/")
    found = {id(loaded.settings(site, root, f"/user/{n}/{n}")) for n in range(50)}
    found |= {id(loaded.settings(site, root, p)) for p in ("/", "/made/up", "/index.html")}
    assert len(found) == 1
    below = {id(loaded.settings(site, root, p)) for p in ("/a", "/a/b", "/a/b/c/d")}
    assert len(below) == 1
    assert found != below


def test_the_files_that_decide(app, home):
    """Every web.config on the way, there or not, and that of the first folder that is missing."""
    loaded = app()
    (site,) = loaded.config.sites
    root = next(a for a in site.applications if a.path == "/")
    www = home.folder / "www"
    found = loaded.files(site, root, "/a/b/none/more")
    folders = [www, www / "a", www / "a" / "b", www / "a" / "b" / "none"]
    assert found == [folder / "web.config" for folder in folders]


def test_a_folder_that_comes_and_goes(app, home, at):
    """Forgetting its parent is enough to see a folder with a file, and that it has gone again."""
    loaded = app()
    (site,) = loaded.config.sites
    root = next(a for a in site.applications if a.path == "/")
    assert not loaded.settings(site, root, "/new/x").directory_browse.enabled
    (home.folder / "www" / "new").mkdir()
    home.web_config("www/new", ON)
    loaded.forget(str(home.folder / "www" / "new"))
    assert loaded.settings(site, root, "/new/x").directory_browse.enabled
    (home.folder / "www" / "new" / "web.config").unlink()
    os.rmdir(home.folder / "www" / "new")
    loaded.forget(str(home.folder / "www" / "new"))
    assert not loaded.settings(site, root, "/new/x").directory_browse.enabled


def test_letter_case_of_folders_is_the_file_system_s(app, home, browses):
    """Two folders that differ in case are two; a location tag means both."""
    (home.folder / "www" / "Case").mkdir()
    (home.folder / "www" / "case").mkdir()
    home.web_config("www/case", ON)
    loaded = app(location("S/CASE", DOCUMENT))
    assert browses(loaded, "/case/x")
    assert not browses(loaded, "/Case/x")
    (site,) = loaded.config.sites
    root = next(a for a in site.applications if a.path == "/")
    for path in ("/case", "/Case"):
        assert not loaded.settings(site, root, path).default_document.enabled
