"""The pool's own file: only what is the pool's, and the same settings as from the whole one."""

from dataclasses import replace
from hashlib import md5

import pytest

from was.config.files import load_server
from was.config.secrets import Secrets

WEB = """
  <handlers accessPolicy="Read">
    <add name="h" path="*" verb="*" modules="WsgiModule" scriptProcessor="%APP%:app" />
  </handlers>
  <httpProtocol><customHeaders><clear /><add name="X" value="a&#10;&lt;&quot;&amp;" />
  </customHeaders></httpProtocol>"""


@pytest.fixture
def whole(home, xml):
    home.environment["APP"] = "shop"
    home.web_config("www", '<directoryBrowse enabled="true" />')
    home.web_config("b", '<defaultDocument enabled="false" />')
    inner = xml.application("/b", "b", "q") + xml.application("/c", "c", "p")
    sites = (
        '<applicationDefaults preloadEnabled="true" />'
        + xml.site(inner, name="One")
        + xml.site(name="Two", number=2, binding="*:81:", pool="q")
        + xml.site(name="Three", number=3, binding="*:82:")
    )
    pools = """<add name="p" queueLength="77"><processModel password="p-secret" /></add>
      <add name="q"><environmentVariables><add name="A" value="1" /></environmentVariables>
        <processModel password="q-secret" /><python virtualEnvironment="env" /></add>
      <applicationPoolDefaults><cpu limit="5" /></applicationPoolDefaults>"""
    more = """<location path="One/b"><system.webServer><urlCompression
        doStaticCompression="false" /></system.webServer></location>
      <location path="Three"><system.webServer><caching enabled="false" />
      </system.webServer></location>"""
    return home.server(pools=pools, sites=sites, web=WEB, more=more)


@pytest.fixture
def worker(whole, tmp_path):
    """The pool q as a worker reads it: in another folder, with another environment."""
    path = tmp_path / "run" / "pools" / "x" / "applicationHost.config"
    path.parent.mkdir(parents=True)
    path.write_bytes(whole.reduced("q"))
    return load_server(path, environment={})


def test_a_worker_sees_the_same_pool_sites_and_settings(whole, worker):
    """Same AppPool, ids, bindings, applications and PathSettings as the whole file gives."""
    assert worker.config.home == whole.config.home
    pool = whole.config.app_pools["q"]
    assert pool.process_model.password == "q-secret"
    # Whose identity it has is not the worker's own business.
    anonymous = replace(pool, process_model=replace(pool.process_model, password=""))
    assert dict(worker.config.app_pools) == {"q": anonymous}
    assert [(s.name, s.id) for s in worker.config.sites] == [("One", 1), ("Two", 2)]
    by_id = {s.id: s for s in whole.config.sites}
    for site in worker.config.sites:
        original = by_id[site.id]
        assert site.bindings == original.bindings
        ours = tuple(a for a in original.applications if a.application_pool == "q")
        assert site.applications == ours
        for application in ours:
            expected = whole.settings(original, application)
            assert worker.settings(site, application) == expected
            assert worker.files(site, application) == whole.files(original, application)


def test_what_the_application_inherits_is_still_there(worker):
    """The root of site One is another pool's; its web.config holds for /b all the same."""
    site = worker.config.sites[0]
    settings = worker.settings(site, site.applications[0])
    assert settings.directory_browse.enabled
    assert not settings.default_document.enabled
    assert settings.handlers.entries[0].script_processor == "shop:app"
    compression = settings.section("system.webServer/urlCompression")
    assert compression["doStaticCompression"] is False
    assert settings.http_protocol.custom_headers[0].value == 'a\n<"&'


def test_nothing_of_another_pool_is_in_the_file(whole):
    """Neither its entry with its secrets, nor its sites, applications and locations."""
    text = whole.reduced("q").decode()
    assert 'name="q"' in text
    for other in ("p-secret", "q-secret", "Three", 'path="/c"', "caching"):
        assert other not in text


USER = """<location path="{path}"><system.webServer><security><authentication><users>
  <clear /><add name="u" digestRealm="r" digestMD5="{secret}" /></users></authentication></security>
  </system.webServer></location>"""


def secret_of(path):
    return md5(path.encode()).hexdigest()


def test_secrets_are_decrypted_for_the_pool_that_needs_them_and_no_other(home, xml):
    """Those of its own applications and of what these inherit from, whatever else is there."""
    keeper = Secrets(home.file.with_name("secrets.key"))
    paths = ["S", "S/b", "S/b/images", "S/c", "S/c/d", "S/c/d/e", "T"]
    more = "".join(USER.format(path=path, secret=keeper.encrypt(secret_of(path))) for path in paths)
    inner = (
        xml.application("/b", "b", "q")
        + xml.application("/c", "c", "p")
        + xml.application("/c/d", "d", "q")
        + xml.application("/c/d/e", "e", "p")
    )
    sites = xml.site(inner, name="S") + xml.site(name="T", number=2, binding="*:81:")
    loaded = home.server(pools='<add name="p" /><add name="q" />', sites=sites, more=more)
    text = loaded.reduced("q").decode()
    found = [path for path in paths if secret_of(path) in text]
    # S and S/c are another pool's; what is said there holds for ours below.
    assert found == ["S", "S/b", "S/b/images", "S/c", "S/c/d"]
    assert "[enc:" not in text
    assert secret_of("S/c/d/e") not in text


def test_secrets_of_what_has_no_effect_stay_out(home):
    """Nobody in a worker could use them, however deep they lie in what has none."""
    web = """<security><authentication><anonymousAuthentication password="secret of IUSR" />
      <iisClientCertificateMappingAuthentication><oneToOneMappings>
        <add certificate="c" password="secret of a certificate" />
      </oneToOneMappings></iisClientCertificateMappingAuthentication></authentication></security>
      <rewrite><providers><provider name="p" type="t"><settings>
        <add key="k" encryptedValue="secret of a provider" /></settings></provider></providers>
      </rewrite>"""
    farms = '<webFarms><webFarm name="f" adminPassword="secret of a farm" /></webFarms>'
    assert "secret of" not in home.server(web=web, more=farms).reduced("p").decode()


def test_secrets_of_what_is_only_inherited_from_stay_out(home, xml):
    """A virtual directory of another pool, above ours, keeps its password."""
    inner = xml.application("/b", "b", "q")
    site = xml.site(inner, name="S").replace(
        "<virtualDirectory", '<virtualDirectory password="pw"', 1
    )
    loaded = home.server(pools='<add name="p" /><add name="q" />', sites=site)
    assert "inheritOnly" in loaded.reduced("q").decode()
    assert "password" not in loaded.reduced("q").decode()


def test_reducing_what_is_reduced_changes_nothing(whole, worker):
    """The reduction of a pool's file loads to the same configuration once more."""
    path = worker.path.with_name("again.config")
    path.write_bytes(worker.reduced("q"))
    assert load_server(path, environment={}).config == worker.config
