"""`was`: finds the command, and turns errors into one line each on stderr and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage; `status` has 3 for a stopped home.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

import click

from was import __version__
from was.cli.home import home_option
from was.errors import WasError

__all__ = ["cli", "main"]

# command -> (file below was.cli, help text): `was --help` imports none of them
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Make a home: configuration, sample sites, folders."),
    "start": ("start", "Start the server, an application pool or a site."),
    "stop": ("stop", "Stop the server, an application pool or a site."),
    "restart": ("restart", "Stop the server, then start it in the background."),
    "status": ("status", "Say what runs."),
    "upgrade": ("upgrade", "Put newly installed code in force without a failed request."),
    "reload": ("reload", "Put the changed configuration in force."),
    "list": ("list", "List sites, apps, vdirs, apppools, wps, requests, modules, urlacls."),
    "add": ("add", "Add a urlacl: who may serve a URL by was.httpapi."),
    "delete": ("delete", "Delete a urlacl."),
    "recycle": ("recycle", "Replace an application pool's workers, overlapped."),
    "query": ("query", "Ask the modules of a worker process."),
    "run": ("run", "Serve one WSGI or ASGI application, without a home."),
    "config": ("config", "Check and show the configuration."),
    "user": ("user", "Add, list and delete users who log in."),
    "install": ("install", "Write a unit for the machine's service manager."),
    "sdk": ("sdk", "Print the folder of the C headers for compiled ISAPI extensions."),
    "load": ("load", "Send requests to a URL and count how each ended."),
    "chaos": ("chaos", "Kill, stop or hang workers, where that is allowed."),
}

_EDITED = "the configuration is edited in its files, and in force as they are saved"
# What people type who know another program's commands -> what does it here
ELSEWHERE = {
    **dict.fromkeys(("set", "clear", "lock", "unlock", "reset", "migrate", "search"), _EDITED),
    **dict.fromkeys(("backup", "restore"), "config/history has what applicationHost.config was"),
    "iisreset": "`was restart`",
    "appcmd": "its words are commands here, `was list sites`",
    "inspect": "`was list requests`",
    **dict.fromkeys(("ps", "top", "show"), "`was status`, `was list wps`"),
    "help": "`was COMMAND --help`",
    "version": "`was --version`",
}


class LazyGroup(click.Group):
    """A group that imports a command's file when that command is given."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the help page."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the file and take its `command`."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"was.cli.{COMMANDS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say what there is in place of a command that people know from elsewhere."""
        name = args[0]
        if name in ELSEWHERE:
            ctx.fail(f"No such command '{name}': {ELSEWHERE[name]}.")
        if ":" in name:
            ctx.fail(f"No such command '{name}': `was run {name}` serves an application.")
        if name not in COMMANDS:
            from was.config.nearest import meant

            ctx.fail(f"No such command '{name}'{meant(name, COMMANDS) or '.'}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say where the options of other servers belong."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            from was.cli.other_servers import HINTS

            if error.option_name not in HINTS:
                raise
            text = f"No such option '{error.option_name}'"
            ctx.fail(f"{text}: `was run MODULE:CALLABLE` serves an application, see its --help.")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help page's list without importing the commands."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; every failure that was foreseen is one line, not a traceback."""
        try:
            result: object = super().invoke(ctx)
        except WasError as error:
            lines = str(error).splitlines()
        except BrokenPipeError:
            raise
        except OSError as error:
            lines = [_line_of(error)]
        except KeyboardInterrupt:
            _end_by_ctrl_c()
        else:
            return result
        for line in lines:
            click.echo(f"was: {line}", err=True)
        return ctx.exit(1)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@home_option
@click.version_option(__version__, prog_name="was")
def cli() -> None:
    """IIS's process model for Python on Linux.

    A listener owns the sockets, a manager watches the workers, application pools keep
    applications apart.
    """


def main() -> None:
    """Entry point of the `was` command."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # was.__main__ has seen to that
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _open_what_is_closed()
    _print_everything()
    try:
        cli(prog_name="was")
    except OSError as error:  # a help page that could not be written
        with suppress(OSError):
            click.echo(f"was: {_line_of(error)}", err=True)
        sys.exit(1)
    finally:
        _give_up_output()


def _end_by_ctrl_c() -> NoReturn:
    """As it would have ended before Python's own code ran; whatever had to be undone is."""
    _give_up_output()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    sys.exit(128 + signal.SIGINT)  # where somebody has blocked it


def _open_what_is_closed() -> None:
    """Have standard input, output and errors, so that no other file gets their numbers."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
        if fd == 1:
            sys.stdout = open(fd, "w", closefd=False)  # noqa: SIM115 for as long as we live
        elif fd == 2:
            sys.stderr = open(fd, "w", closefd=False)  # noqa: SIM115
    os.close(fd)


def _print_everything() -> None:
    """What the terminal's encoding has no sign for is escaped, and costs nobody the rest."""
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


def _line_of(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{where}"


def _give_up_output() -> None:
    """What could not be written is not tried, and complained of, once more when Python ends."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, number)
            os.close(null)
