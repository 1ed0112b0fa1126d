from dataclasses import replace
from pathlib import Path

import pytest

from modelserver.artifact import read_variant, variants
from modelserver.benchmark import SIZES, measure
from modelserver.building import is_up_to_date
from modelserver.model import open_model
from modelserver.search_ranker.build import BuildReport, total_steps
from modelserver.search_ranker.recipe import NetworkShape, Recipe
from modelserver.search_ranker.report import report_lines


def test_both_variants_beat_keyword_order_when_built(tiny_build: tuple[Path, BuildReport, int]) -> None:
    _, report, _ = tiny_build
    assert [built.metadata.variant for built in report.variants] == ["full", "int8"]
    for built in report.variants:
        assert built.metadata.accuracy > report.keyword_accuracy + 0.1
        assert built.figures.batch_drift < 2e-3
        assert built.figures.outlier_drift < 2e-3


def test_artifact_holds_data_only_and_can_be_read_by_another_user(tiny_model: Path) -> None:
    files = sorted(path.relative_to(tiny_model).as_posix() for path in tiny_model.rglob("*") if path.is_file())
    assert files == [
        "full/model.safetensors",
        "full/variant.json",
        "int8/model.onnx",
        "int8/variant.json",
        "model.json",
        "shop.json",
    ]
    assert all((tiny_model / file).stat().st_mode & 0o004 for file in files)


def test_variants_rank_alike_when_loaded_as_the_server_does(tiny_model: Path) -> None:
    full, int8 = (open_model(tiny_model, variant) for variant in ("full", "int8"))
    (exact,), (rounded,) = full.predict([full.example()]), int8.predict([int8.example()])
    assert len(set(exact.items[:10]) & set(rounded.items[:10])) >= 7


def test_progress_adds_up_when_the_build_is_done(tiny_build: tuple[Path, BuildReport, int]) -> None:
    _, report, steps = tiny_build
    assert steps == total_steps(report_recipe())
    lines = list(report_lines(report))
    assert lines[0].split()[0] == "variant"
    assert any("keyword match alone" in line for line in lines)


def report_recipe() -> Recipe:
    """Return a recipe with as many steps as the tiny one."""
    return replace(Recipe(), embedding_steps=300, encoder_steps=150)


def test_build_is_stale_when_the_recipe_differs(tiny_model: Path) -> None:
    assert not is_up_to_date(tiny_model, Recipe())
    assert not is_up_to_date(tiny_model, replace(Recipe(), shape=NetworkShape(width=64)))


def test_metadata_names_accuracy_and_speed(tiny_model: Path) -> None:
    assert variants(tiny_model) == ("full", "int8")
    for variant in variants(tiny_model):
        metadata = read_variant(tiny_model, variant)
        assert metadata.accuracy_metric == "ndcg@10"
        assert metadata.size_bytes > 0
        assert set(metadata.milliseconds_per_request) == {"1", "8", "32"}


@pytest.mark.parametrize("variant", ["full", "int8"])
def test_benchmark_finds_a_cost_per_request(tiny_model: Path, variant: str) -> None:
    entry = measure(open_model(tiny_model, variant), "search-ranker", variant)
    assert entry.variant == variant
    assert 0 < entry.per_request_seconds < 0.1
    assert entry.overhead_seconds >= 0
    assert entry.max_batch in SIZES
    assert entry.r2 > 0.9
