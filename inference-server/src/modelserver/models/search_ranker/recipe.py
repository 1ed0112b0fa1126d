"""What the build of the ranker is made of. Torch-free, so that metadata can be read without it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MODEL_NAME = "search-ranker"
ARCHITECTURE = "search-ranker-cross-encoder"
ACCURACY_METRIC = "ndcg@10"


@dataclass(frozen=True)
class NetworkShape:
    """Sizes of the network.

    Attributes:
        buckets: Hashed vocabulary, padding included.
        width: Width of the residual stream.
        heads: Attention heads.
        head_width: Width of each.
        hidden: Width of the feed-forward layers.
        layers: Encoder layers.
        summary_last: Whether the last layer computes the summary alone, the only position that is read.
    """

    buckets: int = 4096
    width: int = 128
    heads: int = 4
    head_width: int = 32
    hidden: int = 512
    layers: int = 2
    summary_last: bool = False


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
        tuning_steps: Variant made smaller -> steps that it is tuned for.
        shape: Sizes of the network.
        pruned: Sizes that pruning leaves.
        student: Sizes of the student.
        min_accuracy: Gate: NDCG@10 on held-out searches below which a variant is refused.
        max_accuracy_loss: Gate: NDCG@10 that a variant may lose against `full`.
        max_accuracy_loss_of_smaller: The same for the pruned network and the students.
        min_cosine: Gate: least cosine between the scores of a variant of the same weights and those of `full`.
        min_cosine_of_smaller: The same for the pruned network and the students, whose scores may be shifted query by query
            without any ranking being another; accuracy is what judges them.
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
    tuning_steps: Mapping[str, int] = field(default_factory=lambda: {"pruned": 30, "distilled": 50})
    shape: NetworkShape = field(default_factory=NetworkShape)
    pruned: NetworkShape = field(default_factory=lambda: NetworkShape(heads=2, hidden=256))
    student: NetworkShape = field(default_factory=lambda: NetworkShape(heads=2, hidden=128, summary_last=True))
    min_accuracy: float = 0.9
    max_accuracy_loss: float = 0.01
    max_accuracy_loss_of_smaller: float = 0.03
    min_cosine: float = 0.999
    min_cosine_of_smaller: float = 0.95
