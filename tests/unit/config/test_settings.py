"""What is in force at an application: location tags and web.config files over the server."""

import os

import pytest

from was.config.files import validate
from was.errors import ConfigErrors

BROWSE = '<directoryBrowse enabled="{}" />'


def location(path, web, attributes=""):
    inner = f"<system.webServer>{web}</system.webServer>"
    return f'<location path="{path}" {attributes}>{inner}</location>'


@pytest.fixture
def nested(home, xml):
    """A function that loads a site S with /app and /app/deep, each with a folder of its own."""

    def load(more="", web="", pools='<add name="p" />'):
        inner = xml.application("/app", "app") + xml.application("/app/deep", "deep")
        return home.server(sites=xml.site(inner), more=more, web=web, pools=pools)

    return load


def test_a_location_tag_holds_at_its_path_and_below(nested, at):
    """Site, application, letter case ignored; and nowhere else."""
    loaded = nested(location("s/APP", BROWSE.format("true")))
    assert not at(loaded).directory_browse.enabled
    assert at(loaded, "/app").directory_browse.enabled
    assert at(loaded, "/app/deep").directory_browse.enabled


def test_the_web_config_of_a_root_holds_below_it(nested, home, at):
    """The site's for all its applications, an application's for itself and those under it."""
    home.web_config("www", BROWSE.format("true"))
    home.web_config("app", '<defaultDocument enabled="false" />')
    loaded = nested()
    assert at(loaded).directory_browse.enabled
    assert at(loaded, "/app/deep").directory_browse.enabled
    assert at(loaded).default_document.enabled
    assert not at(loaded, "/app").default_document.enabled
    assert not at(loaded, "/app/deep").default_document.enabled


def test_deeper_beats_outer_and_at_one_path_the_files_own_beats_the_outer_files(nested, home, at):
    """A location tag for Site/app beats the site's web.config at app, and loses to app's own."""
    loaded = nested(location("S/app", BROWSE.format("true")))
    home.web_config("www", BROWSE.format("false"))
    assert at(loaded, "/app").directory_browse.enabled
    home.web_config("app", BROWSE.format("false"))
    assert not at(loaded, "/app").directory_browse.enabled


def test_a_location_tag_in_a_web_config_is_relative_to_it(nested, home, at):
    """The site's web.config speaks about app, the application's about deep; "." is itself."""
    home.web_config("www", "", location("app", BROWSE.format("true")))
    home.web_config("app", "", location("deep", '<defaultDocument enabled="false" />'))
    loaded = nested()
    assert not at(loaded).directory_browse.enabled
    assert at(loaded, "/app").directory_browse.enabled
    assert at(loaded, "/app").default_document.enabled
    assert not at(loaded, "/app/deep").default_document.enabled


def test_settings_may_be_kept_from_child_applications(nested, home, at):
    """inheritInChildApplications=false: at this path, and not for applications below."""
    attributes = 'inheritInChildApplications="false"'
    home.web_config("www", "", location(".", BROWSE.format("true"), attributes))
    loaded = nested(location("S/app", '<defaultDocument enabled="false" />', attributes))
    assert at(loaded).directory_browse.enabled
    assert not at(loaded, "/app").directory_browse.enabled
    assert not at(loaded, "/app").default_document.enabled
    assert at(loaded, "/app/deep").default_document.enabled


def test_handlers_and_default_documents_of_a_deeper_level_come_first(nested, home, at):
    """mergeAppend=false for these two; headers and MIME types are appended."""
    home.web_config(
        "app",
        """<handlers><add name="mine" path="*.x" verb="*" modules="StaticFileModule" /></handlers>
        <defaultDocument><files><add value="start.html" /></files></defaultDocument>
        <staticContent><mimeMap fileExtension=".NEW" mimeType="a/b" /></staticContent>
        <httpProtocol><customHeaders><add name="X-B" value="2" /></customHeaders></httpProtocol>""",
    )
    header = (
        '<httpProtocol><customHeaders><add name="X-A" value="1" /></customHeaders></httpProtocol>'
    )
    settings = at(nested(web=header), "/app")
    assert [h.name for h in settings.handlers.entries][:2] == ["mine", "CGI-exe"]
    assert settings.default_document.files[:2] == ("start.html", "Default.htm")
    assert list(settings.static_content.mime_map)[-1] == ".new"
    assert [h.name for h in settings.http_protocol.custom_headers] == ["X-A", "X-B"]


def test_clear_and_remove_work_on_what_is_inherited(nested, home, at):
    """One key, or everything; both before what the level itself adds."""
    home.web_config(
        "app",
        """<handlers><remove name="TRACEVerbHandler" /></handlers>
        <defaultDocument><files><clear /><add value="a" /></files></defaultDocument>
        <httpErrors><remove statusCode="404" />
          <error statusCode="404" path="/x" responseMode="ExecuteURL" /></httpErrors>
        <staticContent><remove fileExtension=".html" /></staticContent>""",
    )
    settings = at(nested(), "/app")
    assert [h.name for h in settings.handlers.entries] == [
        "CGI-exe",
        "ISAPI-dll",
        "SSINC-stm",
        "SSINC-shtm",
        "SSINC-shtml",
        "OPTIONSVerbHandler",
        "StaticFile",
    ]
    assert settings.default_document.files == ("a",)
    assert settings.http_errors.entries[-1].path == "/x"
    assert ".html" not in settings.static_content.mime_map


def test_a_web_config_may_not_add_what_is_there_already(nested, home, at):
    """Without remove or clear a duplicate is an error at its line, 0x800700B7."""
    path = home.web_config(
        "app", '\n<staticContent><mimeMap fileExtension=".HTML" mimeType="x/y" /></staticContent>'
    )
    loaded = nested()
    with pytest.raises(ConfigErrors) as caught:
        at(loaded, "/app")
    (error,) = caught.value.errors
    assert (error.file, error.line, error.hresult) == (str(path), 3, 0x800700B7)
    assert error.message.endswith("with unique key attribute 'fileExtension' set to '.HTML'")


@pytest.mark.parametrize(
    ("web", "hresult"),
    [
        ("<nonsense />", 0x8007000D),
        ("<directoryBrowse enabled='x' />", 0x8007000D),
        ("<directoryBrowse>", 0x8007000D),
        ("<globalModules />", 0x80070021),
        ("<handlers><add name='h' path='*' verb='*' modules='No' /></handlers>", 0x8007007E),
    ],
)
def test_a_broken_web_config_stops_its_part_only(nested, home, at, web, hresult):
    """What is below the file raises with file, line and code; the rest of the server goes on."""
    path = home.web_config("app", web)
    loaded = nested()
    assert at(loaded)
    for below in ("/app", "/app/deep"):
        with pytest.raises(ConfigErrors) as caught:
            at(loaded, below)
        error = caught.value.errors[0]
        assert (error.file, error.hresult) == (str(path), hresult)
        assert error.line >= 2


def test_a_web_config_that_cannot_be_read_says_so(nested, home, at):
    """A folder in its place, or no right to read it, is a fault and not an empty level."""
    (home.folder / "app" / "web.config").mkdir(parents=True)
    with pytest.raises(ConfigErrors) as caught:
        at(nested(), "/app")
    assert caught.value.errors[0].hresult == 0x80070003
    if os.geteuid() != 0:
        home.web_config("www", "").chmod(0)
        with pytest.raises(ConfigErrors) as caught:
            at(nested())
        assert caught.value.errors[0].hresult == 0x80070005


def test_a_pool_may_ignore_web_config_files(nested, home, at):
    """enableConfigurationOverride=false: none is read, not even a broken one, and none watched."""
    home.web_config("www", "<broken>")
    loaded = nested(pools='<add name="p" enableConfigurationOverride="false" />')
    assert at(loaded)
    site = loaded.config.sites[0]
    assert loaded.files(site, site.applications[0]) == []


def test_the_files_to_watch_are_those_that_would_be_read(nested, home):
    """Outermost first, whether or not they exist yet."""
    loaded = nested()
    site = loaded.config.sites[0]
    files = [str(f.relative_to(home.folder)) for f in loaded.files(site, site.applications[2])]
    assert files == ["www/web.config", "app/web.config", "deep/web.config"]


def test_a_change_of_a_web_config_is_seen_once_its_folder_is_forgotten(nested, home, at):
    """The folder's part of the tree is read again, and what lies beside it is kept."""
    loaded = nested()
    (site,) = loaded.config.sites
    root, app, _deep = sorted(site.applications, key=lambda a: len(a.path))
    before = loaded.settings(site, root)
    assert not loaded.settings(site, app).directory_browse.enabled
    home.web_config("app", BROWSE.format("true"))
    assert not loaded.settings(site, app).directory_browse.enabled
    loaded.forget(str(home.folder / "www"))
    loaded.forget(str(home.folder / "deep"))
    loaded.forget(str(home.folder / "app"))
    assert loaded.settings(site, app).directory_browse.enabled
    assert loaded.settings(site, root) is before


def test_applications_without_settings_of_their_own_share_one_object(nested, at):
    """What ten thousand sites inherit is there once."""
    loaded = nested()
    assert at(loaded) is at(loaded, "/app")


def test_managed_sections_of_a_web_config_are_left_unread(nested, home, at):
    """An ASP.NET application's own sections are no fault."""
    more = (
        '<appSettings><add key="a" value="b" /></appSettings><system.web><x>text</x></system.web>'
    )
    home.web_config("www", "", more)
    assert at(nested())


def test_any_section_can_be_asked_for_by_its_path(nested, at):
    """Every section of the schema, complete with defaults, whether anybody wrote it or not."""
    settings = at(nested(web='<httpRedirect destination="/x" />'))
    redirect = settings.section("system.webServer/httpRedirect")
    assert (redirect["destination"], redirect["httpResponseStatus"]) == ("/x", "Found")
    authorization = settings.section("system.webServer/security/authorization")
    assert authorization.items[0]["users"] == "*"
    scan = settings.section("system.webServer/security/requestFiltering")
    assert scan.elements["requestLimits"]["maxUrl"] == 4096
    with pytest.raises(KeyError):
        settings.section("system.webServer/nothing")


def test_request_filtering_is_typed_to_its_last_list(nested, at):
    """Each of its collections arrives under its own name."""
    web = """<security><requestFiltering allowDoubleEscaping="true">
      <requestLimits maxUrl="10"><headerLimits><add header="X" sizeLimit="5" /></headerLimits>
      </requestLimits>
      <fileExtensions allowUnlisted="false"><add fileExtension=".py" allowed="false" />
      </fileExtensions>
      <verbs applyToWebDAV="false"><add verb="PUT" allowed="false" /></verbs>
      <denyUrlSequences><add sequence=".." /></denyUrlSequences>
      <alwaysAllowedUrls><add url="/ok" /></alwaysAllowedUrls>
      <filteringRules><filteringRule name="r" scanUrl="true">
        <denyStrings><add string="bad" /></denyStrings>
        <scanHeaders><add requestHeader="User-Agent" /></scanHeaders>
      </filteringRule></filteringRules>
    </requestFiltering></security>"""
    filtering = at(nested(web=web)).request_filtering
    limit = filtering.request_limits.header_limits[0]
    assert (limit.header, limit.size_limit, filtering.request_limits.max_url) == ("X", 5, 10)
    extension = filtering.file_extensions.entries[0]
    assert (extension.value, extension.allowed) == (".py", False)
    assert filtering.verbs.entries[0].value == "PUT"
    assert filtering.deny_url_sequences == ("..",)
    assert filtering.always_allowed_urls == ("/ok",)
    rule = filtering.filtering_rules[0]
    assert (rule.deny_strings, rule.scan_headers, rule.scan_url) == (
        ("bad",),
        ("User-Agent",),
        True,
    )


def test_locations_are_checked_even_where_no_application_is(nested):
    """A duplicate in a location tag is found on loading, a bad path too."""
    two = "<staticContent><mimeMap fileExtension='.html' mimeType='x/y' /></staticContent>"
    with pytest.raises(ConfigErrors) as caught:
        nested(location("S/app/some/folder", two))
    assert "fileExtension" in caught.value.errors[0].message
    for path in ("/S", "S/*", "S/a:b"):
        with pytest.raises(ConfigErrors):
            nested(location(path, ""))
    with pytest.raises(ConfigErrors):
        nested(location("S", "", 'overrideMode="Deny" allowOverride="false"'))


def test_a_section_of_the_server_cannot_stand_in_a_location_tag(nested):
    """AppHostOnly means the server's own level and nothing below it."""
    with pytest.raises(ConfigErrors) as caught:
        nested(location("S", "<globalModules />"))
    assert caught.value.errors[0].hresult == 0x80070021
    assert nested(location("", "<globalModules />"))


def test_validate_reports_the_web_config_files_too(nested, home):
    """Every fault once, however many applications inherit it, and the warnings beside them."""
    home.web_config("www", "<nonsense />")
    nested(web='<odbcLogging dataSource="logs" />')
    report = validate(home.file)
    assert [e.message for e in report.errors] == ["Unrecognized element 'nonsense'"]
    assert len([w for w in report.warnings if "no effect here" in w]) == 1
    home.write("<configuration>")
    assert "not well-formed" in validate(home.file).errors[0].message


def test_validate_reports_those_of_virtual_directories(home, xml):
    """Their folders lie anywhere; what is wrong or idle there is said as that of a root."""
    directory = '<virtualDirectory path="/pictures/old" physicalPath="pictures" />'
    inner = xml.application("/app", "app").replace("</application>", f"{directory}</application>")
    path = home.web_config("pictures", "<nonsense /><tracing><traceFailedRequests /></tracing>")
    home.server(sites=xml.site(inner))
    report = validate(home.file)
    assert [error.file for error in report.errors] == [str(path)]
    assert [w for w in report.warnings if "no effect here" in w and str(path) in w]


def test_modules_that_are_not_here_are_said(nested, home):
    """One of ASP.NET's, or a DLL: it may be the one that keeps people out."""
    known = '<globalModules><add name="Dll" image="x.dll" /></globalModules>'
    server = '<modules><add name="Dll" /><add name="WebSocketModule" /></modules>'
    inner = '<modules><add name="Own" type="Own.Guard, Own" /></modules>'
    opened = '<location overrideMode="Allow"><system.webServer>{}</system.webServer></location>'
    path = home.web_config("app", inner)
    nested(opened.format(server), web=known)
    said = [w for w in validate(home.file).warnings if ": module " in w]
    assert [w.partition(": ")[2] for w in said] == [
        "module Dll: no effect here",
        "module Own: no effect here",
    ]
    assert said[1].startswith(str(path))


def test_handlers_of_modules_that_are_not_here(nested, home, at):
    """IIS's own, at the server's level, are left out; one that somebody adds for a path stays.

    Its files must not be served as they are: the worker answers 500.21.
    """
    modules = '<globalModules><add name="X" image="x.dll" /></globalModules>'
    server = '<handlers><add name="all" path="*.x" verb="*" modules="X" /></handlers>'
    home.web_config("app", '<handlers><add name="mine" path="*" verb="*" modules="X" /></handlers>')
    loaded = nested(web=modules + server)
    assert "all" not in [h.name for h in at(loaded).handlers.entries]
    assert at(loaded, "/app").handlers.entries[0].name == "mine"
    warnings = validate(home.file).warnings
    assert any("handler all: no effect here" in w for w in warnings)
    assert any("handler mine: not available here, its requests get 500.21" in w for w in warnings)
