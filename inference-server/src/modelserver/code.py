"""Code by its name: what a user or a table of ours names, never what an artifact does."""

import importlib

from modelserver.errors import LoadError


def import_attribute(path: str, what: str) -> object:
    """Return what `package.module:Name` names.

    Args:
        path: Module and attribute.
        what: What it is for, in errors.

    Raises:
        LoadError: When there is no such module or attribute, or importing it fails.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise LoadError(f"{what}: {path!r}, expected package.module:Name")
    try:
        found: object = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module may raise anything when it is imported
        raise LoadError(f"{what}: {path!r} cannot be imported, {type(error).__name__}: {error}") from error
    return found
