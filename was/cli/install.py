"""`was install systemd`: a unit that keeps the server of a home running."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from was.cli.home import home_option, open_home
from was.errors import HomeError

__all__ = ["command", "service_unit", "socket_unit"]

# KillMode=process: the death of the manager takes nothing along, the next one takes listener and
# workers over. On `systemctl stop` the manager itself ends them all. Exit 0 means that somebody
# asked for the end (`was stop`); whatever else it is, the manager comes back, and a start that
# fails is tried again for ever, since listener and workers may be serving.
# The descriptor store holds the listening sockets: with manager and listener dead, clients wait in
# the backlog for the next ones.
SERVICE = """\
[Unit]
Description=was, {home}
Documentation=man:systemd.service(5)
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} start
ExecReload={program} reload
Restart=on-failure
RestartSec=500ms
WatchdogSec=30
KillMode=process
TimeoutStartSec=300
TimeoutStopSec=300
FileDescriptorStoreMax=1024
Delegate=yes
{subgroup}LimitNOFILE=524288
{hardening}
[Install]
WantedBy={target}
"""

# What nothing in the server needs, and what takes nothing from isolation: identities, cgroups,
# Landlock and the pools' files need the capabilities that are left. Everything that makes a mount
# namespace (ProtectSystem=, PrivateTmp= …) is left out: the home, the content and the sockets lie
# where the configuration says, and a manager that starts anew must see what the last one saw.
# RestrictSUIDSGID= too: the folders of the pools' sockets hand their group on by that very bit.
# A user's own manager can take none of this away without NoNewPrivileges=.
HARDENING = """\
CapabilityBoundingSet=~CAP_SYS_MODULE CAP_SYS_BOOT CAP_SYS_TIME CAP_SYS_RAWIO CAP_SYSLOG
CapabilityBoundingSet=~CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_LINUX_IMMUTABLE CAP_WAKE_ALARM
LockPersonality=yes
RestrictRealtime=yes
SystemCallArchitectures=native
"""

# A group with limited subgroups holds no process itself: the manager is put beside the pools'.
SUBGROUP = "DelegateSubgroup=was-manager\n"
SUBGROUP_SINCE = 254

SOCKET = """\
[Unit]
Description=Sockets of was, {home}

[Socket]
{streams}
Backlog=4096
Service={service}

[Install]
WantedBy=sockets.target
"""


@click.command("install")
@click.argument("what", type=click.Choice(["systemd"]))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, NAME.service (default: standard output).",
)
@click.option(
    "--socket", "with_socket", is_flag=True, help="With socket activation: NAME.socket too."
)
@home_option
def command(what: str, output: Path | None, with_socket: bool) -> None:
    """Write a systemd unit for the home: notify, watchdog, restart, nothing taken along."""
    del what
    home = open_home()
    name = output.name if output is not None else "was.service"
    if not name.endswith(".service"):
        raise click.UsageError(f"{name!r} does not end in .service")
    units = {name: service_unit(home.path)}
    if with_socket:
        from was.manager.configuration import load_configuration
        from was.manager.routes import needed_sockets

        configuration = load_configuration(home)
        sites = [s for s in configuration.config.sites if s.server_auto_start]
        addresses = sorted({(key.ip, key.port) for key in needed_sockets(sites) if key.port})
        if not addresses:
            raise HomeError("no started site has a binding with a port of its own")
        units[f"{name.removesuffix('.service')}.socket"] = socket_unit(home.path, name, addresses)
    for unit, text in units.items():
        if output is None:
            click.echo((f"# {unit}\n" if with_socket else "") + text)
        else:
            output.with_name(unit).write_text(text, encoding="utf-8")
            click.echo(f"wrote {output.with_name(unit)}")


def service_unit(home: Path) -> str:
    """The text of the .service; for all users when root asks, else for the user's own manager."""
    is_root = os.geteuid() == 0
    words = [sys.executable, "-P", "-m", "was", "--home", str(home)]
    return SERVICE.format(
        home=_specifiers(str(home)),
        program=" ".join(_quoted(word) for word in words),
        subgroup=SUBGROUP if systemd_version() >= SUBGROUP_SINCE else "",
        hardening=HARDENING if is_root else "",
        target="multi-user.target" if is_root else "default.target",
    )


def systemd_version() -> int:
    """Of this machine; 0 when it has none."""
    try:
        done = subprocess.run(["systemctl", "--version"], capture_output=True, check=False)
    except OSError:
        return 0
    words = done.stdout.split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def socket_unit(home: Path, service: str, addresses: Iterable[tuple[str, int]]) -> str:
    """The text of the .socket that listens on these (ip, port); "" is every address."""
    streams = [f"ListenStream={_stream(ip, port)}" for ip, port in addresses]
    return SOCKET.format(
        home=_specifiers(str(home)), streams="\n".join(streams), service=_specifiers(service)
    )


def _stream(ip: str, port: int) -> str:
    if not ip:
        return str(port)  # systemd's own way of saying both families
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _quoted(word: str) -> str:
    """One word of a command line as systemd.syntax(7) reads it."""
    if word and all(c.isalnum() or c in "/._-" for c in word):
        return word
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_specifiers(text)}"'


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")
