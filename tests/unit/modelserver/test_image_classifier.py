import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modelserver.artifact import MODEL_FILE, ModelMetadata, write_metadata
from modelserver.errors import LoadError
from modelserver.model import Context
from modelserver.models.image_classifier.family import ImageClassifierFamily
from modelserver.models.image_classifier.model import ImageClassifier, softmax
from modelserver.models.image_classifier.network import ResNet, make_resnet
from modelserver.models.image_classifier.photo_family import preprocess
from modelserver.models.image_classifier.photos import LABELS, take_photos
from modelserver.models.image_classifier.recipe import PREPROCESSING, ResNetShape
from modelserver.models.image_classifier.shrinking import first_blocks, prune_channels
from modelserver.models.resizing import resized
from modelserver.tensors import Array, InferRequest, Tensor
from tiny_models import TINY_IMAGES

SHAPE = ResNetShape(widths=(8, 16), inner=(8, 16), blocks=2, labels=len(LABELS))


def images(count: int, height: int, width: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, size=(count, height, width, 3), dtype=np.uint8)


def trained_looking(shape: ResNetShape) -> ResNet:
    """Return a network whose batch norms are not as they start."""
    torch.manual_seed(0)
    network = ResNet(shape)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if "norm" in name and value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
    return network.eval()


def logits(network: ResNet) -> Array:
    with torch.inference_mode():
        answer: Array = network(torch.from_numpy(preprocess(images(4, 48, 48)))).numpy()
    return answer


@settings(deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), target=st.sampled_from([7, 32, 40]))
def test_resizing_is_torchs_when_sizes_vary(height: int, width: int, target: int) -> None:
    given_images = images(2, height, width)
    planes = torch.from_numpy(given_images).permute(0, 3, 1, 2).float()
    expected = torch.nn.functional.interpolate(planes, (target, 32), mode="bilinear", antialias=True)
    assert np.allclose(resized(given_images, target, 32), expected.permute(0, 2, 3, 1).numpy(), atol=1e-2)


def test_resizing_gives_the_same_when_the_weights_are_too_large_to_interleave(monkeypatch: pytest.MonkeyPatch) -> None:
    given_images = images(2, 40, 50)
    interleaved = resized(given_images, 32, 20)
    monkeypatch.setattr("modelserver.models.resizing._MAX_INTERLEAVED", 0)
    assert np.allclose(resized(given_images, 32, 20), interleaved, atol=1e-3)


def test_preprocessing_normalises_as_declared_when_nothing_is_resized() -> None:
    given_images = images(3, 32, 32)
    expected = (given_images.astype(np.float32) / 255 - 0.5) / 0.25
    assert np.allclose(preprocess(given_images), expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_preprocessing_of_an_image_is_the_same_when_others_are_beside_it() -> None:
    given_images = images(5, 60, 41)
    assert np.allclose(preprocess(given_images)[3:4], preprocess(given_images[3:4]), atol=1e-5)


def test_photos_are_the_same_when_the_seed_is() -> None:
    first, again, other = (take_photos(30, 32, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)
    assert np.bincount(first.labels, minlength=len(LABELS)).tolist() == [3] * len(LABELS)


def test_held_out_photos_stay_when_there_are_more_to_train_on() -> None:
    few, more = (
        ImageClassifierFamily(replace(TINY_IMAGES, training_photos=count, held_out_photos=8)).prepare()
        for count in (10, 20)
    )
    assert np.array_equal(few.held_out.images, more.held_out.images)


def test_pruning_changes_nothing_when_what_it_cuts_is_dead() -> None:
    network = trained_looking(SHAPE)
    with torch.no_grad():
        for block in network.blocks:
            block.first.weight[1::2] = 0.0  # type: ignore[union-attr, operator]
            block.second.weight[:, 1::2] = 0.0  # type: ignore[union-attr, operator]
    narrow = prune_channels(network, 0.5)
    assert narrow.shape.inner == (4, 8)
    assert np.allclose(logits(narrow), logits(network), atol=1e-5)
    assert np.ptp(logits(network)) > 1e-3


def test_first_blocks_are_the_teachers_when_cut_off() -> None:
    network = trained_looking(SHAPE)
    student = first_blocks(network, 1)
    assert len(student.blocks) == 2
    theirs, own = network.state_dict(), student.state_dict()
    assert torch.equal(own["blocks.1.first.weight"], theirs["blocks.2.first.weight"])
    assert torch.equal(own["score.weight"], theirs["score.weight"])
    assert np.allclose(logits(first_blocks(network, 2)), logits(network))


def test_network_is_the_same_when_made_from_its_settings() -> None:
    network = trained_looking(prune_channels(trained_looking(SHAPE), 0.5).shape)
    settings_of_it = ImageClassifierFamily(TINY_IMAGES).settings(network)
    again = make_resnet({name: list(v) if isinstance(v, tuple) else v for name, v in settings_of_it.items()})
    again.load_state_dict(network.state_dict())
    assert np.allclose(logits(again.eval()), logits(network))


@pytest.fixture
def classifier(tmp_path: Path) -> ImageClassifier:
    write_metadata(tmp_path / MODEL_FILE, ImageClassifierFamily(TINY_IMAGES).metadata)
    model = ImageClassifier()
    model.setup(Context(tmp_path))
    return model


def test_answer_names_label_and_class_when_encoded(classifier: ImageClassifier) -> None:
    answer = np.full((2, len(LABELS)), -3.0, dtype=np.float32)
    answer[0, 4], answer[1, 9] = 2.0, 1.0
    label, index, probabilities = classifier.encode({"logits": answer}, None, ["label", "class", "probabilities"])
    assert label.array.tolist() == [b"bottle", b"glasses"]
    assert index.array.tolist() == [4, 9]
    assert np.allclose(probabilities.array.sum(axis=1), 1.0)
    assert probabilities.array.dtype == np.float32
    assert [tensor.name for tensor in classifier.encode({"logits": answer}, None, ["class"])] == ["class"]


def test_probabilities_are_finite_when_logits_are_large() -> None:
    assert np.allclose(softmax(np.array([[1e4, 0.0]], dtype=np.float32)), [[1.0, 0.0]])


def test_images_of_any_size_become_what_the_network_reads_when_decoded(classifier: ImageClassifier) -> None:
    request = InferRequest({"images": Tensor("images", "UINT8", images(3, 100, 20))}, ("label",))
    decoded = classifier.decode(request).arrays["images"]
    assert decoded.shape == (3, 3, 32, 32)
    assert decoded.dtype == np.float32
    assert classifier.preprocessing_version


def test_model_does_not_load_when_no_preprocessing_is_declared(tmp_path: Path) -> None:
    write_metadata(tmp_path / MODEL_FILE, ModelMetadata("image-classifier", serves="image-classifier"))
    with pytest.raises(LoadError, match="preprocessing"):
        ImageClassifier().setup(Context(tmp_path))


def test_preprocessing_version_changes_when_the_declaration_does(tmp_path: Path, classifier: ImageClassifier) -> None:
    declared = {"images": {**PREPROCESSING["images"], "mean": 0.4}}
    write_metadata(tmp_path / MODEL_FILE, ModelMetadata("image-classifier", preprocessing=declared))
    other = ImageClassifier()
    other.setup(Context(tmp_path))
    assert other.preprocessing_version != classifier.preprocessing_version


def test_serving_code_never_imports_torch() -> None:
    code = (
        "import sys, modelserver.models.image_classifier.model, modelserver.models.inception.model\n"
        "import modelserver.models.text_encoder.model, modelserver.recipes.family\n"
        "import modelserver.models.image_classifier.family, modelserver.models.inception.family\n"
        "import modelserver.models.text_encoder.family; print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.strip() == "False"
