"""What `scriptProcessor` says of WSGI and ASGI applications: module:callable, pure.

Dots in both. "module:make_app()" calls a factory, and what stands between its brackets are literals
of Python, as gunicorn has them: nothing is evaluated.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ApplicationReference", "reference_of"]

_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_REFERENCE = re.compile(rf"({_NAME})(?::({_NAME})(\(.*\))?)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ApplicationReference:
    """Where an application is found, and how the factory is called that makes it."""

    module: str
    name: str  # "": not given
    is_factory: bool = False
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict[str, Any])


def reference_of(text: str) -> ApplicationReference | None:
    """What `text` names; None where it has another form."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    module, name, brackets = match.groups()
    if brackets is None:
        return ApplicationReference(module, name or "")
    try:
        call = ast.parse(f"_{brackets}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return None
        arguments = tuple(ast.literal_eval(value) for value in call.args)
        keywords = {str(given.arg): ast.literal_eval(given.value) for given in call.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None  # no literals, or brackets within brackets without end
    if any(given.arg is None for given in call.keywords):
        return None  # f(**{…}): keywords without names
    return ApplicationReference(module, name, True, arguments, keywords)
