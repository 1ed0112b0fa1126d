import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelserver.artifact import read_model, read_variant, variants
from modelserver.benchmark import SIZES, measure
from modelserver.building import REPORT_FILE, build_family, up_to_date
from modelserver.model import Model, Network
from modelserver.models.search_ranker.family import SearchRankerFamily
from modelserver.models.search_ranker.recipe import Recipe
from modelserver.opening import open_model, set_up
from modelserver.tensors import Array
from tiny_ranker import TINY, TINY_VARIANTS


def opened(directory: Path) -> Model:
    found = open_model(str(directory))
    set_up(found)
    return found.model


def ranked_items(model: Model, network: Network) -> Array:
    decoded = model.decode(model.example())
    (items,) = model.encode(network(decoded.arrays), decoded.memo, ["items"])
    ranked: Array = items.array[0]
    return ranked


def test_all_variants_are_kept_and_beat_keyword_order_when_built(tiny_model: Path) -> None:
    report = json.loads((tiny_model / REPORT_FILE).read_text())
    assert report["refused"] == {}
    assert set(variants(tiny_model)) == set(TINY_VARIANTS)
    keyword_accuracy = float(report["lines"][-1].rpartition(" ")[2])
    for variant in TINY_VARIANTS:
        accuracy = read_variant(tiny_model, variant).accuracy
        assert accuracy is not None
        assert accuracy > keyword_accuracy + 0.1


def test_artifact_holds_data_only_and_can_be_read_by_another_user(tiny_model: Path) -> None:
    files = sorted(path.relative_to(tiny_model).as_posix() for path in tiny_model.rglob("*") if path.is_file())
    weights = {"int8": "model.onnx", "distilled-int8": "model.onnx"}
    expected = [f"{name}/{weights.get(name, 'model.safetensors')}" for name in TINY_VARIANTS]
    expected += [f"{name}/variant.json" for name in TINY_VARIANTS]
    assert files == sorted([*expected, "model.json", "report.json", "shop.json"])
    assert all((tiny_model / file).stat().st_mode & 0o004 for file in files)


def test_variants_rank_alike_when_loaded_as_the_server_does(tiny_model: Path) -> None:
    model = opened(tiny_model)
    exact = ranked_items(model, model.load("full"))
    other = ranked_items(model, model.load("int8"))
    assert len(set(exact[:10].tolist()) & set(other[:10].tolist())) >= 7


def test_smaller_variants_are_smaller_when_built(tiny_model: Path) -> None:
    size = {variant: read_variant(tiny_model, variant).size_bytes for variant in TINY_VARIANTS}
    assert size["int8"] < 0.6 * size["full"]
    assert size["pruned"] < size["full"]
    assert size["distilled-int8"] < size["distilled"] < size["full"]


def test_report_names_each_variant_when_built(tiny_model: Path) -> None:
    lines = json.loads((tiny_model / REPORT_FILE).read_text())["lines"]
    assert lines[0].split()[0] == "variant"
    assert [line.split()[0] for line in lines[1 : 1 + len(TINY_VARIANTS)]] == list(TINY_VARIANTS)
    assert "keyword match alone" in lines[-1]


def test_build_is_done_once_when_nothing_changed(
    tiny_model: Path, tiny_family: SearchRankerFamily, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tiny_model / "model.json").stat().st_mtime_ns
    build_family(tiny_model, tiny_family, ("int8",), force=False)
    assert (tiny_model / "model.json").stat().st_mtime_ns == before
    assert "up to date" in capsys.readouterr().out


def test_build_is_stale_when_recipe_code_or_format_differs(tiny_model: Path, tiny_family: SearchRankerFamily) -> None:
    assert up_to_date(tiny_model, tiny_family, ("full",)) is not None
    assert up_to_date(tiny_model, tiny_family, ("full", "compiled")) is None
    assert up_to_date(tiny_model, SearchRankerFamily(replace(TINY, seed=1)), ("full",)) is None
    assert up_to_date(tiny_model, SearchRankerFamily(Recipe()), ("full",)) is None


def test_metadata_names_accuracy_and_speed(tiny_model: Path) -> None:
    assert read_model(tiny_model).content_version
    for variant in TINY_VARIANTS:
        metadata = read_variant(tiny_model, variant)
        assert metadata.accuracy_metric == "ndcg@10"
        assert set(metadata.milliseconds_per_row) == {"1", "16", "64"}


@pytest.mark.parametrize("variant", ["full", "int8"])
def test_benchmark_finds_a_cost_per_request(tiny_model: Path, variant: str) -> None:
    entry = measure(opened(tiny_model), "search-ranker", variant)
    assert entry.variant == variant
    assert 0 < entry.per_request_seconds < 0.1
    assert entry.overhead_seconds >= 0
    assert entry.max_batch in SIZES
    assert entry.r2 > 0.9


def test_answers_do_not_depend_on_the_batch_when_requests_differ(tiny_model: Path) -> None:
    model = opened(tiny_model)
    network = model.load("int8")
    decoded = [model.decode(model.example()).arrays for _ in range(3)]
    together = network({name: np.concatenate([one[name] for one in decoded]) for name in decoded[0]})["scores"]
    alone = network(decoded[0])["scores"]
    assert np.allclose(together.reshape(3, -1), alone, atol=1e-3)
