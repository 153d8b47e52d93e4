"""What the template does once so that no worker needs to: load as a worker would, and drop it.

It leaves the built-in modules imported, the schema read, the plans of the configuration's types and
compiled patterns; forked workers share the pages. It knows no application and no file of a home.
"""

from __future__ import annotations

from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path

from was.config.files import load_text
from was.worker.server import WorkerServer

__all__ = ["rehearse"]

NOWHERE = Path("/nonexistent")
CONFIGURATION = b"""<configuration>
  <system.applicationHost>
    <applicationPools>
      <add name="rehearsal">
        <environmentVariables><add name="A" value="a" /></environmentVariables>
      </add>
    </applicationPools>
    <sites>
      <site name="rehearsal" id="1">
        <application path="/" applicationPool="rehearsal">
          <virtualDirectory path="/" physicalPath="/nonexistent" />
        </application>
        <bindings><binding protocol="http" bindingInformation="127.0.0.1:0:" /></bindings>
      </site>
    </sites>
  </system.applicationHost>
  <location path="rehearsal">
    <system.webServer>
      <handlers>
        <add name="files" path="*" verb="GET" modules="StaticFileModule" />
      </handlers>
    </system.webServer>
  </location>
</configuration>
"""


def rehearse() -> None:
    """Load a configuration with one of everything that every pool's has."""
    server = WorkerServer(
        config_file=NOWHERE,
        home=NOWHERE,
        pool="rehearsal",
        worker_id=0,
        threads=2,
        read_configuration=lambda: load_text(CONFIGURATION, NOWHERE),
    )
    server.load()
    _rehearse_import()


def _rehearse_import() -> None:
    """Look for a module and compile one, as for an application; nothing is imported."""
    folder = str(Path(__file__).parent)
    PathFinder.find_spec("no_such_application", [folder])
    loader = SourceFileLoader("rehearsal", __file__)
    module_from_spec(ModuleSpec("rehearsal", loader, origin=__file__))
    loader.source_to_code(loader.get_data(__file__), __file__)
