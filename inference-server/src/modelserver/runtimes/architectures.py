"""The code that safetensors weights may belong to: an allow-list. Weights name an architecture; they never bring one along."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeAlias

from modelserver.code import import_attribute
from modelserver.errors import LoadError

if TYPE_CHECKING:
    from torch import nn

ENTRY_POINTS = "modelserver.architectures"
"""Group of entry points by which an installed package registers its own."""

Architecture: TypeAlias = "Callable[[Mapping[str, Any]], nn.Module]"
"""Makes a network of the sizes that the weights' metadata names; its `forward` takes the inputs in their order."""

_BUILT_IN: dict[str, str] = {
    "search-ranker-cross-encoder": "modelserver.models.search_ranker.network:make_cross_encoder",
    "image-classifier-resnet": "modelserver.models.image_classifier.network:make_resnet",
    "text-encoder-transformer": "modelserver.models.text_encoder.network:make_text_encoder",
    "inception": "modelserver.models.inception.network:make_inception",
}
_registered: dict[str, Architecture] = {}


def register_architecture(name: str, make: Architecture) -> None:
    """Allow safetensors weights to belong to `make`, in this process.

    Args:
        name: What variant.json says under `architecture`.
        make: From the metadata's `settings` to a network.

    Raises:
        ValueError: When the name is taken by another.
    """
    if name in _BUILT_IN or _registered.get(name, make) is not make:
        raise ValueError(f"architecture {name!r}: expected a name that is not taken")
    _registered[name] = make


def find_architecture(name: str) -> Architecture:
    """Return a registered architecture.

    Raises:
        LoadError: When there is none of that name.
    """
    if name in _registered:
        return _registered[name]
    if name in _BUILT_IN:
        return import_attribute(_BUILT_IN[name], f"architecture {name!r}")  # type: ignore[return-value]
    installed = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in installed:
        return import_attribute(installed[name].value, f"architecture {name!r}")  # type: ignore[return-value]
    known = ", ".join(sorted({*_BUILT_IN, *_registered, *installed}))
    raise LoadError(f"architecture {name!r}: expected one of {known}, or one registered under {ENTRY_POINTS!r}")
