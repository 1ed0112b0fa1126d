"""From a variant on disk to its network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from modelserver.artifact import VariantMetadata, checked_variant
from modelserver.errors import LoadError
from modelserver.model import Context, Network


class NotVouchedForError(LoadError):
    """Weights are executable code, and whoever runs the server did not name their digest."""


Loader: TypeAlias = Callable[[Path, VariantMetadata, Context], Network]


def _torch(weights: Path, metadata: VariantMetadata, context: Context) -> Network:
    from modelserver.runtimes.torch_weights import load_torch  # noqa: PLC0415 - only who needs torch pays for it

    return load_torch(weights, metadata, context.device)


def _onnxruntime(weights: Path, metadata: VariantMetadata, context: Context) -> Network:  # noqa: ARG001 - a Loader
    from modelserver.runtimes.onnx_graph import load_onnx  # noqa: PLC0415 - only who needs it pays for it

    return load_onnx(weights, context.device)


def _package(weights: Path, metadata: VariantMetadata, context: Context) -> Network:
    if metadata.sha256 not in context.executables:
        raise NotVouchedForError(
            f"variant {metadata.variant!r}: {weights} is executable code; expected whoever runs the server to vouch for it: "
            f"--allow-executable {metadata.sha256}"
        )
    from modelserver.runtimes.package import load_package  # noqa: PLC0415 - only who needs torch pays for it

    return load_package(weights, metadata, context.device)


LOADERS: dict[str, Loader] = {"torch": _torch, "onnxruntime": _onnxruntime, "package": _package}
"""Runtime named in the metadata -> how its weights are loaded. Nothing else is ever loaded."""


def load_network(
    directory: Path, variant: str, context: Context, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()
) -> Network:
    """Load a variant.

    Args:
        directory: Of the model.
        variant: Its name.
        context: Device, and which executable artifacts may be loaded.
        inputs: Names of the network's inputs in order, where the metadata does not say.
        outputs: Names of its outputs, likewise.

    Raises:
        LoadError: When there is no such variant, its weights are not the ones it names, or they do not load.
    """
    metadata, weights = checked_variant(directory, variant)
    loader = LOADERS.get(metadata.runtime)
    if loader is None:
        raise LoadError(
            f"variant {variant!r} of {directory}: runtime {metadata.runtime!r}, expected one of {', '.join(LOADERS)}"
        )
    named = replace(metadata, inputs=metadata.inputs or inputs, outputs=metadata.outputs or outputs)
    return loader(weights, named, context)
