"""The argument that names a kind of object, in the singular or the plural."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["kind_argument"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def kind_argument(*names: str, required: bool = True) -> Callable[[Decorated], Decorated]:
    """An argument `kind`: one of `names`, handed on in the singular and in lower case."""
    return click.argument(
        "kind",
        type=click.Choice([*names, *(f"{name}s" for name in names)], case_sensitive=False),
        metavar="|".join(names),
        callback=_to_singular,
        required=required,
    )


def _to_singular(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    del ctx, parameter
    return None if value is None else value.lower().removesuffix("s")
