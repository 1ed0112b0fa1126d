import json
from pathlib import Path
from typing import Any

import pytest

from artifacts import make_variant
from modelserver.artifact import (
    MODEL_FILE,
    STORE_VARIABLE,
    ModelMetadata,
    checked_variant,
    locate,
    read_model,
    read_variant,
    stores,
    variants,
    write_metadata,
)
from modelserver.errors import LoadError
from modelserver.model import Context
from modelserver.models.search_ranker.family import SearchRankerFamily
from modelserver.models.search_ranker.recipe import Recipe
from modelserver.opening import open_model
from modelserver.runtimes.loading import load_network
from modelserver.tensors import TensorSpec

X = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}


def by_hand(directory: Path, **changes: Any) -> Path:
    """Write the least that a model needs; return its file."""
    content = {"format": 2, "name": "mine", "inputs": [X], "outputs": [{**X, "name": "y"}], "variants": {}, **changes}
    path = directory / MODEL_FILE
    path.write_text(json.dumps(content))
    return path


def test_metadata_is_the_same_when_written_and_read(tmp_path: Path) -> None:
    written = make_variant(tmp_path, settings={"width": 64, "widths": [1, 2]}, milliseconds_per_row={"1": 2.5})
    assert read_variant(tmp_path, "int8") == written
    model = ModelMetadata(
        "mine", inputs=(TensorSpec("x", "FP32", (-1, 4), maximum=3.0),), preprocessing={"x": {"scale": 2}}
    )
    write_metadata(tmp_path / MODEL_FILE, model)
    assert read_model(tmp_path) == model


def test_store_is_the_named_one_alone_when_the_environment_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path))
    assert stores() == (tmp_path,)
    (tmp_path / "search-ranker").mkdir()
    make_variant(tmp_path / "search-ranker")
    assert locate("builtin://search-ranker") == tmp_path / "search-ranker"


@pytest.mark.parametrize("uri", ["builtin://", "builtin://../etc", "builtin://a/b", "builtin://.hidden"])
def test_builtin_uri_is_refused_when_it_is_not_a_plain_name(uri: str) -> None:
    with pytest.raises(LoadError, match="plain name"):
        locate(uri)


def test_missing_model_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path))
    with pytest.raises(LoadError, match="modelserver build search-ranker"):
        locate("builtin://search-ranker")


def test_variant_is_refused_when_its_weights_are_not_the_ones_it_names(tmp_path: Path) -> None:
    make_variant(tmp_path)
    (tmp_path / "int8" / "model.onnx").write_bytes(b"tampered")
    with pytest.raises(LoadError, match="SHA-256"):
        checked_variant(tmp_path, "int8")


@pytest.mark.parametrize("weights", ["../model.json", "/etc/hostname", "missing.onnx", ""])
def test_variant_is_refused_when_its_weights_lie_elsewhere(tmp_path: Path, weights: str) -> None:
    make_variant(tmp_path, weights=weights)
    with pytest.raises(LoadError, match="expected a file in"):
        checked_variant(tmp_path, "int8")


def test_variant_is_refused_when_its_weights_are_a_link_out_of_the_model(tmp_path: Path) -> None:
    make_variant(tmp_path / "model")
    (tmp_path / "outside").write_bytes(b"not an onnx graph")
    (tmp_path / "model" / "int8" / "model.onnx").unlink()
    (tmp_path / "model" / "int8" / "model.onnx").symlink_to(tmp_path / "outside")
    with pytest.raises(LoadError, match="expected a file in"):
        checked_variant(tmp_path / "model", "int8")


@pytest.mark.parametrize("variant", ["bf16", "../int8", ""])
def test_missing_variant_names_those_there_are(tmp_path: Path, variant: str) -> None:
    make_variant(tmp_path)
    with pytest.raises(LoadError, match="expected one of int8"):
        read_variant(tmp_path, variant)


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": 2}', '{"format": 2, "unknown": 3}'])
def test_metadata_is_refused_when_it_is_not_ours(tmp_path: Path, content: str) -> None:
    make_variant(tmp_path)
    (tmp_path / "int8" / "variant.json").write_text(content)
    with pytest.raises(LoadError, match=r"variant\.json"):
        read_variant(tmp_path, "int8")


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"name": "a/b"}, "name 'a/b'"),
        ({"name": 3}, "name 3"),
        ({"inputs": [{"name": "x", "datatype": "FP32"}]}, "'shape'"),
        ({"inputs": [{**X, "datatype": "FLOAT"}]}, "datatype 'FLOAT', expected one of BOOL"),
        ({"inputs": [{**X, "shape": [-2, 4]}]}, "shape"),
        ({"inputs": [{**X, "colour": 1}]}, "colour"),
        ({"inputs": 3}, "inputs"),
        ({"variants": ["full"]}, "variants"),
        ({"max_rows": "many"}, "max_rows"),
        ({"format": 1}, "format 2"),
    ],
)
def test_metadata_by_hand_is_refused_by_field_when_it_makes_no_sense(
    tmp_path: Path, changes: dict[str, Any], names: str
) -> None:
    by_hand(tmp_path, **changes)
    with pytest.raises(LoadError, match=r"model\.json") as refused:
        read_model(tmp_path)
    assert names in str(refused.value)


def test_variants_are_those_in_the_file_and_those_in_folders_with_full_first(tmp_path: Path) -> None:
    make_variant(tmp_path, "bf16")
    by_hand(tmp_path, variants={"full": {"runtime": "onnxruntime", "weights": "m.onnx"}, "aot": {}})
    assert variants(tmp_path) == ("full", "aot", "bf16")


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"architecture": "os.system", "runtime": "torch"}, "architecture 'os.system'"),
        ({"runtime": "pickle"}, "runtime 'pickle'"),
        ({"runtime": "package"}, "--allow-executable"),
    ],
)
def test_code_outside_the_allow_list_is_never_loaded(tmp_path: Path, changes: dict[str, Any], names: str) -> None:
    make_variant(tmp_path, **changes)
    with pytest.raises(LoadError, match="expected") as refused:
        load_network(tmp_path, "int8", Context(tmp_path))
    assert names in str(refused.value)


def test_executable_is_refused_when_only_another_digest_is_vouched_for(tmp_path: Path) -> None:
    metadata = make_variant(tmp_path, runtime="package")
    with pytest.raises(LoadError, match=f"--allow-executable {metadata.sha256}"):
        load_network(tmp_path, "int8", Context(tmp_path, executables=frozenset({"0" * 64})))


def test_digest_in_the_metadata_does_not_vouch_for_other_bytes(tmp_path: Path) -> None:
    metadata = make_variant(tmp_path, runtime="package")
    (tmp_path / "int8" / "model.onnx").write_bytes(b"other code")
    with pytest.raises(LoadError, match="SHA-256"):
        load_network(tmp_path, "int8", Context(tmp_path, executables=frozenset({metadata.sha256})))


def test_unknown_model_is_refused_by_name(tmp_path: Path) -> None:
    make_variant(tmp_path)
    write_metadata(tmp_path / MODEL_FILE, ModelMetadata("mystery", "0", serves="mystery"))
    with pytest.raises(LoadError, match="'mystery'"):
        open_model(str(tmp_path))


def test_content_version_moves_with_the_recipe() -> None:
    assert SearchRankerFamily(Recipe()).content_version == SearchRankerFamily(Recipe()).content_version
    assert SearchRankerFamily(Recipe()).content_version != SearchRankerFamily(Recipe(seed=1)).content_version


def test_metadata_is_plain_json(tmp_path: Path) -> None:
    make_variant(tmp_path)
    assert json.loads((tmp_path / "int8" / "variant.json").read_text())["format"] == 2
