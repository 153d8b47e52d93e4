"""Django's admin below a path of a site, as its users find it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.home import (
    Application,
    Pool,
    Site,
    application_host_config,
    place_application,
    wsgi_handler,
)

from support.running import APPS, Running, run_server

STATIC = '<add name="static" path="static/*" verb="GET,HEAD" modules="StaticFileModule" />'


def _prepare(home: Path) -> None:
    """What a person does before the first start."""
    folder = place_application(home / "sites" / "shop", *(APPS / "django_admin").iterdir())
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "settings",
        "DJANGO_SUPERUSER_PASSWORD": "secret",
        "PYTHONPATH": str(folder),
    }
    for arguments in (
        ("migrate", "--run-syncdb"),
        ("collectstatic", "--noinput"),
        ("createsuperuser", "--noinput", "--username", "anna", "--email", "a@localhost"),
    ):
        command = [sys.executable, "-m", "django", *arguments]
        subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)
    (folder / "data" / "db.sqlite3").chmod(0o666)


@contextmanager
def run_django_admin() -> Iterator[Running]:
    """A server with it at /shop/admin/; anna's password is "secret"."""
    folder = Path("{home}") / "sites" / "shop"
    application = Application(
        "/shop", folder, "shop", (STATIC, wsgi_handler("site_wsgi:application"))
    )
    root = Application("/", folder / "data", "root")
    config = application_host_config(
        [Pool("shop"), Pool("root")], [Site("Site", (root, application))]
    )
    with run_server(config, _prepare) as running:
        yield running
