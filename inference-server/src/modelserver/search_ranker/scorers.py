"""What executes the ranker's network: torch for `full`, ONNX Runtime for `int8`.

Each library is imported only when its variant is loaded: an int8 server never pays for torch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelserver.artifact import VariantMetadata
from modelserver.errors import LoadError
from modelserver.search_ranker.features import Pairs
from modelserver.search_ranker.recipe import ARCHITECTURE, NetworkShape

Scorer: TypeAlias = Callable[[Pairs], NDArray[np.float32]]
"""Scores pairs; float32 [pairs], higher is more relevant. Uses one thread, the caller's."""


def load_torch(weights: Path, settings: dict[str, int]) -> Scorer:
    """Load safetensors weights into the network.

    Raises:
        LoadError: When the weights do not fit the shape that the settings name.
    """
    import torch  # noqa: PLC0415 - only a server of `full` pays for torch
    from safetensors import SafetensorError  # noqa: PLC0415 - ditto
    from safetensors.torch import load_file  # noqa: PLC0415 - ditto

    from modelserver.search_ranker.network import CrossEncoder  # noqa: PLC0415 - ditto

    torch.set_num_threads(1)
    network = CrossEncoder(NetworkShape(**settings))
    try:
        network.load_state_dict(load_file(weights), strict=True, assign=True)
    except (SafetensorError, RuntimeError) as error:
        raise LoadError(f"{weights}: does not fit {ARCHITECTURE} of {settings}: {error}") from error
    network.eval()

    def score(pairs: Pairs) -> NDArray[np.float32]:
        with torch.inference_mode():
            scores: NDArray[np.float32] = network(torch.from_numpy(pairs.tokens), torch.from_numpy(pairs.kinds)).numpy()
        return scores

    return score


def load_onnx(weights: Path, _settings: dict[str, int]) -> Scorer:
    """Load an ONNX graph, which knows its own sizes.

    Raises:
        LoadError: When ONNX Runtime refuses it.
    """
    import onnxruntime  # noqa: PLC0415 - only a server of an ONNX variant pays for it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class but this
        raise LoadError(f"{weights}: ONNX Runtime cannot load it: {error}") from error

    def score(pairs: Pairs) -> NDArray[np.float32]:
        (scores,) = session.run(["scores"], {"tokens": pairs.tokens, "kinds": pairs.kinds})
        result: NDArray[np.float32] = scores
        return result

    return score


LOADERS: dict[str, Callable[[Path, dict[str, int]], Scorer]] = {"torch": load_torch, "onnxruntime": load_onnx}
"""Runtime named in the metadata -> how its weights are loaded. Nothing else is ever loaded."""


def load_scorer(directory: Path, metadata: VariantMetadata) -> Scorer:
    """Load the network of a variant.

    Args:
        directory: The variant's directory.
        metadata: What it says of itself; its digest has been checked.

    Raises:
        LoadError: When runtime or architecture is not an allowed one, or the weights do not load.
    """
    if metadata.architecture != ARCHITECTURE:
        raise LoadError(f"architecture {metadata.architecture!r} in {directory}: expected {ARCHITECTURE!r}")
    loader = LOADERS.get(metadata.runtime)
    if loader is None:
        raise LoadError(f"runtime {metadata.runtime!r} in {directory}: expected one of {', '.join(LOADERS)}")
    return loader(directory / metadata.weights, metadata.settings)
