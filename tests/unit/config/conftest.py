"""A home in a temporary folder, written as text and read by the real reader."""

from pathlib import Path

import pytest

from was.config.files import LoadedServer, load_server
from was.config.model import PathSettings
from was.errors import ConfigError, ConfigErrors

POOL = '<add name="p" />'


def site(inner="", *, name="S", number=1, binding="*:8080:", root="www", pool="p"):
    """A site with one application; `inner` is further XML inside the site."""
    return f"""
      <site name="{name}" id="{number}">
        <bindings><binding protocol="http" bindingInformation="{binding}" /></bindings>
        <application path="/" applicationPool="{pool}">
          <virtualDirectory path="/" physicalPath="{root}" />
        </application>
        {inner}
      </site>"""


def application(path, root, pool="p"):
    return f"""<application path="{path}" applicationPool="{pool}">
        <virtualDirectory path="/" physicalPath="{root}" /></application>"""


class Home:
    """Writes configuration files and says what came of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "config" / "applicationHost.config"
        self.file.parent.mkdir()
        self.environment: dict[str, str] = {}

    def write(self, text: str) -> Path:
        self.file.write_text(text)
        return self.file

    def server(self, *, pools=POOL, sites=None, web="", more="", host="") -> LoadedServer:
        sites = site() if sites is None else sites
        self.write(
            f"""<?xml version="1.0"?>
<configuration>
  <system.applicationHost>
    <applicationPools>{pools}</applicationPools>
    <sites>{sites}</sites>
    {host}
  </system.applicationHost>
  <system.webServer>{web}</system.webServer>
  {more}
</configuration>"""
        )
        return self.load(self.file.read_text())

    def load(self, text: str) -> LoadedServer:
        """A whole file."""
        return load_server(self.write(text), environment=self.environment)

    def errors_of(self, text: str) -> list[ConfigError]:
        """The faults of a whole file."""
        with pytest.raises(ConfigErrors) as caught:
            self.load(text)
        return caught.value.errors

    def errors(self, **parts: str) -> list[ConfigError]:
        with pytest.raises(ConfigErrors) as caught:
            self.server(**parts)
        return caught.value.errors

    def web_config(self, folder: str, web: str, more: str = "") -> Path:
        path = self.folder / folder / "web.config"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"<configuration>\n<system.webServer>{web}</system.webServer>{more}\n</configuration>"
        )
        return path


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def settings(
    loaded: LoadedServer, path: str = "/", site_name: str = "S", below: str = ""
) -> PathSettings:
    """What is in force at an application, or at a path below it, with the files as they are now."""
    loaded.forget()
    chosen = next(s for s in loaded.config.sites if s.name == site_name)
    application = next(a for a in chosen.applications if a.path == path)
    return loaded.settings(chosen, application, below)


@pytest.fixture
def at():
    return settings


@pytest.fixture
def xml():
    """The builders of site and application text."""

    class Builders:
        site = staticmethod(site)
        application = staticmethod(application)

    return Builders
