"""Where values come from: level, file and line of whoever spoke last."""

import pytest

from was.config.origins import HIDDEN
from was.errors import ConfigErrors

SERVER = "MACHINE/WEBROOT/APPHOST"


def location(path, web, attributes=""):
    inner = f"<system.webServer>{web}</system.webServer>"
    return f'<location path="{path}" {attributes}>{inner}</location>'


def origin(shown, name):
    """(level, line) of one attribute, None for the schema's default."""
    (value,) = [v for v in shown.attributes if v.name == name]
    return None if value.origin is None else (value.origin.level, value.origin.line)


def text(shown, name):
    return next(v.text for v in shown.attributes if v.name == name)


@pytest.fixture
def load(home, xml):
    (home.folder / "www" / "a").mkdir(parents=True)
    (home.folder / "app").mkdir()

    def load(**parts):
        return home.server(sites=xml.site(xml.application("/app", "app")), **parts)

    return load


def test_the_deepest_speaker_is_named(load, home):
    """Schema, built-in level, server, location tag, web.config: whoever is in force."""
    loaded = load(
        web='<directoryBrowse showFlags="Date" />',
        more=location("S/app", '<directoryBrowse enabled="true" />'),
    )
    path = home.web_config("www/a", '\n\n<directoryBrowse enabled="true" />')
    server = loaded.shown("")["system.webServer/directoryBrowse"]
    assert origin(server, "enabled") is None
    assert origin(server, "showFlags")[0] == SERVER
    assert not any(
        v.origin for v in loaded.shown("")["system.webServer/serverSideInclude"].attributes
    )
    app = loaded.shown("s/APP/x")["system.webServer/directoryBrowse"]
    assert origin(app, "enabled")[0] == f"{SERVER}"
    folder = loaded.shown("S/a/file.txt")["system.webServer/directoryBrowse"]
    assert origin(folder, "enabled") == (f"{SERVER}/s/a", 4)
    assert text(folder, "showFlags") == "Date"
    (value,) = [v for v in folder.attributes if v.name == "enabled"]
    assert value.origin.file == str(path)
    handlers = loaded.shown("S")["system.webServer/handlers"]
    assert origin(handlers, "accessPolicy")[0] == "built-in"


def test_items_are_those_of_who_added_them_in_the_order_of_force(load, home):
    """Also after a remove and an add of the same key."""
    web = """<handlers><remove name="StaticFile" />
      <add name="StaticFile" path="*" verb="*" modules="StaticFileModule" />
      <add name="mine" path="*.x" verb="*" modules="StaticFileModule" /></handlers>"""
    home.web_config("www", web)
    items = load().shown("S")["system.webServer/handlers"].items
    assert [text(i, "name") for i in items][:2] == ["StaticFile", "mine"]
    assert [origin(i, "name")[0] for i in items] == [f"{SERVER}/s"] * 2 + ["built-in"] * 7


def test_what_an_application_does_not_inherit_is_not_said_of_it(load, home):
    """inheritInChildApplications="false" of the site's own file."""
    web = '<directoryBrowse enabled="true" />'
    home.web_config("www", "", location(".", web, 'inheritInChildApplications="false"'))
    loaded = load()
    section = "system.webServer/directoryBrowse"
    assert origin(loaded.shown("S/a")[section], "enabled") == (f"{SERVER}/s", 2)
    assert origin(loaded.shown("S/app")[section], "enabled") is None


def test_values_from_default_elements(load):
    """A pool's own values, those of applicationPoolDefaults, and the schema's."""
    pools = """<add name="p" queueLength="77"><failure rapidFailProtection="false" /></add>
      <applicationPoolDefaults queueLength="50" startMode="AlwaysRunning">
      <processModel maxProcesses="3" password="x" /></applicationPoolDefaults>"""
    shown = load(pools=pools).shown("")["system.applicationHost/applicationPools"]
    (pool,) = shown.items
    line = origin(pool, "queueLength")[1]
    assert text(pool, "queueLength") == "77"
    assert (text(pool, "startMode"), origin(pool, "startMode")[1]) == ("AlwaysRunning", line + 1)
    model = next(e for e in pool.elements if e.name == "processModel")
    assert (text(model, "maxProcesses"), origin(model, "maxProcesses")[1]) == ("3", line + 2)
    assert origin(model, "idleTimeout") is None
    assert text(model, "password") == HIDDEN


def test_paths_that_have_no_answer(load, home):
    """A site that is not there; a web.config on the way that is broken."""
    loaded = load()
    with pytest.raises(ConfigErrors, match="Unrecognized configuration path"):
        loaded.shown("Nobody/x")
    home.web_config("www/a", "<nonsense />")
    with pytest.raises(ConfigErrors, match="nonsense"):
        load().shown("S/a/b")
