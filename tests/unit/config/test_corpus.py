"""Files in the manner of real ones (corpus/): each loads without error and means what IIS means.

The web.config files are put where an administrator would: at the root of a site, with the
applications that the sample speaks of. The server's own file unlocks what the sample needs.
"""

import shutil
from pathlib import Path

import pytest

from was.config.files import load_server, validate
from was.config.model import CpuAction, ErrorMode, ExistingResponse, StartMode

CORPUS = Path(__file__).parent / "corpus"
SAMPLES = sorted(f.parent.name for f in CORPUS.glob("*/web.config"))
SERVERS = sorted(f.parent.name for f in CORPUS.glob("*/applicationHost.config"))
WEB = "system.webServer/"
RULES = WEB + "rewrite/rules"
FILTERING = WEB + "security/requestFiltering"
# What a sample sets although a server locks it until its administrator says otherwise.
UNLOCKED = {"node": "<webSocket />"}


class Sample:
    """A site S whose root is a folder of the corpus, with applications /child and /admin."""

    def __init__(self, name: str, folder: Path) -> None:
        shutil.copytree(CORPUS / name, folder / "www")
        self.file = folder / "config" / "applicationHost.config"
        self.file.parent.mkdir()
        applications = "".join(
            f'<application path="{path}"><virtualDirectory path="/" physicalPath="www{path}" />'
            "</application>"
            for path in ("/", "/child", "/admin")
        )
        self.file.write_text(f"""<configuration><system.applicationHost>
          <applicationPools><add name="DefaultAppPool" /></applicationPools>
          <sites><site name="S" id="1"><bindings>
          <binding protocol="http" bindingInformation="*:80:" /></bindings>{applications}
          </site></sites></system.applicationHost>
          <location path="S" overrideMode="Allow"><system.webServer>{UNLOCKED.get(name, "")}
          </system.webServer></location></configuration>""")
        for path in ("child", "admin"):
            (folder / "www" / path).mkdir(exist_ok=True)
        self.loaded = load_server(self.file, environment={})

    def settings(self, path: str = "/", below: str = ""):
        """What is in force at an application, or at a path in it."""
        (site,) = self.loaded.config.sites
        application = next(a for a in site.applications if a.path == path)
        return self.loaded.settings(site, application, below)

    def section(self, name: str, path: str = "/", below: str = ""):
        return self.settings(path, below).sections[name]


@pytest.fixture
def sample(tmp_path):
    return lambda name: Sample(name, tmp_path)


@pytest.fixture
def server(tmp_path):
    """A server's own file, with Windows' variables standing for folders here."""

    def load(name):
        (tmp_path / "config").mkdir()
        file = shutil.copy(CORPUS / name / "applicationHost.config", tmp_path / "config")
        names = ("SystemDrive", "SystemRoot", "windir", "ProgramFiles", "TEMP")
        own = ("IIS_BIN", "IIS_USER_HOME", "IIS_SITES_HOME")
        return load_server(Path(file), environment={n: f"/{n}" for n in (*names, *own)})

    return load


def at(loaded, site_name, path="/"):
    site = next(s for s in loaded.config.sites if s.name == site_name)
    return loaded.settings(site, next(a for a in site.applications if a.path == path))


def names(section, attribute="name"):
    return [item[attribute] for item in section.items]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_loads_without_error(name, sample):
    """And what has no effect here is said with its line."""
    report = validate(sample(name).file)
    assert report.errors == []
    said = ("no effect here", "its requests get 500.21", "looks like a path of Windows")
    assert all(any(words in warning for words in said) for warning in report.warnings)


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_loads_without_error(name, server):
    """At each application of it, too."""
    loaded = server(name)
    for site in loaded.config.sites:
        for application in site.applications:
            assert loaded.settings(site, application).handlers.entries


def test_wordpress(sample):
    """Permalinks, PHP, uploads of 64 MB, one more hidden name, pictures kept for thirty days."""
    blog = sample("wordpress")
    secure, permalinks = blog.section(RULES).items
    assert (secure["enabled"], secure.elements["action"]["redirectType"]) == (False, "Permanent")
    assert permalinks["patternSyntax"] == "Wildcard"
    conditions = permalinks.elements["conditions"].items
    assert [(c["matchType"], c["negate"]) for c in conditions] == [
        ("IsFile", True),
        ("IsDirectory", True),
    ]
    php = blog.section(WEB + "handlers").items[0]
    assert (php["name"], php["modules"]) == ("PHP-FastCGI", "FastCgiModule")
    settings = blog.settings()
    assert settings.default_document.files == ("index.php", "index.html")
    filtering = settings.request_filtering
    assert filtering.request_limits.max_allowed_content_length == 67108864
    assert filtering.hidden_segments == ("web.config", "wp-config.php")
    assert settings.static_content.mime_map[".woff2"] == "font/woff2"
    assert len(settings.static_content.mime_map) == 379
    assert settings.static_content.cache_control_max_age_s == 30 * 86400
    child = blog.section(RULES, "/child")
    assert names(child) == ["Secure", "Permalinks"]


def test_drupal(sample):
    """What is private is refused, PHP is not kept, the front controller answers what is missing."""
    site = sample("drupal")
    rules = site.section(RULES)
    assert names(rules) == ["Sources and settings stay private", "No icon", "Clean URLs"]
    refused = rules.items[0].elements["action"]
    assert (refused["type"], refused["statusCode"]) == ("CustomResponse", 403)
    clean = rules.items[2]
    assert clean.elements["match"]["ignoreCase"] is False
    kinds = [c["matchType"] for c in clean.elements["conditions"].items]
    assert kinds == ["IsFile", "IsDirectory", "Pattern"]
    profiles = site.section(WEB + "caching").elements["profiles"]
    assert [(p["extension"], p["policy"], p["duration"]) for p in profiles.items] == [
        (".php", "DisableCache", 30.0),
        (".html", "CacheForTimePeriod", 50400.0),
    ]
    settings = site.settings()
    assert settings.default_document.files[0] == "index.php"
    assert settings.default_document.files[1] == "Default.htm"
    missing = settings.http_errors.entries[-1]
    assert (missing.status_code, missing.path) == (404, "/index.php")
    assert missing.response_mode == "ExecuteURL"
    assert [e.status_code for e in settings.http_errors.entries].count(404) == 1
    assert settings.http_protocol.custom_headers[0].name == "X-Content-Type-Options"
    uploads = site.settings(below="/sites/default/files/a.php").handlers
    assert settings.handlers.access_policy == {"Read", "Script"}
    assert uploads.access_policy == {"Read"}
    assert not settings.directory_browse.enabled


def test_umbraco(sample):
    """Sections that it declares itself are accepted; .NET modules and handlers are kept."""
    site = sample("umbraco")
    settings = site.settings()
    modules = site.section(WEB + "modules")
    assert modules["runAllManagedModulesForAllRequests"] is True
    own = ["UmbracoModule", "FormsAuthentication", "ClientDependencyModule"]
    assert names(modules)[-3:] == own
    assert modules.items[-3]["type"] == "Umbraco.Web.UmbracoModule,umbraco"
    assert settings.static_content.mime_map[".woff"] == "application/x-font-woff"
    assert settings.static_content.mime_map[".air"].startswith("application/vnd.adobe.air")
    assert site.section(WEB + "urlCompression")["dynamicCompressionBeforeCache"] is True
    for folder, compressed in (("/umbraco/x", False), ("/App_Plugins/x", False), ("/css/x", True)):
        compression = site.section(WEB + "urlCompression", below=folder)
        assert compression["doStaticCompression"] is compressed
    assert site.section(WEB + "validation")["validateIntegratedModeConfiguration"] is False
    assert settings.handlers.access_policy == {"Read", "Write", "Script", "Execute"}
    assert settings.http_errors.existing_response is ExistingResponse.PASS_THROUGH
    assert settings.request_filtering.request_limits.max_allowed_content_length == 52428800
    unread = {line.rpartition("section ")[2] for line in validate(site.file).warnings}
    assert {f"{n}: no effect here" for n in ("system.web", "umbracoConfiguration/settings")} <= (
        unread
    )


def test_aspnet(sample):
    """At the root, at a location, in an application below with a file of its own."""
    site = sample("aspnet")
    root, child, admin = (site.settings(p) for p in ("/", "/child", "/admin"))
    assert root.http_errors.error_mode is ErrorMode.CUSTOM
    assert root.http_errors.existing_response is ExistingResponse.REPLACE
    last = [(e.status_code, e.path, e.response_mode) for e in root.http_errors.entries[-2:]]
    assert last == [(404, "/Error/NotFound", "ExecuteURL"), (500, "error.htm", "File")]
    headers = {h.name: h.value for h in root.http_protocol.custom_headers}
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert child.http_protocol == root.http_protocol
    assert {h.name: h.value for h in admin.http_protocol.custom_headers} == {
        **headers,
        "X-Frame-Options": "DENY",
    }
    assert (root.directory_browse.enabled, admin.directory_browse.enabled) == (False, True)
    assert admin.directory_browse.show_flags == {"Date", "Size"}
    assert admin.default_document.files[:2] == ("dashboard.aspx", "Default.htm")
    assert site.section(WEB + "caching", "/admin")["enabled"] is False
    assert site.section(WEB + "caching")["enabled"] is True
    assert "OPTIONSVerbHandler" not in names(site.section(WEB + "handlers"))
    assert names(site.section(WEB + "handlers"))[0] == "ExtensionlessUrlHandler-Integrated-4.0"
    uploads = site.settings(below="/uploads/film.mp4")
    assert [h.name for h in uploads.handlers.entries] == ["UploadsAreFiles"]
    assert uploads.request_filtering.request_limits.max_allowed_content_length == 1 << 30
    assert root.request_filtering.request_limits.max_allowed_content_length == 30000000
    assert root.static_content.cache_control_max_age_s == 7 * 86400


def test_aspnet_core(sample):
    """What stands in a location with inheritInChildApplications="false" stays at the root."""
    site = sample("aspnet_core")
    host = site.section(WEB + "aspNetCore")
    assert (host["processPath"], host["arguments"]) == ("dotnet", r".\Shop.Web.dll")
    assert (host["hostingModel"], host["startupTimeLimit"]) == ("inprocess", 60)
    assert (host["requestTimeout"], host["shutdownTimeLimit"]) == (600.0, 10)
    variables = host.elements["environmentVariables"].items
    assert {v["name"]: v["value"] for v in variables} == {
        "ASPNETCORE_ENVIRONMENT": "Production",
        "DOTNET_gcServer": "1",
    }
    assert names(site.section(WEB + "handlers"))[0] == "aspNetCore"
    filtering = site.settings().request_filtering
    assert filtering.remove_server_header
    assert filtering.request_limits.max_allowed_content_length == 104857600
    below = site.section(WEB + "aspNetCore", "/child")
    assert (below["processPath"], below.elements["environmentVariables"].items) == ("", ())
    assert "aspNetCore" not in names(site.section(WEB + "handlers", "/child"))
    assert not site.settings("/child").request_filtering.remove_server_header


def test_single_page(sample):
    """Routes of the page, a map of old addresses, outbound rules, types and ages of files."""
    site = sample("single_page")
    rules = site.section(RULES)
    assert names(rules) == ["Moved", "Application routes"]
    moved = rules.items[0]
    assert moved.elements["conditions"]["trackAllCaptures"] is True
    assert moved.elements["action"]["redirectType"] == "Found"
    assert moved.elements["action"]["appendQueryString"] is False
    (table,) = site.section(WEB + "rewrite/rewriteMaps").items
    assert {i["key"]: i["value"] for i in table.items} == {"/old": "/new", "/Old": "/newer"}
    outbound = site.section(WEB + "rewrite/outboundRules")
    assert outbound["rewriteBeforeCache"] is True
    assert outbound.items[0].elements["match"]["serverVariable"] == "RESPONSE_Set-Cookie"
    conditions = outbound.elements["preConditions"].items[0].items
    assert [c["negate"] for c in conditions] == [False, True]
    static = site.settings().static_content
    assert static.mime_map[".json"] == "application/json; charset=utf-8"
    assert static.cache_control_max_age_s == 365 * 86400
    assert static.cache_control_custom == "immutable"
    page = site.settings(below="/index.html").static_content
    assert (static.cache_control_mode, page.cache_control_mode) == ("UseMaxAge", "DisableCache")
    types = site.section(WEB + "httpCompression").elements["dynamicTypes"].items
    assert [(t["mimeType"], t["enabled"]) for t in types][-2:] == [
        ("application/json", True),
        ("*/*", False),
    ]
    assert [e.path for e in site.settings().http_errors.entries][-1] == "/index.html"


def test_laravel(sample):
    """Front controller, slashes, a denied extension, PHP with arguments of its own."""
    site = sample("laravel")
    rules = site.section(RULES)
    assert names(rules) == ["No slash at the end", "Front controller"]
    assert rules.items[1].elements["action"]["url"] == "index.php"
    php = site.section(WEB + "handlers").items[0]
    assert php["scriptProcessor"] == (
        r"%ProgramFiles%\PHP\php-cgi.exe|-c %ProgramFiles%\PHP\php.ini"
    )
    assert (php["allowPathInfo"], php["responseBufferLimit"]) == (True, 0)
    filtering = site.settings().request_filtering
    assert filtering.allow_double_escaping
    assert site.section(FILTERING).elements["fileExtensions"].items[0]["allowed"] is False
    assert "storage" in filtering.hidden_segments
    assert site.settings().default_document.files[0] == "index.php"


def test_symfony(sample):
    """Server variables set by rules, actions of four kinds, own handlers before the inherited."""
    site = sample("symfony")
    keep, hide, front = site.section(RULES).items
    (variable,) = keep.elements["serverVariables"].items
    assert (variable["name"], variable["replace"]) == ("REMOTE_AUTHORIZATION", False)
    assert keep.elements["action"]["type"] == "None"
    assert (hide["stopProcessing"], keep["stopProcessing"]) == (True, False)
    assert front.elements["action"]["logRewrittenUrl"] is True
    assert names(site.section(WEB + "handlers"))[:3] == [
        "PHP",
        "No other script",
        "CGI-exe",
    ]
    assert site.settings().default_document.files == ("index.php",)
    assert site.settings().http_errors.error_mode is ErrorMode.DETAILED


def test_node(sample):
    """iisnode's section, hidden folders, a rule without a pattern, web sockets left to Node."""
    site = sample("node")
    node = site.section(WEB + "iisnode")
    assert (node["nodeProcessCountPerApplication"], node["node_env"]) == (0, "production")
    assert (node["maxConcurrentRequestsPerProcess"], node["maxLogFiles"]) == (512, 20)
    assert node["devErrorsEnabled"] is False
    assert site.section(WEB + "webSocket")["enabled"] is False
    hidden = site.settings().request_filtering.hidden_segments
    assert hidden == ("web.config", "node_modules", "iisnode")
    assert site.section(RULES).items[1].elements["match"]["url"] == ""
    assert site.section(RULES).items[2].elements["conditions"].items[0]["negate"] is True


def test_iis_express(server):
    """Pools of its template, variables in paths, modules of ours in the places of its DLLs."""
    loaded = server("iis_express")
    config = loaded.config
    assert list(config.app_pools) == [
        "Clr4IntegratedAppPool",
        "Clr4ClassicAppPool",
        "Clr2IntegratedAppPool",
        "Clr2ClassicAppPool",
        "UnmanagedClassicAppPool",
    ]
    (site,) = config.sites
    assert site.applications[0].application_pool == "Clr4IntegratedAppPool"
    assert site.applications[0].physical_path == r"/IIS_SITES_HOME\WebSite1"
    assert (site.bindings[0].port, site.bindings[0].host) == (8080, "localhost")
    assert (site.log_file.enabled, site.log_file.directory) == (False, r"/IIS_USER_HOME\Logs")
    pools = loaded.section("system.applicationHost/applicationPools")
    assert [p.elements["processModel"]["setProfileEnvironment"] for p in pools.items] == [False] * 5
    assert pools.items[4]["managedRuntimeVersion"] == ""
    settings = at(loaded, "WebSite1")
    images = {m.name: m.image for m in config.global_modules}
    assert images["StaticFileModule"] == "was.worker.modules.static_file"
    assert "WebDAVModule" not in images
    assert settings.default_document.files[-1] == "default.aspx"
    assert "App_Data" in settings.request_filtering.hidden_segments
    assert settings.http_protocol.custom_headers[0].value == "ASP.NET"
    assert len(settings.static_content.mime_map) == 378


def test_default_server(server):
    """Pools with their schedule, sites, and what location tags say of a site and an application."""
    loaded = server("default_server")
    shop_pool = loaded.config.app_pools["Shop"]
    assert (shop_pool.queue_length, shop_pool.start_mode) == (5000, StartMode.ALWAYS_RUNNING)
    assert shop_pool.recycling.periodic_restart.schedule == (12600.0, 55800.0)
    assert shop_pool.recycling.periodic_restart.private_memory == 1048576
    assert (shop_pool.cpu.limit, shop_pool.cpu.action) == (80000, CpuAction.THROTTLE_UNDER_LOAD)
    assert shop_pool.failure.rapid_fail_protection_max_crashes == 10
    assert loaded.config.app_pools["DefaultAppPool"].process_model.max_processes == 1
    default, shop = loaded.config.sites
    assert [b.protocol for b in default.bindings] == ["http", "net.tcp", "net.pipe"]
    assert [a.application_pool for a in shop.applications] == ["Shop", ".NET v4.5"]
    assert (shop.limits.max_connections, shop.limits.connection_timeout_s) == (10000, 60.0)
    assert shop.log_file.custom_fields[0].source_name == "X-Request-ID"
    assert default.log_file.directory == r"/SystemDrive\inetpub\logs\LogFiles"

    authentication = WEB + "security/authentication/"
    browse = at(loaded, "Default Web Site")
    assert browse.directory_browse.enabled
    assert not browse.anonymous_authentication.enabled
    windows = browse.sections[authentication + "windowsAuthentication"]
    assert windows["enabled"] is True
    assert windows.elements["extendedProtection"]["tokenChecking"] == "Allow"
    assert names(windows.elements["providers"], "value") == ["Negotiate", "NTLM"]
    root, admin = at(loaded, "Shop"), at(loaded, "Shop", "/admin")
    assert root.anonymous_authentication.enabled
    assert root.sections[WEB + "serverRuntime"]["uploadReadAheadSize"] == 1048576
    assert admin.sections[WEB + "webSocket"]["receiveBufferLimit"] == 65536
    assert root.sections[WEB + "security/access"]["sslFlags"] == frozenset()
    assert admin.sections[WEB + "security/access"]["sslFlags"] == {"Ssl", "SslNegotiateCert"}
    addresses = admin.sections[WEB + "security/ipSecurity"]
    assert [(i["ipAddress"], i["subnetMask"]) for i in addresses.items] == [
        ("10.0.0.0", "255.0.0.0"),
        ("127.0.0.1", "255.255.255.255"),
    ]
    assert admin.sections[authentication + "basicAuthentication"]["realm"] == "shop"
    handlers = names(root.sections[WEB + "handlers"])
    assert (len(handlers), handlers[0], handlers[-1]) == (51, "WebDAV", "StaticFile")
    entries = [h.name for h in root.handlers.entries]
    assert {"CGI-exe", "ASPClassic", "TRACEVerbHandler", "OPTIONSVerbHandler"} < set(entries)
    assert entries[-1] == "StaticFile"
    assert "WebDAV" not in entries
    (farm,) = loaded.section("webFarms").items
    assert [(s["address"], s["enabled"]) for s in farm.items] == [
        ("10.0.0.11", True),
        ("10.0.0.12", False),
    ]
    assert farm.items[0].elements["applicationRequestRouting"]["weight"] == 50
    assert loaded.section(WEB + "proxy")["timeout"] == 300.0
    (rule,) = loaded.section(WEB + "rewrite/globalRules").items
    assert rule.elements["action"]["url"] == "http://Farm/{R:0}"
