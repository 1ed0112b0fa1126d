"""The digest that says whether a build is still what the code would build."""

import hashlib
import inspect
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from modelserver.artifact import FORMAT

_PACKAGES_THAT_SHAPE_THE_RESULT = ("numpy", "onnx", "onnxruntime", "onnxscript", "torch", "torchao")
_RECIPES = Path(__file__).parent
_RECIPES_THAT_SHAPE_NOTHING = frozenset({"report.py", "quiet.py"})


def code_digests(*modules: ModuleType) -> dict[str, str]:
    """Return digests of modules outside a family's package that decide what is built, to go into its settings."""
    return {module.__name__: hashlib.sha256(inspect.getsource(module).encode()).hexdigest() for module in modules}


def content_version(settings: dict[str, Any], code: Path, serving_only: Iterable[str] = ()) -> str:
    """Return a digest of settings, code and libraries that decide what comes out of a build.

    Args:
        settings: Everything that the family's recipe says; JSON values and dataclasses as dicts.
        code: Directory of the family's package.
        serving_only: File names there that do not shape the result: a change of theirs does not make a build stale.
    """
    digest = hashlib.sha256(json.dumps({"format": FORMAT, **settings}, sort_keys=True, default=str).encode())
    for package in _PACKAGES_THAT_SHAPE_THE_RESULT:
        digest.update(f"{package}=={version(package)}".encode())
    ignored = {*serving_only}
    sources = [path for path in sorted(code.glob("*.py")) if path.name not in ignored]
    sources += [path for path in sorted(_RECIPES.glob("*.py")) if path.name not in _RECIPES_THAT_SHAPE_NOTHING]
    for source in sources:
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]
