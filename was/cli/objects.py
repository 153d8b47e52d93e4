"""The argument that names a kind of object, in the singular or the plural."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["kind_argument"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def kind_argument(
    *names: str, required: bool = True, others: str = ""
) -> Callable[[Decorated], Decorated]:
    """An argument `kind`: one of `names`, handed on in the singular and in lower case.

    `others` is what is said of all that is none of them.
    """

    def to_singular(
        ctx: click.Context, parameter: click.Parameter, value: str | None
    ) -> str | None:
        singular = None if value is None else value.lower().removesuffix("s")
        if singular is not None and singular not in names:
            text = f"{value!r} is none of {', '.join(names)}{others}"
            raise click.BadParameter(text, ctx, parameter)
        return singular

    kinds = "|".join(names) if required else f"[{'|'.join(names)}]"
    return click.argument("kind", metavar=kinds, callback=to_singular, required=required)
