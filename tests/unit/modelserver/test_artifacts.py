import json
from pathlib import Path
from typing import Any

import pytest

from modelserver.artifact import (
    MODEL_FILE,
    STORE_VARIABLE,
    ModelMetadata,
    VariantMetadata,
    digest,
    locate,
    read_variant,
    stores,
    write_metadata,
)
from modelserver.building import build_model
from modelserver.errors import BuildError, LoadError
from modelserver.model import open_model
from modelserver.search_ranker.recipe import Recipe, content_version
from modelserver.search_ranker.scorers import load_scorer


def make_variant(directory: Path, **changes: Any) -> VariantMetadata:
    """Write a variant whose weights are a few bytes; return its metadata."""
    folder = directory / "int8"
    folder.mkdir(parents=True)
    weights = folder / "model.onnx"
    weights.write_bytes(b"not an onnx graph")
    fields: dict[str, Any] = {
        "variant": "int8",
        "runtime": "onnxruntime",
        "architecture": "search-ranker-cross-encoder",
        "weights": "model.onnx",
        "sha256": digest(weights),
        "size_bytes": 17,
        "accuracy_metric": "ndcg@10",
        "accuracy": 0.9,
        **changes,
    }
    metadata = VariantMetadata(**fields)
    write_metadata(directory / MODEL_FILE, ModelMetadata("search-ranker", "0"))
    write_metadata(folder / "variant.json", metadata)
    return metadata


def test_metadata_is_the_same_when_written_and_read(tmp_path: Path) -> None:
    assert make_variant(tmp_path) == read_variant(tmp_path, "int8")


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
        read_variant(tmp_path, "int8")


def test_variant_is_refused_when_its_weights_lie_elsewhere(tmp_path: Path) -> None:
    make_variant(tmp_path, weights="../model.json")
    with pytest.raises(LoadError, match="expected a file beside it"):
        read_variant(tmp_path, "int8")


def test_missing_variant_names_those_there_are(tmp_path: Path) -> None:
    make_variant(tmp_path)
    with pytest.raises(LoadError, match=r"'bf16'.*expected one of int8"):
        read_variant(tmp_path, "bf16")


@pytest.mark.parametrize("content", ["", "[]", '{"format": 2}', '{"format": 1, "unknown": 3}'])
def test_metadata_is_refused_when_it_is_not_ours(tmp_path: Path, content: str) -> None:
    make_variant(tmp_path)
    (tmp_path / "int8" / "variant.json").write_text(content)
    with pytest.raises(LoadError, match=r"variant\.json"):
        read_variant(tmp_path, "int8")


@pytest.mark.parametrize("changes", [{"architecture": "os.system"}, {"runtime": "pickle"}])
def test_code_outside_the_allow_list_is_never_loaded(tmp_path: Path, changes: dict[str, Any]) -> None:
    metadata = make_variant(tmp_path, **changes)
    with pytest.raises(LoadError, match="expected"):
        load_scorer(tmp_path / "int8", metadata)


def test_unknown_model_is_refused_by_name(tmp_path: Path) -> None:
    make_variant(tmp_path)
    write_metadata(tmp_path / MODEL_FILE, ModelMetadata("mystery", "0"))
    with pytest.raises(LoadError, match="'mystery'"):
        open_model(tmp_path, "int8")


def test_content_version_moves_with_the_recipe() -> None:
    assert content_version(Recipe()) == content_version(Recipe())
    assert content_version(Recipe()) != content_version(Recipe(seed=1))


def test_build_refuses_to_replace_what_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BuildError, match="--out"):
        build_model("search-ranker", tmp_path, Recipe(), force=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_build_refuses_an_unknown_model(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"'bert'.*expected one of search-ranker"):
        build_model("bert", tmp_path, Recipe(), force=False)


def test_metadata_is_plain_json(tmp_path: Path) -> None:
    make_variant(tmp_path)
    assert json.loads((tmp_path / "int8" / "variant.json").read_text())["format"] == 1
