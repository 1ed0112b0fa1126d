"""The Inception-type example as an artifact, and requests to it. Untrained: what weights say does not change what they cost."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from modelscaler_benchmarks.server.payloads import HEADER_LENGTH
from modelserver.artifact import ModelMetadata, VariantMetadata, write_metadata
from modelserver.models.image_classifier.recipe import PREPROCESSING
from modelserver.models.inception.network import Inception
from modelserver.models.inception.recipe import ARCHITECTURE, MODEL_NAME, InceptionShape
from modelserver.opening import open_model, set_up

PIXELS = 48
SEED = 7


def write_example(directory: Path, shape: InceptionShape) -> None:
    """Write a model with one variant, `full`, of random weights."""
    torch.manual_seed(SEED)
    network = Inception(shape).eval()
    folder = directory / "full"
    folder.mkdir(parents=True)
    save_file(network.state_dict(), folder / "model.safetensors")
    write_metadata(
        folder / "variant.json",
        VariantMetadata(
            "full",
            "torch",
            "model.safetensors",
            architecture=ARCHITECTURE,
            settings=asdict(shape),
            inputs=("images",),
            outputs=("logits",),
        ),
    )
    write_metadata(
        directory / "model.json", ModelMetadata(MODEL_NAME, "untrained", MODEL_NAME, preprocessing=PREPROCESSING)
    )


def requests(count: int) -> tuple[list[bytes], dict[str, str]]:
    """Return the bodies of requests for one image each, binary tensors, and the headers that go with all of them."""
    images = np.random.default_rng(SEED).integers(0, 256, (count, 1, PIXELS, PIXELS, 3), dtype=np.uint8)
    header = (
        f'{{"inputs":[{{"name":"images","datatype":"UINT8","shape":[1,{PIXELS},{PIXELS},3],'
        f'"parameters":{{"binary_data_size":{images[0].nbytes}}}}}],'
        '"outputs":[{"name":"probabilities"}]}'
    ).encode()
    headers = {HEADER_LENGTH: str(len(header)), "Content-Type": "application/octet-stream"}
    return [header + image.tobytes() for image in images], headers


def stage_seconds(directory: Path, stages: Sequence[str], rows: int, repeats: int) -> dict[str, float]:
    """Return what each stage takes for a batch, alone on one thread: the least of some runs.

    Args:
        directory: Of the model.
        stages: First to last.
        rows: Of the batch.
        repeats: Runs.
    """
    found = open_model(str(directory))
    set_up(found)
    arrays = dict(found.model.decode(found.model.example()).arrays)
    batch = {name: np.repeat(array, rows, axis=0) for name, array in arrays.items()}
    taken = {}
    for stage in stages:
        network = found.model.load_stage("full", stage)
        network(batch)
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            answer = network(batch)
            seconds.append(time.perf_counter() - start)
        taken[stage] = min(seconds)
        batch = dict(answer)
    return taken
