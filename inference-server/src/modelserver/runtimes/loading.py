"""From a variant on disk to its network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from modelserver.artifact import VariantMetadata, checked_variant, read_variant
from modelserver.errors import LoadError
from modelserver.model import Context, Network


class NotVouchedForError(LoadError):
    """Weights are executable code, and whoever runs the server did not name their digest."""


Loader: TypeAlias = Callable[[Path, VariantMetadata, Context], Network]


def _torch() -> Loader:
    from modelserver.runtimes.torch_weights import load_torch  # noqa: PLC0415 - only who needs torch pays for it

    return lambda weights, metadata, context: load_torch(weights, metadata, context.device)


def _onnxruntime() -> Loader:
    from modelserver.runtimes.onnx_graph import load_onnx  # noqa: PLC0415 - only who needs it pays for it

    return lambda weights, metadata, context: load_onnx(weights, context.device)  # noqa: ARG005 - a Loader


def _package() -> Loader:
    from modelserver.runtimes.package import load_package  # noqa: PLC0415 - only who needs torch pays for it

    def load(weights: Path, metadata: VariantMetadata, context: Context) -> Network:
        if metadata.sha256 not in context.executables:
            raise NotVouchedForError(
                f"variant {metadata.variant!r}: {weights} is executable code; expected whoever runs the server to vouch for "
                f"it: --allow-executable {metadata.sha256}"
            )
        return load_package(weights, metadata, context.device)

    return load


RUNTIMES: dict[str, Callable[[], Loader]] = {"torch": _torch, "onnxruntime": _onnxruntime, "package": _package}
"""Runtime named in the metadata -> what imports it and returns how its weights are loaded. Nothing else is ever loaded."""


def import_runtime(directory: Path, variant: str) -> None:
    """Import what a variant is computed by.

    Args:
        directory: Of the model.
        variant: Its name.

    Raises:
        LoadError: When there is no such variant, or its runtime is not known.
    """
    _loader_of(directory, read_variant(directory, variant))


def _loader_of(directory: Path, metadata: VariantMetadata) -> Loader:
    runtime = RUNTIMES.get(metadata.runtime)
    if runtime is None:
        raise LoadError(
            f"variant {metadata.variant!r} of {directory}: runtime {metadata.runtime!r}, expected one of {', '.join(RUNTIMES)}"
        )
    return runtime()


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
    loader = _loader_of(directory, metadata)
    named = replace(metadata, inputs=metadata.inputs or inputs, outputs=metadata.outputs or outputs)
    return loader(weights, named, context)
