"""The `image` of a globalModules entry: a Python module's dotted name, or the path of its file."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType

__all__ = ["import_image"]


def import_image(image: str) -> ModuleType:
    """Import it, a file once however often it is named. Raises whatever that raises."""
    if not image.endswith(".py"):
        return importlib.import_module(image)
    path = os.path.realpath(image)
    # A name that nothing of an application has.
    name = "was_image_" + path.replace(os.sep, "_").removesuffix(".py")
    known = sys.modules.get(name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{image} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
