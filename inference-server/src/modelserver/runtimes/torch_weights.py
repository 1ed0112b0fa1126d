"""safetensors weights and the registered architecture that they belong to, by torch, on the CPU or an accelerator."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from modelserver.artifact import VariantMetadata
from modelserver.errors import LoadError
from modelserver.model import Network
from modelserver.runtimes.architectures import find_architecture
from modelserver.runtimes.torch_module import TorchNetwork

DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def check_device(device: str) -> torch.device:
    """Return a torch device that is there.

    Raises:
        LoadError: When it is not.
    """
    try:
        found = torch.device(device)
        if found.type != "cpu":
            torch.empty(1, device=found)
    except Exception as error:  # what torch raises differs by device and by how it was compiled
        reason = str(error).splitlines()[0]
        raise LoadError(f"device {device!r}: expected 'cpu' or an accelerator that torch can use, {reason}") from error
    return found


def _module(weights: Path, metadata: VariantMetadata, dtype: torch.dtype) -> nn.Module:
    make = find_architecture(metadata.architecture)
    try:
        module = make(metadata.settings)
        module.load_state_dict(load_file(weights), strict=True, assign=True)
    except (SafetensorError, RuntimeError, TypeError, KeyError, ValueError) as error:
        raise LoadError(
            f"{weights}: does not fit {metadata.architecture} of {metadata.settings}: {error}; build the model again"
        ) from error
    return module.to(dtype).eval()


def load_torch(weights: Path, metadata: VariantMetadata, device: str) -> Network:
    """Load weights into their architecture; computes in one thread, the caller's.

    Raises:
        LoadError: When the architecture is not registered, the weights do not fit it, or the device is not there.
    """
    dtype = DTYPES.get(metadata.dtype)
    if dtype is None:
        raise LoadError(f"variant {metadata.variant!r}: dtype {metadata.dtype!r}, expected one of {', '.join(DTYPES)}")
    torch.set_num_threads(1)
    where = check_device(device)
    module = _module(weights, metadata, dtype).to(where)
    return TorchNetwork(module, metadata.inputs, metadata.outputs, where, dtype)
