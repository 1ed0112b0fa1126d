"""`modelscaler replay` on generated load."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from modelscaler.cli import main


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days at a step of ten minutes: a daily wave with noise."""
    generator = np.random.default_rng(0)
    hours = np.arange(3 * 144) / 6.0
    rps = 50.0 * (1.4 + np.sin(hours * np.pi / 12.0)) * generator.gamma(50.0, 0.02, size=len(hours))
    file = tmp_path_factory.mktemp("traces") / "wave.csv"
    lines = [f"{600 * place},{value:.3f}" for place, value in enumerate(rps)]
    file.write_text("\n".join(["timestamp,requests_per_second", *lines]) + "\n")
    return file


USUAL = ["--days", "0.1", "--seeds", "2", "--no-retuning", "--processes", "1", "--most-settings", "2"]


def test_replay_compares_and_writes_everything_when_asked(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [
        "--json",
        str(tmp_path / "r.json"),
        "--timeline",
        str(tmp_path / "t.csv"),
        "--html",
        str(tmp_path / "r.html"),
    ]

    early = ["--flash-crowd", "5m:6:300"]
    status = main(["replay", str(trace), "--policies", "modelscaler,oracle", *USUAL, *early, *outputs])

    assert status == 0
    assert "modelscaler, hindsight" in capsys.readouterr().out
    (found,) = json.loads((tmp_path / "r.json").read_text())["comparisons"]
    oracle = next(one for one in found["judged"] if one["policy"] == "oracle")
    assert oracle["violatingShare"] < 0.001
    assert len(oracle["seeds"]) == 2
    with (tmp_path / "t.csv").open() as file:
        written = list(csv.DictReader(file))
    ours = next(one for one in found["judged"] if one["policy"] == "modelscaler" and not one["hindsight"])
    assert ours["violatingShare"] > 0.001, "somebody must be late for the sums to tell"
    for judged in (ours, oracle):
        of_policy = [row for row in written if (row["policy"], row["hindsight"]) == (judged["policy"], "0")]
        for seed, outcome in enumerate(judged["seeds"]):
            mine = [row for row in of_policy if row["seed"] == str(seed)]
            cost = sum(float(row["hourly_cost"]) for row in mine) / len({row["seconds"] for row in mine})
            assert sum(float(row["violating"]) for row in mine) == pytest.approx(outcome["violating"], rel=1e-5)
            assert cost == pytest.approx(outcome["mean_hourly_cost"], rel=1e-5)
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


def test_replay_says_which_settings_the_days_recommend_when_tuning(
    trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(trace), "--tune", "--cold-start", "120", *USUAL, "--seeds", "1"]) == 0

    said = capsys.readouterr().out
    assert "wave, 120 s to start: " in said
    assert "on the newer 0.0972 of 0.194 days" in said  # whole steps of ten minutes
    assert "4 settings tried" in said  # those in use, the reactive rule, and two of the grid


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--policies", "hpa,magic"], "got 'magic', expected all, or some of modelscaler"),
        (["--until-day", "0.9"], "expected more than 1"),
    ],
)
def test_replay_is_refused_when_it_cannot_be_had(
    given: list[str], expected: str, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(trace), *given]) == 1

    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--days", "0"], ["--seeds", "1.5"], ["--cold-start", "nan"]])
def test_usage_is_refused_when_a_number_is_out_of_bounds(
    given: list[str], trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["replay", str(trace), *given])

    assert raised.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_manifest_is_refused_when_it_holds_no_modeldeployment(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("kind: ConfigMap\napiVersion: v1\n")

    assert main(["replay", str(trace), "--modeldeployment", str(other)]) == 1

    assert "0 ModelDeployments, expected one" in capsys.readouterr().err
