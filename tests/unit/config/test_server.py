"""applicationHost.config: what it may say, what comes of it, and every fault with its place."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from was.config.files import load_server, validate
from was.config.model import CpuAction, IdentityType, Replay, StartMode
from was.errors import ConfigErrors

FULL = """<configuration><system.applicationHost>
<applicationPools><add name="p" queueLength="50" startMode="OnDemand">
  <processModel identityType="NetworkService" idleTimeout="00:20:00" />
  <recycling logEventOnRecycle="Time"><periodicRestart time="00:00:00"><schedule>
    <add value="03:00:00" /></schedule></periodicRestart></recycling>
  <environmentVariables><add name="A" value="1" /></environmentVariables>
  <requests replay="safe" /></add></applicationPools>
<sites><site name="S" id="1"><bindings><binding protocol="http" bindingInformation="*:80:" />
  </bindings><logFile logExtFileFlags="Date"><customFields>
  <add logFieldName="f" sourceName="X" sourceType="RequestHeader" /></customFields></logFile>
  <application path="/" applicationPool="p"><virtualDirectory path="/" physicalPath="w" />
  </application></site></sites></system.applicationHost>
<system.webServer><globalModules><add name="M" image="m" /></globalModules>
<modules><add name="M" type="" /></modules>
<handlers accessPolicy="Read"><add name="h" path="*" verb="*" modules="M" resourceType="File" />
</handlers><httpErrors><error statusCode="404" subStatusCode="1" path="x" /></httpErrors>
<security><authorization><add accessType="Deny" users="x" /></authorization></security>
</system.webServer>
<location path="S"><system.webServer><directoryBrowse enabled="true" showFlags="Date" />
</system.webServer></location></configuration>"""
ODD_TEXT = st.one_of(
    st.sampled_from(["", "*", "/", "true", "0", "-1", "None", "a,b", "%A%", "[::1]:0:", "x.dll"]),
    st.text("aA0:/.*%,[] -é", max_size=12),
)


def wsgi(text):
    """A handlers section that maps everything to a callable."""
    entry = f'modules="WsgiModule" scriptProcessor="{text}"'
    return f'<handlers><add name="h" path="*" verb="*" {entry} /></handlers>'


def messages(errors):
    return [e.message for e in errors]


def test_pools_take_their_values_then_the_defaults_element_then_the_schema(home):
    """applicationPoolDefaults fills in what an entry does not say, attribute by attribute."""
    pools = """
      <add name="a" queueLength="50"><processModel maxProcesses="3" /></add>
      <add name="b"><recycling><periodicRestart requests="7"><schedule><add value="03:00:00" />
        </schedule></periodicRestart></recycling></add>
      <applicationPoolDefaults queueLength="20" startMode="AlwaysRunning">
        <processModel idleTimeout="00:05:00" /><cpu action="Throttle" />
      </applicationPoolDefaults>"""
    loaded = home.server(pools=pools, sites="")
    a, b = loaded.config.app_pools["a"], loaded.config.app_pools["b"]
    assert (a.queue_length, b.queue_length) == (50, 20)
    assert a.start_mode is StartMode.ALWAYS_RUNNING
    assert (a.process_model.max_processes, a.process_model.idle_timeout_s) == (3, 300.0)
    assert b.process_model.max_processes == 1
    assert b.cpu.action is CpuAction.THROTTLE
    assert b.recycling.periodic_restart.schedule == (10800.0,)
    assert b.recycling.periodic_restart.requests == 7
    assert list(loaded.config.app_pools) == ["a", "b"]


def test_our_own_elements_of_a_pool(home):
    """requests, python and isolation extend IIS's pool by the second schema file."""
    pool = """<add name="p">
      <requests timeLimit="00:00:10" replay="idempotent" maxReplays="0" streaming="true" />
      <python virtualEnvironment="venv" threads="4" />
      <isolation sandbox="false" writable="/a;%WAS_HOME%/b" />
      <environmentVariables><add name="A" value="1" /><add name="a" value="2" />
      </environmentVariables></add>"""
    p = home.server(pools=pool).config.app_pools["p"]
    assert (p.requests.time_limit_s, p.requests.replay) == (10.0, Replay.IDEMPOTENT)
    assert (p.requests.max_replays, p.requests.streaming) == (0, True)
    assert p.python.virtual_environment == str(home.folder / "venv")
    assert p.python.threads == 4
    assert p.isolation.writable_paths == ("/a", f"{home.folder}/b")
    assert p.environment_variables == {"A": "1", "a": "2"}


def test_an_items_own_collection_replaces_that_of_the_defaults(home):
    """Environment variables of a pool do not merge with those of applicationPoolDefaults."""
    variables = "<environmentVariables><add name='{}' value='1' /></environmentVariables>"
    pools = f"""<add name="a">{variables.format("X")}</add><add name="b" />
      <applicationPoolDefaults>{variables.format("D")}</applicationPoolDefaults>"""
    found = home.server(pools=pools, sites="").config.app_pools
    assert found["a"].environment_variables == {"X": "1"}
    assert found["b"].environment_variables == {"D": "1"}


def test_sites_have_bindings_applications_and_folders(home, xml):
    """Bindings are taken apart; a relative folder is relative to the home."""
    inner = """<limits connectionTimeout="00:00:05" maxUrlSegments="3" />
      <logFile enabled="false" directory="%LOGS%/x" logExtFileFlags="Date, Time">
        <customFields maxCustomFieldLength="99">
          <add logFieldName="f" sourceName="X-F" sourceType="RequestHeader" />
        </customFields></logFile>""" + xml.application("/app", "/srv/app", "P")
    home.environment["LOGS"] = "/var/log"
    (site,) = home.server(sites=xml.site(inner, binding="[::1]:8080:Host")).config.sites
    (binding,) = site.bindings
    assert (binding.protocol, binding.ip, binding.port, binding.host) == (
        "http",
        "::1",
        8080,
        "host",
    )
    assert [a.path for a in site.applications] == ["/", "/app"]
    assert site.applications[0].physical_path == str(home.folder / "www")
    assert site.applications[1].physical_path == "/srv/app"
    assert site.applications[1].application_pool == "p"
    assert (site.limits.connection_timeout_s, site.limits.max_url_segments) == (5.0, 3)
    assert (site.log_file.enabled, site.log_file.directory) == (False, "/var/log/x")
    assert site.log_file.max_custom_field_length == 99
    assert site.log_file.custom_fields[0].source_type == "RequestHeader"
    assert sorted(site.log_file.log_ext_file_flags) == ["Date", "Time"]


def test_the_nearest_default_element_wins(home):
    """A site's applicationDefaults come before those of all sites; same for directories."""
    sites = """
      <applicationDefaults applicationPool="p" preloadEnabled="true" />
      <virtualDirectoryDefaults physicalPath="/d" />
      <site name="A" id="1">
        <applicationDefaults applicationPool="q" />
        <application path="/"><virtualDirectory path="/" /></application>
      </site>
      <site name="B" id="2"><application path="/"><virtualDirectory path="/" /></application></site>
      <siteDefaults serverAutoStart="false"><limits maxConnections="9" /></siteDefaults>"""
    a, b = home.server(pools='<add name="p" /><add name="q" />', sites=sites).config.sites
    assert (a.applications[0].application_pool, b.applications[0].application_pool) == ("q", "p")
    assert a.applications[0].preload_enabled
    assert b.applications[0].physical_path == "/d"
    assert (a.server_auto_start, b.limits.max_connections) == (False, 9)


def test_all_faults_are_reported_at_once_each_with_its_place(home):
    """File, line, column and section; a wrong attribute does not hide the rest."""
    text = """<configuration>
  <system.applicationHost>
    <applicationPools>
      <add name="p" queueLength="5" colour="red">
        <processModel identityType="Nobody" />
        <unknown />
      </add>
    </applicationPools>
    <nonsense />
  </system.applicationHost>
  <system.webServer>
    <directoryBrowse enabled="maybe">text</directoryBrowse>
  </system.webServer>
</configuration>"""
    home.write(text)
    with pytest.raises(ConfigErrors) as caught:
        load_server(home.file)
    errors = caught.value.errors
    pools = "system.applicationHost/applicationPools"
    assert [(e.line, e.column, e.section) for e in errors] == [
        (4, 7, pools),
        (4, 7, pools),
        (5, 9, pools),
        (6, 9, pools),
        (9, 5, "system.applicationHost"),
        (12, 5, "system.webServer/directoryBrowse"),
        (12, 38, "system.webServer/directoryBrowse"),
    ]
    assert {e.file for e in errors} == {str(home.file)}
    assert messages(errors)[1] == "Unrecognized attribute 'colour'"
    assert messages(errors)[3] == "Unrecognized element 'unknown'"
    assert messages(errors)[4] == "Unrecognized element 'nonsense'"
    assert "Integer value must be between 10 and 65535 inclusive" in messages(errors)[0]


@pytest.mark.parametrize("tag", ["clear", 'remove value="a"'])
@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (" x='1' />", "Unrecognized attribute 'x'"),
        ("><x /></{name}>", "Unrecognized element 'x'"),
        (">text</{name}>", "Unrecognized text in element '{name}'"),
    ],
)
def test_tags_that_take_items_away_say_nothing_else(home, tag, wrong, what):
    """What is more in them is a fault with its place, as it is in a tag that adds."""
    name = tag.partition(" ")[0]
    files = f"<files>\n<{tag}{wrong.format(name=name)}</files>"
    (error,) = home.errors(web=f"<defaultDocument>{files}</defaultDocument>")
    assert messages([error]) == [what.format(name=name)]
    assert (error.file, error.line) == (str(home.file), 16)


@pytest.mark.parametrize(
    "attribute", ["inheritInChildApplications", "allowOverride", "allowLocation"]
)
def test_true_and_false_are_spelled_out(home, attribute):
    """Of what no schema describes too: a slip of the pen is not taken for the default."""
    text = f'<location {attribute}="flase" />'
    if attribute == "allowLocation":
        text = f'<configSections><section name="x" {attribute}="flase" /></configSections>'
    (error,) = home.errors_of(f"<configuration>{text}</configuration>")
    assert error.message.endswith("Enum must be one of true, false")
    assert f"'{attribute}'" in error.message


def test_a_lock_that_locks_nothing_is_reported(home):
    """A name that the element does not have is a fence that is not there."""
    known = '<directoryBrowse lockAttributes="enabled,*" lockAllAttributesExcept="showFlags" />'
    assert home.server(web=known).config.warnings == ()
    files = '<files lockElements="remove,clear,delete" lockItem="true" />'
    wrong = f'<defaultDocument lockAttributes="enabled,enable">{files}</defaultDocument>'
    assert [w.partition(": ")[2] for w in home.server(web=wrong).config.warnings] == [
        "defaultDocument/@lockAttributes: 'enable': no effect here",
        "files/@lockElements: 'delete': no effect here",
    ]


def test_faults_are_listed_in_the_order_of_the_lines(home):
    """Whichever of them is found first: those of one item, of all of them, or of the whole."""
    text = """<configuration><system.applicationHost>
<applicationPools><add name="p" colour="red" />
<add name="p" />
<add /></applicationPools>
<sites><site name="S" id="1"><bindings />
<application path="/" applicationPool="q"><virtualDirectory path="/" physicalPath="/" />
</application></site></sites></system.applicationHost>
<system.webServer><directoryBrowse enabled="maybe" /></system.webServer></configuration>"""
    home.write(text)
    for errors in (validate(home.file).errors, _errors_of(home.file)):
        assert [e.line for e in errors] == [2, 3, 4, 6, 8]


def _errors_of(file):
    with pytest.raises(ConfigErrors) as caught:
        load_server(file)
    return caught.value.errors


def test_duplicate_keys_are_told_in_the_words_of_iis(home, xml):
    """A unique key, each of several unique keys, and a combined key."""
    pools = '<add name="p" /><add name="P" />'
    two = "<binding protocol='http' bindingInformation='*:80:' />" * 2
    sites = (
        xml.site()
        + xml.site(name="T", binding="*:81:")
        + f"""
      <site name="U" id="3"><bindings>{two}</bindings></site>"""
    )
    entry = "Cannot add duplicate collection entry of type"
    found = [e for e in home.errors(pools=pools, sites=sites) if e.message.startswith(entry)]
    assert messages(found) == [
        f"{entry} 'add' with unique key attribute 'name' set to 'P'",
        f"{entry} 'site' with unique key attribute 'id' set to '1'",
        f"{entry} 'binding' with combined key attributes 'protocol, bindingInformation' "
        "respectively set to 'http, *:80:'",
    ]
    assert {e.hresult for e in found} == {0x800700B7}
    assert all(e.line and e.column for e in found)


def test_an_application_must_name_a_pool_that_exists(home, xml):
    """Names of pools ignore case; a name that no pool has is an error at the application."""
    assert home.server(sites=xml.site(pool="P")).config.sites[0].applications
    (error,) = home.errors(sites=xml.site(pool="nope"))
    assert "nope" in error.message
    assert error.line


def test_a_site_needs_a_root_and_an_application_a_folder(home):
    """Without application `/` nothing answers `/`; without directory `/` there is no content."""
    sites = """<site name="A" id="1" />
      <site name="B" id="2"><application path="/" applicationPool="p" /></site>"""
    assert messages(home.errors(sites=sites)) == [
        "Site 'A' has no application '/'",
        "Application 'B/' has no virtual directory '/'",
    ]


def test_required_attributes_are_asked_for_by_name(home):
    """Also where a default element could have supplied them and does not."""
    sites = """<site id="1" /><site name="B" id="2"><application path="/" applicationPool="p">
      <virtualDirectory path="/" /></application></site>"""
    assert messages(home.errors(sites=sites)) == [
        "Required attribute 'name' not found",
        "Site '' has no application '/'",
        "Required attribute 'physicalPath' not found",
    ]


def test_two_sites_may_not_share_a_binding(home, xml):
    """However it is written; port 0 is nobody's."""
    same = xml.site(binding="*:80:Host") + xml.site(name="T", number=2, binding=":80:host")
    (error,) = home.errors(sites=same)
    assert "Site 'T' has the same binding ':80:host' as site 'S'" in error.message
    assert error.hresult == 0x800700B7
    free = xml.site(binding="*:0:") + xml.site(name="T", number=2, binding="*:0:")
    assert len(home.server(sites=free).config.sites) == 2
    hosts = xml.site(binding="*:80:a") + xml.site(name="T", number=2, binding="*:80:b")
    assert len(home.server(sites=hosts).config.sites) == 2


def test_a_binding_that_is_none_is_an_error(home, xml):
    """The message says which part is wrong."""
    (error,) = home.errors(sites=xml.site(binding="*:99999:"))
    assert error.message.startswith("Invalid bindingInformation '*:99999:': '99999'")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('modules="RubyModule"', "Handler 'h' names the module 'RubyModule', which is not in"),
        ("", "Handler 'h' names no module"),
        ('modules="WsgiModule"', "Handler 'h' needs a scriptProcessor of the form module:callable"),
        ('modules="WsgiModule" scriptProcessor="shop"', "which is not of the form"),
        ('modules="WsgiModule" scriptProcessor="a.b:"', "which is not of the form"),
        (
            'modules="WsgiModule" scriptProcessor="a-b:c"',
            "which is not of the form",
        ),
        (
            'modules="WsgiModule" scriptProcessor="a:make(open(1))"',
            "which is not of the form module:callable: a factory takes literals only",
        ),
    ],
)
def test_a_handler_must_name_something(home, entry, message):
    """A module of globalModules, and for WSGI what to call; an error with its line otherwise."""
    web = f'<handlers>\n<add name="h" path="*" verb="*" {entry} /></handlers>'
    (error,) = home.errors(web=web)
    assert message in error.message
    assert error.section == "system.webServer/handlers"
    assert (error.line > 1, error.column) == (True, 1)
    if "modules=" not in entry or "Ruby" in entry:
        assert "available are AnonymousAuthenticationModule" in error.message


@pytest.mark.parametrize(
    "text",
    ["shop:app", "shop.wsgi:application", "a.b:make.app", "a:make()", "a:make('x', y={'z': -1})"],
)
def test_callables_have_a_module_and_a_name(home, at, text):
    """module:callable, dotted on both sides, or a factory."""
    web = wsgi(text)
    handler = at(home.server(web=web)).handlers.entries[0]
    assert (handler.script_processor, handler.modules) == (text, ("WsgiModule",))


def test_a_module_must_be_among_the_global_ones(home):
    """A native module in `modules` that globalModules does not name is an error."""
    (error,) = home.errors(web='<modules><add name="Ghost" /></modules>')
    assert "Module 'Ghost' is not in globalModules" in error.message


def test_a_module_of_ones_own(home, at):
    """globalModules names the Python module, modules puts it to use, handlers may name it."""
    web = """<globalModules><add name="Mine" image="shop.module" /></globalModules>
      <modules><add name="Mine" /></modules>
      <handlers><add name="h" path="/x" verb="GET,POST" modules="Mine" /></handlers>"""
    loaded = home.server(web=web)
    assert loaded.config.global_modules[-1].image == "shop.module"
    assert at(loaded).modules[-1].name == "Mine"
    assert at(loaded).handlers.entries[0].name == "h"


def test_settings_without_effect_are_kept_and_reported(home):
    """Each is a line for a person; a value equal to the default is none."""
    pool = '<add name="p" managedRuntimeVersion="v4.0" enable32BitAppOnWin64="false" />'
    loaded = home.server(pools=pool, more="<appSettings><add key='a' value='b' />x</appSettings>")
    assert [w.partition(": ")[2] for w in loaded.config.warnings] == [
        "add/@managedRuntimeVersion: no effect here",
        "section appSettings: no effect here",
    ]
    section = loaded.section("system.applicationHost/applicationPools")
    assert section.items[0]["managedRuntimeVersion"] == "v4.0"


@pytest.mark.parametrize(
    ("inside", "what"),
    [
        ('<processModel loadUserProfile="true" />', "processModel/@loadUserProfile"),
        ('<requests commitBuffer="1" />', "requests/@commitBuffer"),
    ],
)
def test_what_this_version_does_not_act_on_is_reported(home, inside, what):
    """Nobody may believe in a limit or a fence that is not there."""
    loaded = home.server(pools=f'<add name="p">{inside}</add>')
    assert [w.partition(": ")[2] for w in loaded.config.warnings] == [f"{what}: no effect here"]


def test_a_section_that_nothing_here_reads_is_reported_wherever_it_stands(home):
    """In the server's file and in a web.config."""
    rules = '<security><access sslFlags="Ssl" /></security>'
    home.web_config("www", rules)
    home.server(web=rules)
    warnings = validate(home.file).warnings
    assert len(warnings) == 2
    assert all("security/access: no effect here" in w for w in warnings)


def test_a_location_that_no_site_has_is_reported(home, xml):
    """A mistyped site, say; folders and files of a site may be named whether they exist or not."""
    tags = "".join(
        f'<location path="{path}"><system.webServer><directoryBrowse enabled="true" />'
        "</system.webServer></location>"
        for path in ("S", "s/app", "S/app/below", "S/sub/folder", "S/sub", "Nobody")
    )
    sites = xml.site(xml.application("/app", "a") + xml.application("/sub/deep", "b"))
    warnings = home.server(sites=sites, more=tags).config.warnings
    named = [w.split("'")[1] for w in warnings]
    assert named == ["Nobody"]
    assert "there is no site of this name" in warnings[0]


def test_a_location_that_no_request_can_have_is_reported(home, xml):
    """Dot segments and empty ones are gone from a path before it is looked up, in any file."""
    tag = (
        '<location path="%s"><system.webServer><directoryBrowse enabled="true" />'
        "</system.webServer></location>"
    )
    known = ("S/.well-known/", "S/a.b", "S/a..b/")
    unknown = ("S/../x", "S/./x", "S/x/..", "S//x")
    tags = "\n".join(tag % path for path in (*known, *unknown))
    file = home.web_config("www", "", tags + tag % "../x")
    home.server(more=tags)
    warnings = validate(home.file).warnings
    assert [w.split("'")[1] for w in warnings] == [*unknown, *unknown, "../x"]
    assert all("no effect here, no request has such a path" in w for w in warnings)
    assert warnings[-1].startswith(f"{file}:")


def test_a_location_of_a_site_that_is_refused_is_no_second_complaint(home, xml):
    """The site's own fault is said; whether all sites have their names is known without it."""
    tag = '<location path="S"><system.webServer><directoryBrowse /></system.webServer></location>'
    home.errors(sites=xml.site().replace('id="1"', 'id="one"'), more=tag)
    report = validate(home.file)
    assert "is not an integer" in report.errors[0].message
    assert report.warnings == []


def test_what_is_not_there_is_named_by_validate(home, xml):
    """With their place: a mistyped path is no fault, and its site answers 404 without a word."""
    (home.folder / "www").mkdir()
    nobody = (
        '<processModel identityType="SpecificUser" userName="nobody-at-all" />'
        '<isolation supplementaryGroups="0; no-group" />'
    )
    sites = xml.site(xml.application("/app", "elsewhere"))
    python = '<python virtualEnvironment="venv" interpreter="/no/python" />'
    home.server(pools=f'<add name="p">{nobody}{python}</add>', sites=sites)
    user, group, environment, program, folder = validate(home.file).warnings
    assert environment.endswith(f": pool 'p': there is no virtual environment '{home.folder}/venv'")
    assert program.endswith(": pool 'p': there is no interpreter '/no/python'")
    assert user == f"{home.file}:4: pool 'p': there is no user 'nobody-at-all'"
    assert group == f"{home.file}:4: pool 'p': there is no group 'no-group'"
    assert folder.startswith(f"{home.file}:")
    assert folder.endswith(f": site 'S': there is no folder '{home.folder}/elsewhere'")


def test_files_of_windows_are_reported(home, xml):
    """Folders of logs, once where sites have them from their defaults, and programs of handlers."""
    logs = '<siteDefaults><logFile directory="D:\\logs" /></siteDefaults>'
    two = xml.site(name="Two", number=2, binding="*:81:")
    program = 'modules="FastCgiModule" scriptProcessor="C:\\Python\\python.exe|C:\\wfastcgi.py"'
    web = f'<handlers><add name="py" path="*.py" verb="*" {program} /></handlers>'
    warnings = home.server(sites=xml.site() + two + logs, web=web).config.warnings
    programs, folders = warnings
    assert programs.endswith(
        "handler py: 'C:\\Python\\python.exe|C:\\wfastcgi.py' looks like a path of Windows"
    )
    assert folders.endswith(
        f": logFile/@directory: '{home.folder}/D:\\logs' looks like a path of Windows,"
        " the home's logs are used"
    )


def test_a_binding_that_needs_tls_is_not_served_and_reported(home, xml):
    """An https binding is never answered in plain text."""
    sites = xml.site().replace(
        "</bindings>", '<binding protocol="https" bindingInformation="*:8443:" /></bindings>'
    )
    (warning,) = home.server(sites=sites).config.warnings
    assert "binding https *:8443: of site 'S': not served" in warning


def test_a_folder_of_windows_is_reported(home, xml):
    """What was copied from a Windows machine cannot be found here; a warning, since it may be."""
    loaded = home.server(sites=xml.site(root=r"%SystemDrive%\inetpub\wwwroot"))
    (warning,) = loaded.config.warnings
    assert "looks like a path of Windows" in warning


@given(data=st.data())
def test_whatever_the_values_there_is_a_configuration_or_a_list_of_faults(tmp_path_factory, data):
    """Any attribute of a full file may hold anything: no other exception comes out."""
    pieces = re.split(r'="([^"]*)"', FULL)
    odd = range(1, len(pieces), 2)
    for index in data.draw(st.lists(st.sampled_from(odd), min_size=1, max_size=3)):
        pieces[index] = data.draw(ODD_TEXT)
    text = "".join(f'="{p}"' if i % 2 else p for i, p in enumerate(pieces))
    file = tmp_path_factory.getbasetemp() / "odd.config"
    file.write_text(text)
    try:
        loaded = load_server(file)
        faults = [] if loaded.config.app_pools else ["no pool"]
    except ConfigErrors as error:
        faults = error.errors
    assert all(str(fault) for fault in faults)


def test_iis_own_file_is_accepted(home, at):
    """DLLs of modules that we have give way to ours; others, and managed handlers, are reported."""
    web = r"""
      <globalModules>
        <add name="WebDAVModule" image="%windir%\System32\inetsrv\webdav.dll" />
        <add name="StaticFileModule" image="%windir%\System32\inetsrv\static.dll" />
      </globalModules>
      <modules><add name="StaticFileModule" lockItem="true" /></modules>
      <handlers accessPolicy="Read, Script">
        <add name="ISAPI-dll" path="*.dll" verb="*" modules="WebDAVModule" />
        <add name="Page" path="*.aspx" verb="GET" type="System.Web.UI.PageHandlerFactory" />
        <add name="StaticFile" path="*" verb="*" requireAccess="Read" resourceType="Either"
             modules="StaticFileModule,DefaultDocumentModule,DirectoryListingModule" />
      </handlers>
      <staticContent><mimeMap fileExtension=".html" mimeType="text/html" /></staticContent>"""
    loaded = home.server(web=web)
    images = {m.name: m.image for m in loaded.config.global_modules}
    assert images["StaticFileModule"] == "was.worker.modules.static_file"
    assert "WebDAVModule" not in images
    names = [h.name for h in at(loaded).handlers.entries]
    ssi = ["SSINC-stm", "SSINC-shtm", "SSINC-shtml"]
    assert names == ["StaticFile", "CGI-exe", *ssi, "TRACEVerbHandler", "OPTIONSVerbHandler"]
    assert len(at(loaded).static_content.mime_map) == 378
    assert len(loaded.config.warnings) == 4


def test_the_built_in_level_is_enough_for_a_file_with_a_handler(home, at):
    """Modules in order, handlers behind one's own, MIME types, default documents, rights."""
    web = wsgi("a:b")
    settings = at(home.server(web=web))
    assert [h.name for h in settings.handlers.entries] == [
        "h",
        "CGI-exe",
        "ISAPI-dll",
        "SSINC-stm",
        "SSINC-shtm",
        "SSINC-shtml",
        "TRACEVerbHandler",
        "OPTIONSVerbHandler",
        "StaticFile",
    ]
    assert sorted(settings.handlers.access_policy) == ["Read", "Script"]
    assert [m.name for m in settings.modules] == [
        "HttpLoggingModule",
        "HttpCacheModule",
        "DynamicCompressionModule",
        "StaticCompressionModule",
        "DefaultDocumentModule",
        "DirectoryListingModule",
        "ProtocolSupportModule",
        "HttpRedirectionModule",
        "ServerSideIncludeModule",
        "StaticFileModule",
        "AnonymousAuthenticationModule",
        "UrlAuthorizationModule",
        "BasicAuthenticationModule",
        "DigestAuthenticationModule",
        "IpRestrictionModule",
        "DynamicIpRestrictionModule",
        "RequestFilteringModule",
        "CustomLoggingModule",
        "CustomErrorModule",
        "IsapiModule",
        "IsapiFilterModule",
        "CgiModule",
        "FastCgiModule",
        "TracingModule",
        "ConfigurationValidationModule",
        "ApplicationInitializationModule",
        "RewriteModule",
        "WsgiModule",
        "AsgiModule",
    ]
    assert len(settings.static_content.mime_map) == 378
    assert settings.static_content.mime_map[".ivf"] == "video/x-ivf"
    assert settings.default_document.files[0] == "Default.htm"
    assert settings.request_filtering.hidden_segments == ("web.config",)
    assert [e.status_code for e in settings.http_errors.entries][:2] == [401, 403]
    assert not settings.http_protocol.allow_trace


def test_sections_may_be_declared_and_locked(home, at):
    """configSections, configProtectedData and lock attributes are accepted and kept."""
    text = """<configuration>
      <configSections><sectionGroup name="my"><section name="own" type="x" /></sectionGroup>
      </configSections>
      <configProtectedData><providers><add name="x" y="z" /></providers></configProtectedData>
      <my><own any="thing"><deep /></own></my>
      <system.webServer><httpErrors lockAttributes="defaultPath" lockElements="clear" />
      </system.webServer></configuration>"""
    loaded = load_server(home.write(text))
    assert loaded.level.declarations["my/own"].path == "my/own"
    section = loaded.level.scopes[""][0].sections["system.webServer/httpErrors"]
    assert section.locks == {"lockAttributes": "defaultPath", "lockElements": "clear"}


def test_config_sections_come_first_and_once(home):
    """IIS's own words for it."""
    (error,) = home.errors(more="<configSections />")
    assert error.message.startswith("Only one <configSections> element allowed.")


def test_a_section_stands_once_for_one_path(home):
    """A second one in the same file is an error, also inside a location tag of the same path."""
    once = "<directoryBrowse enabled='true' />"
    (error,) = home.errors(
        web=once, more=f"<location path='.'><system.webServer>{once}</system.webServer></location>"
    )
    assert (
        error.message == "There is a duplicate 'system.webServer/directoryBrowse' section defined"
    )


def test_faults_below_what_is_refused_itself_are_told_with_it(home):
    """Whoever mends the one does not meet the next: a second section, a site without an id."""
    second = "<directoryBrowse enabled='maybe' />"
    site = """<site name="S" id="x">
        <bindings><binding protocol="http" bindingInformation="*:99999:" /></bindings>
      </site>"""
    found = messages(home.errors(sites=site, web="<directoryBrowse />" + second))
    wanted = ["'id' attribute is invalid", "'99999' is not a port", "There is a duplicate"]
    wanted.append("Site 'S' has no application '/'")
    wanted.append("The 'enabled' attribute is invalid")
    assert len(found) == len(wanted)
    assert all(any(part in message for message in found) for part in wanted)


@pytest.mark.parametrize("attributes", ['name="S" id="x"', 'name="S"', 'id="5"'])
def test_a_site_without_its_key_is_looked_at_as_any_other(home, attributes):
    """A wrong id hides nothing: pools, folders, doubles and bindings are told of with it."""
    site = f"""<site {attributes}>
        <application path="/a" applicationPool="nobody's">
          <virtualDirectory path="/" physicalPath="/tmp" />
          <virtualDirectory path="/" physicalPath="/var" />
        </application>
        <application path="/b" applicationPool="nobody's" />
        <bindings><binding protocol="was.health" bindingInformation="*:80:x" /></bindings>
      </site>"""
    found = messages(home.errors(sites=site))
    wanted = [
        "attribute",
        "Cannot add duplicate collection entry of type 'virtualDirectory'",
        "has no application '/'",
        "/a' names the application pool 'nobody's', which does not exist",
        "/b' names the application pool 'nobody's', which does not exist",
        "/b' has no virtual directory '/'",
        "takes no host name",
    ]
    assert len(found) == len(wanted), found
    assert all(any(part in message for message in found) for part in wanted)


def test_a_pool_whose_name_is_nearly_right_is_named(home):
    """Who has mistyped a pool's name reads which one may have been meant."""
    site = """<site name="S" id="1"><application path="/" applicationPool="Shp">
        <virtualDirectory path="/" physicalPath="/tmp" /></application></site>"""
    (found,) = messages(home.errors(pools='<add name="shop" />', sites=site))
    assert found.endswith("'Shp', which does not exist; did you mean 'shop'?")


def test_the_root_element_is_configuration(home):
    """Anything else is no configuration file; nor is a file that is not there."""
    for text in ("<other />", "<configuration x='1' />"):
        home.write(text)
        with pytest.raises(ConfigErrors):
            load_server(home.file)
    with pytest.raises(ConfigErrors) as caught:
        load_server(home.folder / "nothing.config")
    assert caught.value.errors[0].hresult == 0x80070003


def test_identity_and_secrets_do_not_show_in_a_repr(home):
    """A password is in the value and in no log line that prints one."""
    pool = """<add name="p"><processModel identityType="SpecificUser" userName="u"
      password="secret" /></add>"""
    model = home.server(pools=pool).config.app_pools["p"].process_model
    assert (model.identity_type, model.password) == (IdentityType.SPECIFIC_USER, "secret")
    assert "secret" not in repr(model)
