import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from modelserver.errors import LoadError
from modelserver.model import Model
from modelserver.models.declared import parse_preprocessing
from modelserver.opening import open_model, set_up
from modelserver.tensors import Array, InferRequest, Tensor, TensorSpec

SPEC = TensorSpec("x", "FP32", (-1, 4))


def write_graph(path: Path, first: str | int = "rows", size: int | str = 4, factor: float = 2.0) -> Path:
    """Write a graph that multiplies x to y."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        "multiply",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [first, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [first, size])],
        [helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write_model(directory: Path, **changes: Any) -> Path:
    """Write the least that a model needs, by hand."""
    write_graph(directory / "double.onnx")
    tensor = {"datatype": "FP32", "shape": [-1, 4]}
    content = {
        "format": 2,
        "name": "mine",
        "inputs": [{"name": "x", **tensor}],
        "outputs": [{"name": "y", **tensor}],
        "variants": {"full": {"runtime": "onnxruntime", "weights": "double.onnx"}},
        **changes,
    }
    (directory / "model.json").write_text(json.dumps(content))
    return directory


def answer(model: Model, variant: str, values: Array) -> Array:
    request = InferRequest({"x": Tensor("x", "FP32", values)}, ("y",))
    decoded = model.decode(request)
    (tensor,) = model.encode(model.load(variant)(decoded.arrays), decoded.memo, ("y",))
    return tensor.array


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_bare_graph_is_served_by_its_own_contract(tmp_path: Path, scheme: str) -> None:
    opened = open_model(f"{scheme}{write_graph(tmp_path / 'double.onnx')}")
    contract = set_up(opened)
    assert contract.name == "double"
    assert contract.inputs == (SPEC,)
    assert contract.outputs == (TensorSpec("y", "FP32", (-1, 4)),)
    assert answer(opened.model, "full", np.ones((3, 4), np.float32)).tolist() == [[2.0] * 4] * 3
    with pytest.raises(LoadError, match="expected 'full'"):
        opened.model.load("int8")


IMPORTS_BEFORE_LOADING = """
import sys
from modelserver.opening import open_model, set_up
opened = open_model(sys.argv[1])
set_up(opened)
opened.model.prepare("full")
before = set(sys.modules)
opened.model.load("full")
assert "onnxruntime" in before
assert set(sys.modules) == before, set(sys.modules) - before
"""


@pytest.mark.parametrize("bare", [True, False])
def test_runtime_is_imported_before_a_variant_is_loaded(tmp_path: Path, bare: bool) -> None:
    """What a process grows by as it loads is then the variant's own."""
    model = write_graph(tmp_path / "double.onnx") if bare else write_model(tmp_path)
    subprocess.run([sys.executable, "-c", IMPORTS_BEFORE_LOADING, str(model)], check=True)


def test_graph_is_refused_when_its_first_dimension_is_fixed(tmp_path: Path) -> None:
    opened = open_model(str(write_graph(tmp_path / "fixed.onnx", first=1)))
    with pytest.raises(LoadError, match=r"'x' has shape \[1, 4\], expected a free first dimension"):
        set_up(opened)


def test_graph_is_refused_when_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    with pytest.raises(LoadError, match="ONNX Runtime cannot load it"):
        set_up(open_model(str(tmp_path / "broken.onnx")))
    with pytest.raises(LoadError, match=r"expected an \.onnx file"):
        open_model(str(tmp_path / "missing.onnx"))


def test_directory_by_hand_is_served_with_declared_preprocessing(tmp_path: Path) -> None:
    declared = {"x": {"scale": 0.5, "mean": [0, 1, 2, 3], "std": 2}}
    opened = open_model(str(write_model(tmp_path, preprocessing=declared, max_rows=7)))
    contract = set_up(opened)
    assert (contract.name, contract.max_rows) == ("mine", 7)
    assert contract.preprocessing_version
    # y = 2 * ((x * 0.5) - mean) / std, and scale / std comes first: 4 * 0.25 - mean / 2, doubled.
    assert answer(opened.model, "full", np.full((1, 4), 4, np.float32)).tolist() == [[2.0, 1.0, 0.0, -1.0]]


def test_free_dimensions_stay_free_when_served(tmp_path: Path) -> None:
    opened = open_model(str(write_graph(tmp_path / "any.onnx", size="length")))
    contract = set_up(opened)
    assert contract.inputs[0].shape == (-1, -1)
    for length in (1, 5):
        assert answer(opened.model, "full", np.ones((2, length), np.float32)).shape == (2, length)
    assert opened.model.example().rows == 1


def test_content_version_moves_with_weights_and_metadata(tmp_path: Path) -> None:
    first = open_model(str(write_model(tmp_path))).content_version
    assert open_model(str(tmp_path)).content_version == first
    write_graph(tmp_path / "double.onnx", factor=3.0)
    second = open_model(str(tmp_path)).content_version
    write_model(tmp_path, max_rows=3)
    write_graph(tmp_path / "double.onnx", factor=3.0)
    assert len({first, second, open_model(str(tmp_path)).content_version}) == 3


@pytest.mark.parametrize(
    ("changes", "names"),
    [({"inputs": []}, "inputs and outputs"), ({"variants": {}}, "variants is empty"), ({"serves": "bert"}, "'bert'")],
)
def test_directory_is_refused_when_it_cannot_be_served(tmp_path: Path, changes: dict[str, Any], names: str) -> None:
    with pytest.raises(LoadError, match=names):
        set_up(open_model(str(write_model(tmp_path, **changes))))


def test_code_of_the_user_is_served_when_named() -> None:
    opened = open_model("python:own_models:AddOne")
    assert opened.name == "add-one"
    assert set_up(opened).preprocessing_version == "1"
    assert answer(opened.model, "full", np.zeros((2, 4), np.float32)).tolist() == [[1.0] * 4] * 2


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("python:", "expected package.module:Name"),
        ("python:json", "expected package.module:Name"),
        ("python:missing_package:Model", "ModuleNotFoundError"),
        ("python:json:JSONDecoder", "expected a subclass of modelserver.model.Model"),
        ("python:json:dumps", "expected a subclass"),
        ("python:own_models:NeedsArguments", "cannot be made, TypeError.*'secret'"),
    ],
)
def test_code_is_refused_when_it_is_no_model(uri: str, names: str) -> None:
    with pytest.raises(LoadError, match=names):
        open_model(uri)


@pytest.mark.parametrize(
    ("declared", "names"),
    [
        ({"z": {}}, "expected one of the inputs x"),
        ({"x": {"rotate": 1}}, "expected an object with steps of resize"),
        ({"x": {"std": 0}}, "std 0, expected more than 0"),
        ({"x": {"scale": "big"}}, "scale 'big'"),
        ({"x": {"mean": [1, 2]}}, "2 numbers of mean, expected 1 or 4"),
        ({"x": {"resize": [2, 2]}}, r"expected \[rows, height, width, channels\]"),
        ({"x": {"channels_first": 1}}, "expected true or false"),
    ],
)
def test_preprocessing_is_refused_by_step_when_it_makes_no_sense(declared: dict[str, Any], names: str) -> None:
    with pytest.raises(LoadError, match=names):
        parse_preprocessing(declared, (SPEC,))


def test_images_are_resized_scaled_and_turned_when_declared() -> None:
    spec = TensorSpec("image", "UINT8", (-1, -1, -1, 3))
    steps = {
        "resize": [2, 4],
        "scale": 1 / 255,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.25, 0.5],
        "channels_first": True,
    }
    prepare = parse_preprocessing({"image": steps}, (spec,))["image"]
    grey = prepare(np.full((2, 6, 5, 3), 255, np.uint8))
    assert grey.shape == (2, 3, 2, 4)
    assert np.allclose(grey[:, [0, 2]], 1.0)
    assert np.allclose(grey[:, 1], 2.0)


def test_torch_is_not_imported_when_a_graph_is_served(tmp_path: Path) -> None:
    write_model(tmp_path)
    code = (
        "import sys, numpy as np\nfrom modelserver.opening import open_model, set_up\n"
        f"opened = open_model({str(tmp_path)!r}); set_up(opened)\n"
        "opened.model.load('full')(opened.model.decode(opened.model.example()).arrays)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
