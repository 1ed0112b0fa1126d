"""Packages that torch's AOTInductor compiled: machine code. `loading` lets them through only by their digest."""

from pathlib import Path

import torch

from modelserver.artifact import VariantMetadata
from modelserver.errors import LoadError
from modelserver.model import Network
from modelserver.runtimes.torch_module import TorchNetwork
from modelserver.runtimes.torch_weights import check_device


def load_package(weights: Path, metadata: VariantMetadata, device: str) -> Network:
    """Load a package; computes in one thread, the caller's.

    Args:
        weights: The `.pt2` file, whose digest has been vouched for.
        metadata: What the variant says of itself.
        device: Must be what the package was compiled for.

    Raises:
        LoadError: When torch refuses it or it was compiled for another kind of device.
    """
    torch.set_num_threads(1)
    where = check_device(device)
    try:
        compute = torch._inductor.aoti_load_package(
            str(weights), run_single_threaded=True, device_index=where.index or -1
        )
    except Exception as error:  # whatever the package's code or the loader raises
        raise LoadError(f"{weights}: torch cannot load it, {error}; build the model again on this machine") from error
    compiled_for = compute.get_metadata().get("AOTI_DEVICE_KEY", "cpu")
    if compiled_for != where.type:
        raise LoadError(f"{weights}: compiled for {compiled_for}, expected {where.type} as --device {device} says")
    return TorchNetwork(compute, metadata.inputs, metadata.outputs, where)
