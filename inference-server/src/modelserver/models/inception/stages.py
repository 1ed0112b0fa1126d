"""Loads one stage of the network: of the weights only those that belong to it are read."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from modelserver.artifact import VariantMetadata
from modelserver.errors import LoadError
from modelserver.model import Network
from modelserver.models.inception.network import make_inception
from modelserver.models.inception.recipe import ARCHITECTURE
from modelserver.runtimes.torch_module import TorchNetwork
from modelserver.runtimes.torch_weights import DTYPES, check_device


def load_torch_stage(
    weights: Path, metadata: VariantMetadata, stage: str, names: tuple[str, str], device: str
) -> Network:
    """Load a stage.

    Args:
        weights: Of the whole network, safetensors.
        metadata: Of the variant.
        stage: One of STAGES.
        names: Of what it takes and of what it gives.
        device: `cpu` or a torch device.

    Raises:
        LoadError: When the weights are not this network's.
    """
    if metadata.architecture != ARCHITECTURE or metadata.dtype not in DTYPES:
        raise LoadError(
            f"variant {metadata.variant!r}: architecture {metadata.architecture!r} in {metadata.dtype!r}, "
            f"expected {ARCHITECTURE!r} in one of {', '.join(DTYPES)}; only such weights can be split"
        )
    torch.set_num_threads(1)
    where, dtype, prefix = check_device(device), DTYPES[metadata.dtype], f"{stage}."
    try:
        with torch.device("meta"):
            module = make_inception(metadata.settings).get_submodule(stage)
        with safe_open(weights, framework="pt") as file:
            names_there = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 - not a dict
            own = {name.removeprefix(prefix): file.get_tensor(name) for name in names_there}
        module.load_state_dict(own, strict=True, assign=True)
    except (SafetensorError, RuntimeError, TypeError, KeyError, ValueError) as error:
        raise LoadError(f"{weights}: stage {stage!r} does not fit {metadata.settings}: {error}") from error
    return TorchNetwork(module.to(dtype).eval().to(where), names[:1], names[1:], where, dtype)
