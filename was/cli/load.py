"""`was load URL`: requests over so many connections, each one's fate counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from was.cli.duration import for_option, parse_duration, parse_rate

if TYPE_CHECKING:
    from was.load.tally import Tally

__all__ = ["command"]


@click.command("load")
@click.argument("url")
@click.option(
    "--rate",
    type=parse_rate,
    default="0",
    metavar="NUMBER",
    help="Requests a second, due whether or not earlier ones have ended; 0 = each connection"
    " sends its next one at once.",
)
@click.option(
    "--conns", type=click.IntRange(1, 10000), default=1, metavar="NUMBER", help="Connections (1)."
)
@for_option
@click.option("--method", default="GET", metavar="NAME", help="GET, or another.")
@click.option(
    "--timeout",
    "timeout_s",
    type=parse_duration,
    default="30s",
    metavar="TIME",
    help="Of one request (30s).",
)
@click.option("--json", "as_json", is_flag=True, help="One object instead of text.")
@click.pass_context
def command(
    ctx: click.Context,
    url: str,
    rate: float,
    conns: int,
    duration_s: float,
    method: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Send requests to URL and say how each of them ended.

    No request is ever sent twice. With --rate a latency runs from the time at which the request
    was due: a stall is charged to all that had to wait behind it. Exit code 1:
    no request was answered.
    """
    from was.load.client import Load, run_load
    from was.load.tally import Tally

    if not (method.isascii() and method.isalpha()):
        raise click.UsageError(f"{method!r} is no method")
    if rate and round(rate * duration_s) < 1:
        raise click.UsageError("at this rate no request is due in this time")
    host, port, target = split_url(url)
    method = method.upper()
    load = Load(
        host,
        port,
        target,
        method,
        body=(lambda _: b"") if method in ("POST", "PUT", "PATCH") else None,
        host_field=urlsplit(url).netloc.rpartition("@")[2],
        rate=rate,
        connections=conns,
        duration_s=duration_s,
        timeout_s=timeout_s,
        keep_bytes=0,
    )
    asked = {"url": url, "method": method, "rate": rate, "conns": conns, "for_s": duration_s}
    tally = Tally()
    try:
        run_load(load, tally)
    except KeyboardInterrupt:
        raise click.Abort from None
    finally:  # also of one that is interrupted: what came of it until then
        _tell(tally, asked if as_json else None)
    if not tally.statuses:
        ctx.exit(1)


def _tell(tally: Tally, asked: Mapping[str, object] | None) -> None:
    """Print it as text, or as one object with what was asked."""
    if asked is None:
        click.echo(tally.summary())
    else:
        click.echo(json.dumps({**asked, **tally.to_dict()}, indent=2))


def split_url(url: str) -> tuple[str, int, str]:
    """Host, port and request target; a usage error for what is no http URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise click.UsageError(f"{url!r}: {error}") from None
    if parts.scheme != "http" or not host:
        raise click.UsageError(f"{url!r} is no URL of the form http://host[:port]/path")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii() or not target.isprintable() or " " in target:
        raise click.UsageError(f"{url!r}: write other characters than ASCII as %XX")
    return host, port or 80, target
