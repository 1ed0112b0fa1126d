import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from modelserver.artifact import MODEL_FILE, ModelMetadata, VariantMetadata, digest, write_metadata
from modelserver.errors import LoadError
from modelserver.model import Context, Network
from modelserver.opening import open_model, set_up
from modelserver.runtimes import architectures
from modelserver.runtimes.architectures import find_architecture, register_architecture
from modelserver.runtimes.loading import load_network
from modelserver.runtimes.torch_module import TorchNetwork
from recipe_fakes import ARCHITECTURE, CLASSES, FEATURES, Perceptron, make_perceptron

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
X = np.linspace(-1, 1, 4 * FEATURES, dtype=np.float32).reshape(4, FEATURES)


def write_perceptron(directory: Path, hidden: int = 16, **changes: Any) -> Perceptron:
    """Write a perceptron as the variant `full`; return it."""
    torch.manual_seed(0)
    network = Perceptron(hidden)
    folder = directory / "full"
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    fields: dict[str, Any] = {
        "variant": "full",
        "runtime": "torch",
        "weights": "model.safetensors",
        "architecture": ARCHITECTURE,
        "settings": {"hidden": hidden},
        "inputs": ("x",),
        "outputs": ("logits",),
        "sha256": digest(folder / "model.safetensors"),
        **changes,
    }
    write_metadata(folder / "variant.json", VariantMetadata(**fields))
    write_metadata(directory / MODEL_FILE, ModelMetadata("points"))
    return network.eval()


def load(directory: Path, device: str = "cpu") -> Network:
    return load_network(directory, "full", Context(directory, device))


def wanted(network: Perceptron) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        return network(torch.from_numpy(X)).numpy()  # type: ignore[no-any-return]


def test_weights_answer_as_the_network_they_came_from(tmp_path: Path) -> None:
    network = write_perceptron(tmp_path)
    logits = load(tmp_path)({"x": X})["logits"]
    assert logits.dtype == np.float32
    assert np.allclose(logits, wanted(network), atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_computes_in_half_and_answers_in_single(tmp_path: Path, dtype: str) -> None:
    network = write_perceptron(tmp_path, dtype=dtype)
    logits = load(tmp_path)({"x": X})["logits"]
    assert logits.dtype == np.float32
    assert not np.array_equal(logits, wanted(network))
    assert np.allclose(logits, wanted(network), atol=2e-2)


def test_names_come_from_the_contract_when_the_metadata_has_none(tmp_path: Path) -> None:
    network = write_perceptron(tmp_path, inputs=(), outputs=())
    loaded = load_network(tmp_path, "full", Context(tmp_path), ("x",), ("y",))
    assert np.allclose(loaded({"x": X})["y"], wanted(network), atol=1e-6)


def test_read_only_arrays_are_taken_as_they_are(tmp_path: Path) -> None:
    network = write_perceptron(tmp_path)
    values = X.copy()
    values.flags.writeable = False
    assert np.allclose(load(tmp_path)({"x": values})["logits"], wanted(network), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"settings": {"hidden": 8}}, "does not fit test-perceptron"),
        ({"settings": {}}, "does not fit test-perceptron"),
        ({"dtype": "int4"}, "dtype 'int4', expected one of float32"),
        ({"architecture": "unheard-of"}, "architecture 'unheard-of': expected one of"),
    ],
)
def test_weights_are_refused_when_they_do_not_fit(tmp_path: Path, changes: dict[str, Any], names: str) -> None:
    write_perceptron(tmp_path, **changes)
    with pytest.raises(LoadError, match=names):
        load(tmp_path)


def test_pickled_weights_are_never_unpickled(tmp_path: Path) -> None:
    write_perceptron(tmp_path)
    weights = tmp_path / "full" / "model.safetensors"
    torch.save(Perceptron(16).state_dict(), weights)
    write_metadata(
        tmp_path / "full" / "variant.json",
        VariantMetadata("full", "torch", "model.safetensors", ARCHITECTURE, {"hidden": 16}),
    )
    with pytest.raises(LoadError, match="does not fit"):
        load(tmp_path)


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_device_is_refused_when_it_is_not_there(tmp_path: Path, device: str) -> None:
    write_perceptron(tmp_path)
    with pytest.raises(LoadError, match=f"device '{device}': expected 'cpu' or an accelerator"):
        load(tmp_path, device)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: (x, x + 1),
        lambda x: {"second": x + 1, "first": x},
    ],
)
def test_outputs_get_their_names_when_they_come_as_tuple_or_dict(compute: Callable[[Tensor], object]) -> None:
    network = TorchNetwork(compute, ("x",), ("first", "second"), torch.device("cpu"))
    answer = network({"x": X})
    assert np.array_equal(answer["first"], X)
    assert np.array_equal(answer["second"], X + 1)


def test_architecture_is_found_when_registered_and_its_name_is_then_taken() -> None:
    register_architecture(ARCHITECTURE, make_perceptron)
    assert find_architecture(ARCHITECTURE) is make_perceptron
    with pytest.raises(ValueError, match="expected a name that is not taken"):
        register_architecture(ARCHITECTURE, lambda _settings: Perceptron(1))
    with pytest.raises(ValueError, match="expected a name that is not taken"):
        register_architecture("search-ranker-cross-encoder", make_perceptron)


def test_architecture_is_found_when_an_installed_package_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("brought-along", "recipe_fakes:make_perceptron", architectures.ENTRY_POINTS)
    monkeypatch.setattr(architectures, "entry_points", lambda group: [point] if group == point.group else [])
    assert find_architecture("brought-along") is make_perceptron


def test_model_by_hand_is_served_from_safetensors_and_a_registered_architecture(tmp_path: Path) -> None:
    network = Perceptron(16).eval()
    save_file(network.state_dict(), tmp_path / "mine.safetensors")
    stated = {
        "runtime": "torch",
        "weights": "mine.safetensors",
        "architecture": ARCHITECTURE,
        "settings": {"hidden": 16},
    }
    content = {
        "format": 2,
        "name": "mine",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, FEATURES]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, CLASSES]}],
        "variants": {"full": stated, "half": {**stated, "dtype": "bfloat16"}},
    }
    (tmp_path / MODEL_FILE).write_text(json.dumps(content))
    opened = open_model(str(tmp_path))
    set_up(opened)
    assert opened.model.variants() == ("full", "half")
    assert np.allclose(opened.model.load("full")({"x": X})["y"], wanted(network), atol=1e-6)
    assert np.allclose(opened.model.load("half")({"x": X})["y"], wanted(network), atol=2e-2)


@needs_cuda
def test_answer_is_the_same_when_computed_on_cuda(tmp_path: Path) -> None:
    network = write_perceptron(tmp_path)
    loaded = load(tmp_path, "cuda:0")
    for rows in (4, 2, 4):  # pinned buffers are used again, also by smaller batches
        assert np.allclose(loaded({"x": X[:rows]})["logits"], wanted(network)[:rows], atol=1e-4)
    assert isinstance(loaded, TorchNetwork)
    assert loaded.transfer_seconds > 0


@needs_cuda
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_close_when_computed_on_cuda(tmp_path: Path, dtype: str) -> None:
    network = write_perceptron(tmp_path, dtype=dtype)
    assert np.allclose(load(tmp_path, "cuda:0")({"x": X})["logits"], wanted(network), atol=3e-2)
