"""The arguments that name an object: its kind, in the singular or the plural, and its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["kind_argument", "name_argument", "no_object"]

# What people say who know another program -> our word
_ALSO = {
    **dict.fromkeys(("pool", "applicationpool"), "apppool"),
    **dict.fromkeys(("worker", "workerprocesse", "processe", "w3wp"), "wp"),
    "application": "app",
    "virtualdirectory": "vdir",
}
_OF_APPCMD = re.compile(r"/([\w.]+):(.*)")

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def kind_argument(
    *names: str, required: bool = True, others: str = ""
) -> Callable[[Decorated], Decorated]:
    """An argument `kind`: one of `names`, handed on in the singular and in lower case.

    `others` is what is said of all that is none of them; "{}" in it stands for the word.
    """

    def to_singular(
        ctx: click.Context, parameter: click.Parameter, value: str | None
    ) -> str | None:
        del parameter
        singular = None if value is None else value.lower().removesuffix("s")
        if value is not None and singular not in names:
            hint = _meant(value, names) or others.format(value)
            raise click.UsageError(f"'{value}' is none of {', '.join(names)}{hint}", ctx)
        return singular

    kinds = "|".join(names) if required else f"[{'|'.join(names)}]"
    return click.argument("kind", metavar=kinds, callback=to_singular, required=required)


def _meant(word: str, names: tuple[str, ...]) -> str:
    ours = _ALSO.get(word.lower().removesuffix("s"))
    if ours in names:
        return f"; did you mean '{ours}'?"
    from was.config.nearest import meant  # only who has made a mistake pays for it

    return meant(word, names)


def name_argument(*, required: bool = True) -> Callable[[Decorated], Decorated]:
    """An argument `name`: the name alone, without appcmd's `/apppool.name:` before it."""

    def insist_on_name(
        ctx: click.Context, parameter: click.Parameter, value: str | None
    ) -> str | None:
        del parameter
        found = _OF_APPCMD.fullmatch(value or "")
        if found is not None:
            is_name = found[1].lower().endswith("name")
            here = (found[2] or "NAME") if is_name else "a NAME, or what `--json` gives"
            raise click.UsageError(f"'{value}' is appcmd's form; here: {here}", ctx)
        return value

    return click.argument("name", callback=insist_on_name, required=required)


def no_object(hint: str) -> Callable[[Decorated], Decorated]:
    """For a command of the whole server: who names an object is told what does it for one."""

    def refuse(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
        del parameter
        if value:
            raise click.UsageError(f"'{' '.join(value)}' is not taken here: {hint}", ctx)

    return click.argument("rest", nargs=-1, metavar="", callback=refuse, expose_value=False)
