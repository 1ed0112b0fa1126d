import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelserver.artifact import read_variant, variants
from modelserver.building import build_family, build_model, chosen_variants, find_family
from modelserver.errors import BuildError
from modelserver.model import Network
from modelserver.recipes import build as build_module
from modelserver.recipes.build import build, total_steps
from modelserver.recipes.family import Bounds, Family
from modelserver.recipes.gate import Figures, ask, compare, cosine, objections
from modelserver.recipes.report import report_lines
from modelserver.recipes.variants import RECIPES, Written
from modelserver.tensors import Arrays
from recipe_fakes import PointFamily

BOUNDS = Bounds(min_accuracy=0.9)
GOOD = Figures(accuracy=0.95, accuracy_of_full=0.955, cosine=0.9995, batch_drift=1e-5, outlier_drift=1e-5)


class Steps:
    """Counts progress and keeps the phases."""

    def __init__(self) -> None:
        self.steps = 0
        self.phases: list[str] = []

    def phase(self, name: str) -> None:
        self.phases.append(name)

    def advance(self, steps: int) -> None:
        self.steps += steps


def double(batch: Arrays) -> Arrays:
    return {"y": 2 * batch["x"]}


def scaled_by_the_batch(batch: Arrays) -> Arrays:
    """Round to 8 bits in a range that the whole batch decides, as per-tensor dynamic quantization does."""
    step = np.abs(batch["x"]).max() / 127
    return {"y": 2 * np.round(batch["x"] / step) * step}


def figures_of(network: Network, of_full: Network = double) -> Figures:
    rng = np.random.default_rng(0)
    probe = {"x": rng.normal(size=(64, 4)).astype(np.float32)}
    outliers = {"x": np.full((4, 4), 1e3, dtype=np.float32)}
    return compare(ask(network, probe, outliers), ask(of_full, probe, outliers), 0.95, 0.95)


def test_variant_passes_when_its_figures_are_within_bounds() -> None:
    assert objections(GOOD, BOUNDS, "int8", is_smaller=False, is_half=False) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"accuracy": 0.89, "accuracy_of_full": 0.89}, "accuracy 0.89000, expected >= 0.9"),
        ({"accuracy": 0.94}, "accuracy lost 0.01500, expected <= 0.01"),
        ({"cosine": 0.998}, "cosine to full 0.99800, expected >= 0.999"),
        ({"batch_drift": 0.01}, "drift over batch sizes 0.01000, expected <= 0.002"),
        ({"outlier_drift": 0.01}, "drift beside outliers 0.01000, expected <= 0.002"),
        ({"accuracy": float("nan")}, "accuracy nan"),
        ({"outlier_drift": float("nan")}, "drift beside outliers nan"),
    ],
)
def test_variant_is_refused_by_name_of_figure_and_bound_when_one_fails(changes: dict[str, float], said: str) -> None:
    found = objections(replace(GOOD, **changes), BOUNDS, "int8", is_smaller=False, is_half=False)
    assert any(objection.startswith(said) for objection in found)


def test_bounds_are_wider_when_a_variant_is_smaller_or_computes_in_16_bits() -> None:
    other = replace(GOOD, cosine=0.95, batch_drift=0.01)
    assert len(objections(other, BOUNDS, "pruned", is_smaller=False, is_half=False)) == 2
    assert objections(other, BOUNDS, "pruned", is_smaller=True, is_half=True) == ()
    lossy = replace(GOOD, accuracy=0.93)
    allowed = replace(BOUNDS, allowed_losses={"pruned": 0.03})
    assert objections(lossy, allowed, "int8", is_smaller=False, is_half=False)
    assert not objections(lossy, allowed, "pruned", is_smaller=True, is_half=False)


def test_independent_rows_do_not_drift_when_batches_change() -> None:
    figures = figures_of(double)
    assert figures.batch_drift == figures.outlier_drift == 0
    assert figures.cosine == pytest.approx(1.0)


def test_drift_shows_when_one_range_serves_the_whole_batch() -> None:
    figures = figures_of(scaled_by_the_batch)
    assert figures.batch_drift > 2e-3
    assert figures.outlier_drift > 0.1
    refused = objections(figures, BOUNDS, "int8", is_smaller=False, is_half=False)
    assert any("outliers" in objection for objection in refused)


def test_cosine_falls_when_the_answer_is_wrong_at_one_batch_size() -> None:
    def wrong_alone(batch: Arrays) -> Arrays:
        return {"y": (2 if len(batch["x"]) > 1 else -2) * batch["x"]}

    assert figures_of(wrong_alone).cosine == pytest.approx(-1.0, abs=1e-3)


def test_cosine_ignores_a_constant_shift() -> None:
    left = np.array([1.0, 2.0, 4.0])
    assert cosine(left, left + 10) == pytest.approx(1.0)
    assert cosine(left, -left) == pytest.approx(-1.0)


def test_progress_adds_up_when_the_build_is_done(tmp_path: Path) -> None:
    steps, names = Steps(), ("full", "bf16", "pruned", "distilled")
    report = build(tmp_path, PointFamily(), names, 1, steps)
    assert steps.steps == total_steps(PointFamily(), names)
    assert [result.variant for result in report.results] == list(names)
    assert all(result.is_kept for result in report.results)
    assert steps.phases.count("train full") == 1


def test_build_goes_on_without_a_variant_when_the_gate_refuses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds = Bounds(min_accuracy=0.9, allowed_losses={"bf16": -1.0})
    build_family(tmp_path / "points", PointFamily(bounds), (), force=False)
    out = capsys.readouterr().out
    assert variants(tmp_path / "points") == ("full", "distilled", "pruned")
    assert "refused: accuracy lost" in out
    assert "expected <= -1.0" in out
    assert not (tmp_path / "points" / "bf16").exists()


def test_build_fails_when_a_variant_asked_for_by_name_is_refused(tmp_path: Path) -> None:
    family = PointFamily(Bounds(min_accuracy=0.9, allowed_losses={"bf16": -1.0}))
    for _ in range(2):  # built, then found up to date
        with pytest.raises(BuildError, match=r"asked for: bf16: accuracy lost"):
            build_family(tmp_path / "points", family, ("bf16",), force=False)
    assert variants(tmp_path / "points") == ("full",)


def test_build_goes_on_when_a_recipe_breaks_or_a_family_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> Written:
        raise RuntimeError("unsupported operator\nand a long story")

    monkeypatch.setitem(RECIPES, "int8", replace(RECIPES["int8"], write=breaks))
    monkeypatch.setattr(PointFamily, "pruned", Family.pruned)
    report = build(tmp_path, PointFamily(), ("full", "int8", "pruned", "distilled"), 1, Steps())
    assert report.refused == {
        "int8": "cannot be written, unsupported operator",
        "pruned": "points has no way to be pruned",
    }
    assert variants(tmp_path) == ("full", "distilled")
    assert len(list(report_lines(report))) == 6


def test_nothing_is_left_when_full_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"'full' of points refused by the gate: accuracy .* expected >= 1.01"):
        build_family(tmp_path / "points", PointFamily(Bounds(min_accuracy=1.01)), (), force=False)
    assert [path.name for path in tmp_path.iterdir()] == [".points.lock"]


def test_what_was_there_stays_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "points"
    build_family(target, PointFamily(), ("full",), force=False)
    before = read_variant(target, "full").sha256

    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(build_module, "write_metadata", full_disk)
    with pytest.raises(BuildError, match=r"points: cannot be written, .*No space left on device"):
        build_family(target, PointFamily(), ("full",), force=True)
    assert read_variant(target, "full").sha256 == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".points.lock", "points"]


def test_build_says_so_when_the_place_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match="cannot be written"):
        build_family(tmp_path / "file" / "points", PointFamily(), ("full",), force=False)


def test_variant_is_reported_and_dropped_when_it_is_not_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "bf16", replace(RECIPES["bf16"], min_speed_up=1e6))
    report = build(tmp_path, PointFamily(), ("full", "bf16"), 1, Steps())
    assert "x as fast as full at batch 16, expected >= 1000000.0" in report.results[1].dropped
    assert report.refused == {}
    assert variants(tmp_path) == ("full",)


def test_build_of_another_format_is_stale_and_replaced(tmp_path: Path) -> None:
    target = tmp_path / "points"
    target.mkdir()
    (target / "model.json").write_text('{"format": 1, "name": "points", "content_version": "hidden-32"}')
    (target / "left-over").write_text("from then")
    build_family(target, PointFamily(), ("full",), force=False)
    assert variants(target) == ("full",)
    assert not (target / "left-over").exists()


def test_variants_are_chosen_by_default_by_name_or_all() -> None:
    family = PointFamily()
    assert chosen_variants(family, ()) == ("full", "bf16", "pruned", "distilled")
    assert chosen_variants(family, ("int8",)) == ("full", "int8")
    assert {"int8-pt2e", "int8-token", "compiled"} <= set(chosen_variants(family, ("all",)))
    with pytest.raises(BuildError, match=r"'int4': expected 'all' or some of full, bf16"):
        chosen_variants(family, ("int4",))


def test_family_of_the_user_is_found_when_named_by_module(tmp_path: Path) -> None:
    assert find_family("python:recipe_fakes:make_family", 0).name == "points"
    with pytest.raises(BuildError, match="cannot be imported"):
        find_family("python:recipe_fakes:missing", 0)


def test_build_refuses_an_unknown_model(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"'bert'.*expected one of search-ranker"):
        build_model("bert", tmp_path, (), 0, force=False)


def test_build_refuses_to_replace_what_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BuildError, match="--out"):
        build_family(tmp_path, PointFamily(), (), force=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
