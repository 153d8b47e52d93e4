"""`was run module:callable`: the whole system on a home that lives as long as the command."""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import quoteattr

import click

from was.cli.home import insist_on_text
from was.cli.other_servers import CommandOfOtherServers
from was.cli.start import engine_option
from was.errors import HomeError

if TYPE_CHECKING:
    from was.manager.server import Engine

__all__ = ["Address", "command", "configuration", "parse_bind"]

# The application runs as who started it, may write where they may, its worker never idles away, and
# comes back however often it dies: that is what people expect of a server started by hand.
TEMPLATE = """\
<?xml version="1.0" encoding="UTF-8"?>
<configuration>
  <system.applicationHost>
    <applicationPools>
      <add name="run" startMode="AlwaysRunning">
        <processModel identityType="LocalSystem" idleTimeout="00:00:00" maxProcesses={processes} />
        <recycling>
          <periodicRestart time="00:00:00" />
        </recycling>
        <failure rapidFailProtection="false" />
        <python threads={threads} reloadOnChange={reload} />
      </add>
    </applicationPools>
    <sites>
      <site name="run" id="1">
        <application path="/" applicationPool="run">
          <virtualDirectory path="/" physicalPath={folder} />
        </application>
        <bindings>{bindings}</bindings>
      </site>
    </sites>
    <identities listener="LocalSystem" />
    <webLimits managerlessLimit="00:00:10" />
  </system.applicationHost>
  <system.webServer>
    <handlers>
      <add name="run" path="*" verb="*" modules={module} scriptProcessor={spec} />
    </handlers>
  </system.webServer>
</configuration>
"""


class Address(NamedTuple):
    """Where to listen: "" is every address; an IPv6 one has no brackets."""

    host: str
    port: int

    @property
    def binding_information(self) -> str:
        """As IIS writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host or "*"
        return f"{host}:{self.port}:"


@click.command("run", cls=CommandOfOtherServers)
@click.argument("spec", metavar="MODULE:CALLABLE")
@click.option(
    "-b",
    "--bind",
    "binds",
    multiple=True,
    metavar="[HOST:]PORT",
    help="Default: 127.0.0.1:8000, or all addresses and PORT where the environment has it."
    " May be given several times.",
)
@click.option(
    "-w",
    "--processes",
    "--workers",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="Worker processes (default: WEB_CONCURRENCY, else 1).",
)
@click.option(
    "--threads",
    type=click.IntRange(2, 4096),
    metavar="NUMBER",
    default=32,
    help="Threads of each worker process (32); one of them only receives.",
)
@click.option(
    "--reload", is_flag=True, help="New workers when a module of the application changes."
)
@click.option("--access-log", is_flag=True, help="A line for each request, in W3C form.")
@click.option(
    "--app-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The application's folder, first on sys.path (default: this one).",
)
@click.option(
    "--interface",
    type=click.Choice(["auto", "wsgi", "asgi"]),
    default="auto",
    show_default=True,
    help="What CALLABLE is; auto looks at it.",
)
@engine_option
@click.pass_context
def command(
    ctx: click.Context,
    spec: str,
    binds: tuple[str, ...],
    processes: int | None,
    threads: int,
    reload: bool,
    access_log: bool,
    app_dir: Path,
    interface: str,
    engine: Engine,
) -> None:
    """Serve one WSGI or ASGI application until Ctrl-C, without a home of its own.

    :CALLABLE may be left out where it is `application` or `app`; a factory is
    written MODULE:FACTORY(). It has the environment and the folder of this
    command.
    """
    try:
        folder, here = app_dir.resolve(), Path.cwd()
    except FileNotFoundError:
        raise HomeError("the current folder is not there any more") from None
    insist_on_text(folder)
    insist_on_text(here)
    addresses = [parse_bind(bind) for bind in binds if bind] or [_address_of_environment()]
    processes = processes or _processes_of_environment()
    spec, found = _checked(spec, folder)
    interface = found if interface == "auto" else interface
    home = Path(tempfile.mkdtemp(prefix="was-run-"))
    try:
        text = configuration(spec, folder, addresses, processes, threads, interface, reload=reload)
        ctx.exit(_serve(home, text, engine, access_log=access_log))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def parse_bind(text: str) -> Address:
    """HOST:PORT, :PORT, PORT or [IPV6]:PORT."""
    if text.startswith("unix:"):
        raise click.UsageError(f"{text!r}: Unix sockets are not served, only HOST:PORT")
    host, _, port = text.rpartition(":")
    if not _is_port(port):
        raise click.UsageError(f"{text!r} is no HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise click.UsageError(f"{text!r}: an IPv6 address needs brackets, [{host}]:{port}")
    if host == "localhost":
        host = "127.0.0.1"
    if host in ("", "*", "0.0.0.0"):
        return Address("", int(port))
    if not _is_address(host):
        raise click.UsageError(f"{text!r}: {host} is no IP address")
    return Address(host, int(port))


def configuration(
    spec: str,
    folder: Path,
    addresses: Iterable[Address],
    processes: int,
    threads: int,
    interface: str = "wsgi",
    *,
    reload: bool = False,
) -> str:
    """The applicationHost.config that serves just this application."""
    bindings = "".join(
        f'<binding protocol="http" bindingInformation={quoteattr(a.binding_information)} />'
        for a in dict.fromkeys(addresses)
    )
    return TEMPLATE.format(
        processes=quoteattr(str(processes)),
        threads=quoteattr(str(threads)),
        reload=quoteattr(str(reload).lower()),
        folder=quoteattr(str(folder)),
        bindings=bindings,
        spec=quoteattr(spec),
        module=quoteattr("AsgiModule" if interface == "asgi" else "WsgiModule"),
    )


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= 65535


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _address_of_environment() -> Address:
    port = os.environ.get("PORT")
    if not port:
        return Address("127.0.0.1", 8000)
    if not _is_port(port):
        raise click.UsageError(f"PORT in the environment is {port!r}, which is no port")
    return Address("", int(port))


def _processes_of_environment() -> int:
    number = os.environ.get("WEB_CONCURRENCY") or "1"
    if not (number.isascii() and number.isdigit() and int(number)):
        raise click.UsageError(
            f"WEB_CONCURRENCY in the environment is {number!r}, which is no number of processes"
        )
    return int(number)


def _checked(spec: str, folder: Path) -> tuple[str, str]:
    """The spec with its callable, and its interface. Raises HomeError with why it has none."""
    from was.cli.application_check import split_spec

    if not split_spec(spec)[0]:
        raise click.UsageError("MODULE:CALLABLE has no module")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "was.cli.application_check", spec, str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,  # what a good one says the worker will say again
        text=True,
        errors="replace",
        check=False,
    )
    said = done.stdout.strip()
    if done.returncode == 0 and said:
        interface, _, whole = said.partition(" ")
        return whole, interface
    click.echo(done.stderr, err=True, nl=False)
    raise HomeError(said or f"{spec} ended the process that imported it")


def _serve(folder: Path, text: str, engine: Engine, *, access_log: bool) -> int:
    from was.ipc.endpoints import Home
    from was.manager.server import Options
    from was.manager.service import run_manager

    home = Home(folder)
    for part in (home.config_file.parent, home.run, home.logs):
        part.mkdir(parents=True)
    home.config_file.write_text(text, encoding="utf-8")
    try:
        options = Options(engine, log_to_output=access_log, is_command_line=True)
        return run_manager(home, options)
    finally:
        sockets = home.find_sockets()
        if sockets is not None:
            shutil.rmtree(sockets.path, ignore_errors=True)
