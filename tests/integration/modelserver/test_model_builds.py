"""The built-in models besides the search ranker, built from recipes whose every size is cut."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelserver.artifact import read_variant, variants
from modelserver.model import Model
from modelserver.models.image_classifier.family import ImageClassifierFamily
from modelserver.models.inception.family import InceptionFamily
from modelserver.models.text_encoder.family import TextEncoderFamily
from modelserver.opening import open_model, set_up
from modelserver.recipes.family import Family
from modelserver.tensors import InferRequest, Tensor
from tiny_models import TINY_IMAGES, TINY_INCEPTION, TINY_TEXTS

pytestmark = pytest.mark.timeout(600)  # the builds are the first test's, and a busy machine triples them

FULL_FIRST = {
    "image-classifier": ("full", "bf16", "distilled", "int8", "pruned"),
    "text-encoder": ("full", "bf16", "distilled", "distilled-int8", "int8", "pruned"),
    "inception": ("full", "bf16", "int8"),
}


def opened(store: Path, name: str) -> Model:
    found = open_model(str(store / name))
    set_up(found)
    return found.model


def answer(model: Model, variant: str, request: InferRequest) -> dict[str, Tensor]:
    decoded = model.decode(request)
    tensors = model.encode(model.load(variant)(decoded.arrays), decoded.memo, request.outputs)
    return {tensor.name: tensor for tensor in tensors}


@pytest.mark.parametrize("name", FULL_FIRST)
def test_all_variants_are_kept_and_answer_alike_when_built(tiny_store: Path, name: str) -> None:
    assert variants(tiny_store / name) == FULL_FIRST[name]
    model = opened(tiny_store, name)
    request, output = model.example(), {"text-encoder": "embeddings"}.get(name, "probabilities")
    full = answer(model, "full", request)[output].array
    for variant in ("bf16", "int8"):
        assert np.allclose(answer(model, variant, request)[output].array, full, atol=0.15)
    for variant in variants(tiny_store / name):
        tensor = answer(model, variant, request)[output]
        assert tensor.shape == (1, *{spec.name: spec.shape for spec in model.outputs}[output][1:])
        assert tensor.array.dtype == np.float32


@pytest.mark.parametrize("name", ["image-classifier", "text-encoder"])
def test_network_is_better_than_chance_when_trained_for_seconds(tiny_store: Path, name: str) -> None:
    chance = {"image-classifier": 0.1, "text-encoder": 0.01}[name]
    accuracy = read_variant(tiny_store / name, "full").accuracy
    assert accuracy is not None
    assert accuracy > 3 * chance


@pytest.mark.parametrize("name", ["image-classifier", "text-encoder"])
def test_smaller_variants_are_smaller_when_built(tiny_store: Path, name: str) -> None:
    sizes = {variant: read_variant(tiny_store / name, variant).size_bytes for variant in variants(tiny_store / name)}
    assert sizes["bf16"] < 0.6 * sizes["full"]
    assert max(sizes["int8"], sizes["pruned"], sizes["distilled"]) < sizes["full"]


SHORT = (
    ImageClassifierFamily(replace(TINY_IMAGES, training_photos=64, held_out_photos=8, training_steps=4)),
    TextEncoderFamily(replace(TINY_TEXTS, training_meanings=64, held_out_meanings=8, bag_steps=4, encoder_steps=4)),
    InceptionFamily(replace(TINY_INCEPTION, training_photos=64, held_out_photos=8, training_steps=4)),
)


@pytest.mark.parametrize("family", SHORT, ids=lambda family: family.name)
def test_training_gives_the_same_weights_and_tells_of_each_step_when_repeated(family: Family[Any]) -> None:
    torch.set_num_threads(1)
    steps: list[None] = []
    first, again = (family.train(family.prepare(), lambda: steps.append(None)).state_dict() for _ in ("first", "again"))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert len(steps) == 2 * family.training_steps


def test_stages_in_turn_answer_as_the_whole_when_built(tiny_store: Path) -> None:
    model = opened(tiny_store, "inception")
    arrays = whole = model.decode(model.example()).arrays
    for stage in model.stages():
        arrays = model.load_stage("full", stage.name)(arrays)
    assert np.allclose(arrays["logits"], model.load("full")(whole)["logits"], atol=1e-5)


def test_texts_that_mean_the_same_lie_nearer_when_embedded(tiny_store: Path) -> None:
    model = opened(tiny_store, "text-encoder")
    texts = [b"how do i clean the red lamp today", b"care instructions for the red lamp today", b"cancel my sofa"]
    request = InferRequest({"text": Tensor("text", "BYTES", np.array(texts, dtype=np.object_))}, ("embeddings",))
    same, _, other = (
        answer(model, "full", request)["embeddings"].array @ answer(model, "int8", request)["embeddings"].array[1]
    )
    assert same > other + 0.1
