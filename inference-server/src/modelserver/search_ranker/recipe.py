"""What the build of the ranker is made of. Torch-free, so that metadata can be read without it."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

MODEL_NAME = "search-ranker"
ARCHITECTURE = "search-ranker-cross-encoder"
ACCURACY_METRIC = "ndcg@10"
_PACKAGES_THAT_SHAPE_THE_RESULT = ("numpy", "onnx", "onnxruntime", "onnxscript", "torch")
_FILES_THAT_DO_NOT = frozenset({"model.py", "report.py", "scorers.py"})
"""Serving and reporting: a change there does not make a build stale."""


@dataclass(frozen=True)
class NetworkShape:
    """Sizes of the network.

    Attributes:
        buckets: Hashed vocabulary, padding included.
        width: Width of the residual stream.
        heads: Attention heads; divides width.
        hidden: Width of the feed-forward layers.
        layers: Encoder layers.
    """

    buckets: int = 4096
    width: int = 128
    heads: int = 4
    hidden: int = 512
    layers: int = 2


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out of a build, the code apart.

    Attributes:
        seed: Of the generator and of training.
        catalogue_size: Items in the shop.
        candidates: Candidates per query unless the request names its own.
        training_searches: Searches to train on.
        held_out_searches: Searches, drawn apart, that accuracy is measured on.
        calibration_searches: Training searches that int8 ranges are found on.
        training_candidates: Candidates per training search.
        batch_searches: Searches per training step.
        embedding_steps: Steps of the first stage, which trains the embeddings alone.
        encoder_steps: Steps of the second stage, which trains the whole network.
        shape: Sizes of the network.
        min_accuracy: Gate: NDCG@10 on held-out searches below which a variant is refused.
        max_accuracy_loss: Gate: NDCG@10 that a quantized variant may lose against `full`.
        min_cosine: Gate: least cosine between the scores of a quantized variant and those of `full`.
    """

    seed: int = 0
    catalogue_size: int = 4000
    candidates: int = 32
    training_searches: int = 6000
    held_out_searches: int = 600
    calibration_searches: int = 32
    training_candidates: int = 16
    batch_searches: int = 32
    embedding_steps: int = 700
    encoder_steps: int = 120
    shape: NetworkShape = field(default_factory=NetworkShape)
    min_accuracy: float = 0.9
    max_accuracy_loss: float = 0.01
    min_cosine: float = 0.999


def content_version(recipe: Recipe) -> str:
    """Return a digest of the recipe, of this package's code and of the libraries that shape the result."""
    digest = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode())
    for package in _PACKAGES_THAT_SHAPE_THE_RESULT:
        digest.update(f"{package}=={version(package)}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        if source.name in _FILES_THAT_DO_NOT:
            continue
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]
