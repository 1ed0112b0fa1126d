"""What is written of comparisons with a rung and with one variant can be told apart, and computed again."""

import csv
import gzip
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from modelscaler.backtest.trace import Trace
from modelscaler.replay.command import settings_for, timelines
from modelscaler.replay.comparison import Comparison, Grids
from modelscaler.replay.load import Part
from modelscaler.replay.policies.static import Static
from modelscaler.replay.report.figures import figures
from modelscaler.replay.report.rows import HEADER, write_timelines
from modelscaler.replay.running import compare
from modelscaler_benchmarks.replay.__main__ import _arguments, modes

DAY = Trace("shop", 3600.0, datetime(2026, 3, 2, tzinfo=UTC), np.full(36, 10.0))
TOO_FEW: Grids = {part: {"static": (Static(7, "static"),)} for part in ("tuning", "test")}
"""Seven replicas where eight are needed: a rung takes what one variant cannot."""


@pytest.fixture(scope="module")
def found() -> list[Comparison]:
    """Both modes, on half an hour of either part."""
    settings = [
        replace(setting, tuning=Part(0.0, 0.02), test=Part(0.02, 0.04))
        for each in modes(_arguments(["traces", "--seeds", "2", "--both"]))
        for setting in settings_for(DAY, each)
    ]
    return [compare(setting, TOO_FEW, lambda *_: None, processes=1) for setting in settings]


def test_runs_are_told_apart_and_add_up_to_what_was_judged_when_both_modes_are_in_one_file(
    found: Sequence[Comparison], tmp_path: Path
) -> None:
    write_timelines(tmp_path / "shop.csv.gz", timelines(found))
    with gzip.open(tmp_path / "shop.csv.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(file))

    run_and_step = [*HEADER[: HEADER.index("seconds") + 1], "pool"]
    assert len({tuple(row[name] for name in run_and_step) for row in rows}) == len(rows)
    assert [one.setting.variants for one in found] == ["rung", "one"]
    for one in found:
        mine = [row for row in rows if row["variants"] == one.setting.variants]
        judged = next(each for each in one.judged if not each.hindsight)
        share = sum(float(row["violating"]) for row in mine) / sum(float(row["offered"]) for row in mine)
        assert share == pytest.approx(judged.violating_share, rel=1e-3)
        assert np.mean([float(row["hourly_cost"]) for row in mine]) / judged.unit == pytest.approx(judged.cost)
    assert found[0].judged[0].violating_share < found[1].judged[0].violating_share


def test_figures_say_which_pool_the_unit_of_cost_is_of(found: Sequence[Comparison]) -> None:
    both = figures(found, {})["comparisons"]

    assert [one["variants"] for one in both] == ["rung", "one"]
    assert all("the fewest replicas of the pool cpu-full alone" in one["costUnit"] for one in both)


@pytest.mark.parametrize("given", [["--one-variant"], ["--modeldeployment", "shop.yaml"]])
def test_both_is_refused_when_both_would_be_the_same(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _arguments(["traces", "--both", *given])

    assert f"--both: got {' '.join(given)} too" in capsys.readouterr().err
