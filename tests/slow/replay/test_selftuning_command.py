import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from modelscaler.backtest.champion import learner_from
from modelscaler.cli import main
from modelscaler.domain import LoadWindow
from modelscaler.forecast.networks import shipped_network
from modelscaler.replay.load import Arrivals
from modelscaler.replay.selftuning.jobs import Recommendation
from modelscaler.replay.selftuning.parts import Extent, trace_of
from modelscaler.replay.selftuning.recommend import recommend
from modelscaler.replay.standard import standard_workload
from modelscaler.replay.tuning import LADDER_GRID

START = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize("learned", [True, False])
def test_command_recommends_what_the_operator_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], learned: bool
) -> None:
    generator = np.random.default_rng(0)
    rps = 80.0 + 40.0 * np.sin(np.arange(4 * 144) / 5.0) + generator.normal(0.0, 4.0, 4 * 144)
    window = LoadWindow(600.0, START, rps)
    trace = trace_of("wave", window)
    lines = [f"{int(trace.time(place).timestamp())},{value!r}" for place, value in enumerate(rps.tolist())]
    (tmp_path / "wave.csv").write_text("\n".join(["timestamp,requests_per_second", *lines]) + "\n")
    workload = standard_workload(30.0, with_rung=True)
    extent, grid = Extent(0.2, 0.2), LADDER_GRID[::32]

    shipped = shipped_network()
    learner = learner_from(shipped) if learned else None
    found = recommend(workload, trace, Arrivals(3, 150.0), shipped, learner, lambda: float("inf"), extent, grid)
    usual = ["--days", "0.1", "--seed", "3", "--mean-rps", "150", "--cold-start", "30", "--most-settings", "1"]
    kept = [] if learned else ["--no-retuning"]
    status = main(["replay", str(tmp_path / "wave.csv"), "--tune", *usual, *kept, "--json", str(tmp_path / "t.json")])

    assert status == 0
    assert f"wave, 30 s to start: {found.reason}: {found.message}" in capsys.readouterr().out
    (tuning,) = json.loads((tmp_path / "t.json").read_text())["tunings"]
    assert isinstance(found, Recommendation)
    assert tuning["recommended"]["cost_ratio"] == found.cost_ratio
    assert tuning["recommended"]["violating_share"] == found.violating_share
