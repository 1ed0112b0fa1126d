from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modelserver.artifact import MODEL_FILE, VARIANT_FILE, VariantMetadata, digest, write_metadata
from modelserver.errors import LoadError
from modelserver.model import Context
from modelserver.models.inception.family import InceptionFamily
from modelserver.models.inception.model import SplitClassifier
from modelserver.models.inception.network import Inception
from modelserver.models.inception.recipe import ARCHITECTURE, STAGES
from tiny_models import TINY_INCEPTION

IMAGES = {"images": np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)}


def write_variant(directory: Path, dtype: str, architecture: str = ARCHITECTURE, runtime: str = "torch") -> None:
    torch.manual_seed(0)
    (directory / dtype).mkdir()
    weights = directory / dtype / "model.safetensors"
    state = Inception(TINY_INCEPTION.shape).state_dict()
    save_file({name: v.to(getattr(torch, dtype)) if v.is_floating_point() else v for name, v in state.items()}, weights)
    metadata = VariantMetadata(
        variant=dtype,
        runtime=runtime,
        weights=weights.name,
        architecture=architecture,
        settings=asdict(TINY_INCEPTION.shape),
        dtype=dtype,
        inputs=("images",),
        outputs=("logits",),
        sha256=digest(weights),
    )
    write_metadata(directory / dtype / VARIANT_FILE, metadata)


@pytest.fixture
def split(tmp_path: Path) -> SplitClassifier:
    write_metadata(tmp_path / MODEL_FILE, InceptionFamily(TINY_INCEPTION).metadata)
    for dtype in ("float32", "bfloat16"):
        write_variant(tmp_path, dtype)
    model = SplitClassifier()
    model.setup(Context(tmp_path))
    return model


@pytest.mark.parametrize(("variant", "tolerance"), [("float32", 1e-6), ("bfloat16", 1e-2)])
def test_stages_in_turn_answer_as_the_whole_when_chained(
    split: SplitClassifier, variant: str, tolerance: float
) -> None:
    arrays = dict(IMAGES)
    for stage in split.stages():
        arrays = dict(split.load_stage(variant, stage.name)(arrays))
    whole = split.load(variant)(IMAGES)["logits"]
    assert np.allclose(arrays["logits"], whole, atol=tolerance)
    assert np.ptp(whole) > 10 * tolerance


def test_what_stages_hand_over_is_what_they_say(split: SplitClassifier) -> None:
    arrays = dict(IMAGES)
    assert [stage.name for stage in split.stages()] == list(STAGES)
    for stage in split.stages():
        assert {spec.name: (len(IMAGES["images"]), *spec.shape[1:]) for spec in stage.inputs} == {
            name: array.shape for name, array in arrays.items()
        }
        arrays = dict(split.load_stage("float32", stage.name)(arrays))
        assert [spec.name for spec in stage.outputs] == list(arrays)
        assert all(array.dtype == np.float32 for array in arrays.values())
    assert arrays["logits"].shape == (3, 10)


def test_decoded_request_is_what_the_first_stage_takes(split: SplitClassifier) -> None:
    decoded = split.decode(split.example())
    assert decoded.memo is None
    assert {name: array.shape[1:] for name, array in decoded.arrays.items()} == {"images": (3, 32, 32)}


def test_stage_is_refused_when_there_is_none_of_that_name(split: SplitClassifier) -> None:
    with pytest.raises(LoadError, match="'tail': expected one of stem, mixed, head"):
        split.load_stage("float32", "tail")


def test_stage_is_refused_when_the_weights_are_a_graph(split: SplitClassifier) -> None:
    write_variant(split.directory, "float16", runtime="onnxruntime")
    with pytest.raises(LoadError, match="onnxruntime"):
        split.load_stage("float16", "stem")


def test_stage_is_refused_when_the_weights_are_another_networks(split: SplitClassifier) -> None:
    write_variant(split.directory, "float16", architecture="image-classifier-resnet")
    with pytest.raises(LoadError, match="image-classifier-resnet"):
        split.load_stage("float16", "stem")


def test_stage_is_refused_when_its_weights_are_missing(split: SplitClassifier) -> None:
    weights = split.directory / "float32" / "model.safetensors"
    state = Inception(TINY_INCEPTION.shape).state_dict()
    save_file({name: value for name, value in state.items() if not name.startswith("head.")}, weights)
    path = split.directory / "float32" / VARIANT_FILE
    path.write_text(path.read_text().replace('"sha256"', '"accuracy_metric"'))
    split.load_stage("float32", "stem")
    with pytest.raises(LoadError, match="stage 'head' does not fit"):
        split.load_stage("float32", "head")
