"""`was query wp PID FUNCTION [PARAMETERS]`: ask a worker's modules (IIS: GL_RSCA_QUERY)."""

from __future__ import annotations

from typing import cast

import click

from was.cli.client import ask
from was.cli.home import find_home, home_option
from was.cli.objects import kind_argument
from was.errors import AdminError

__all__ = ["command"]

_NOT_IMPLEMENTED = 0x80004001


@click.command("query")
@kind_argument("wp")
@click.argument("pid", type=int)
@click.argument("function")
@click.argument("parameters", default="")
@home_option
def command(kind: str, pid: int, function: str, parameters: str) -> None:
    """Ask the modules of worker process PID; the first that knows FUNCTION answers."""
    del kind
    result = ask(find_home(), "query", pid=pid, function=function, parameters=parameters)
    answer = cast("dict[str, object]", result)
    hresult = int(str(answer["hresult"]))
    if hresult == _NOT_IMPLEMENTED:
        raise AdminError(f"no module of worker process {pid} knows '{function}'")
    if hresult >= 0x80000000:
        raise AdminError(f"'{function}' failed with 0x{hresult:08X}")
    click.echo(answer["data"])
