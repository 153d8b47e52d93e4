"""Sites whose handlers are ISAPI extensions, and compiled extensions for them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from harness.home import Application, Pool, Site, application_host_config, place_application

import was.sdk

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "docs" / "samples" / "isapi"
FILTERS = ROOT / "docs" / "samples" / "filters"
SOURCES = ROOT / "tests" / "apps" / "isapi"
ALLOW_ALL = (
    '<system.webServer><security><isapiCgiRestriction notListedIsapisAllowed="true" />'
    "</security></system.webServer>"
)


def compile_extension(source: Path, target: Path, *options: str) -> Path:
    """A shared object of one C file, with the headers of `was sdk`."""
    headers = str(Path(was.sdk.__file__).parent)
    command = ["cc", "-g", "-Wall", "-Wextra", "-Werror", "-I", headers]
    kind = options or ("-shared", "-fPIC")
    subprocess.run([*command, *kind, "-o", str(target), str(source), "-lpthread"], check=True)
    return target


def isapi_handler(path: str, file: str, more: str = "") -> str:
    """A mapping of `path` to an extension in the application's folder."""
    return (
        f'<add name="{path.strip("*./")}-isapi" path="{path}" verb="*" modules="IsapiModule" '
        f'scriptProcessor="{{home}}/sites/app/{file}" {more}/>'
    )


def isapi_config(*handlers: str, pool: Pool | None = None, extra: str = ALLOW_ALL) -> str:
    """One site with these mappings, its folder `sites/app` of the home."""
    pool = pool or Pool("Pool", {}, {"failure": {"rapidFailProtection": "false"}})
    folder = Path("{home}") / "sites" / "app"
    site = Site("Site", (Application("/", folder, pool.name, handlers),))
    return application_host_config([pool], [site], extra)


def place_files(*files: Path, compiled: tuple[Path, ...] = ()) -> Callable[[Path], None]:
    """A `prepare` that copies files into `sites/app`, and C files as what they compile to."""

    def prepare(home: Path) -> None:
        folder = place_application(home / "sites" / "app", *files)
        for source in compiled:
            compile_extension(source, folder / f"{source.stem}.so")

    return prepare
