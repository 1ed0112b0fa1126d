import argparse
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from modelscaler.workload import check_file, parse_profile
from modelscaler_demo.checkout import find_checkout
from modelscaler_demo.day import DayShape
from modelscaler_demo.errors import DemoError
from modelscaler_demo.example import compressed, read_example
from modelscaler_demo.load.command import curve_of
from modelscaler_demo.playing import write_curve
from modelscaler_demo.profile import VariantSpeed, cores, entries, measured_speeds
from modelscaler_demo.scenario import Scenario

EXAMPLE = read_example(find_checkout().example)
SPEEDS = (VariantSpeed("full", 0.010, 0.002, 4), VariantSpeed("int8", 0.005, 0.0, 2))
DAY = DayShape(peak_rps=50.0, seconds=220.0)


def test_example_is_accepted_when_checked() -> None:
    assert list(check_file(find_checkout().example.read_text(), "modeldeployment.yaml")) == []


def test_compressed_example_is_accepted_when_checked() -> None:
    manifest = compressed(EXAMPLE, DAY, 14, {"int8": 0.95})
    assert list(check_file(json.dumps(manifest), "compressed")) == []


def test_season_is_the_day_and_accuracies_are_measured_when_compressed() -> None:
    spec = compressed(EXAMPLE, DAY, 14, {"int8": 0.95123})["spec"]
    assert spec["scaling"]["forecast"]["seasonSeconds"] == 220
    assert spec["scaling"]["forecast"]["lookbackSeconds"] == 3080
    assert {v["name"]: v["accuracy"] for v in spec["variants"]}["int8"] == "0.9512"
    assert "capacity" in EXAMPLE.manifest["spec"]


def test_profile_is_accepted_by_the_operator_when_made_for_the_example() -> None:
    profile = entries(SPEEDS, EXAMPLE.pairs, EXAMPLE.cpu_limits, EXAMPLE.bursts_only)
    parsed = parse_profile(json.dumps({"entries": profile}))
    assert {(entry.placement, entry.variant) for entry in parsed} == set(EXAMPLE.pairs)
    assert {(e.placement, e.variant) for e in parsed if e.reflex_only} == EXAMPLE.bursts_only == {("gpu", "int8")}


@pytest.mark.parametrize(("limit", "expected"), [("0.25", "20.000"), ("1", "5.000"), ("2", "5.000")])
def test_replica_is_slower_when_its_cpu_limit_is_lower(limit: str, expected: str) -> None:
    [entry] = entries(SPEEDS, [("cpu", "int8")], {"cpu": Decimal(limit)})
    assert entry["perRequestMilliseconds"] == expected


@pytest.mark.parametrize(("quantity", "expected"), [("150m", "0.15"), ("1", "1"), ("0.5", "0.5")])
def test_cores_are_read_when_written_either_way(quantity: str, expected: str) -> None:
    assert cores(quantity) == Decimal(expected)


def fake_modelserver(directory: Path, runs: Path) -> Path:
    row = {"variant": "int8", "per_request_seconds": 0.005, "overhead_seconds": 0.0, "max_batch": 2, "r2": 0.99}
    script = directory / "modelserver"
    script.write_text(f"#!/bin/sh\necho x >> {runs}\necho '{json.dumps({'entries': [row]})}' > \"$5\"\n")
    script.chmod(0o755)
    return script


def test_speed_is_measured_once_when_the_model_stays_the_same(tmp_path: Path) -> None:
    runs, model = tmp_path / "runs", tmp_path / "model"
    model.mkdir()
    modelserver = fake_modelserver(tmp_path, runs)
    for version in ("a", "a", "b"):
        (model / "model.json").write_text(json.dumps({"content_version": version}))
        assert measured_speeds(modelserver, model, tmp_path / "profile.json") == (VariantSpeed("int8", 0.005, 0.0, 2),)
    assert runs.read_text().count("x") == 2


def test_error_says_what_failed_when_the_benchmark_does(tmp_path: Path) -> None:
    modelserver = tmp_path / "modelserver"
    modelserver.write_text("#!/bin/sh\necho no such variant >&2\nexit 1\n")
    modelserver.chmod(0o755)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(DemoError, match="no such variant"):
        measured_speeds(modelserver, tmp_path, tmp_path / "cache" / "profile.json")


def test_curve_holds_yesterday_and_today_when_written(tmp_path: Path) -> None:
    scenario = Scenario()
    before_midnight = write_curve(scenario, tmp_path / "curve.json")
    rates, step = curve_of(_arguments(tmp_path / "curve.json"))
    today_starts = round(before_midnight / step)
    assert np.array_equal(rates[today_starts:], scenario.today().rates_rps)
    assert len(rates) * step == pytest.approx(2 * scenario.shape.seconds)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"step_seconds": 1, "rates_rps": [-1]}', '{"step_seconds": 0, "rates_rps": [1]}']
)
def test_bad_curve_is_refused_when_read(tmp_path: Path, content: str) -> None:
    path = tmp_path / "curve.json"
    path.write_text(content)
    with pytest.raises(DemoError, match="--curve"):
        curve_of(_arguments(path))


def test_scenario_announces_its_sale_when_it_has_one() -> None:
    texts = [text for _, text in Scenario().announcements()]
    assert texts == ["a flash sale begins, unannounced (until 18:00)", "the sale ends"]


def _arguments(curve: Path) -> argparse.Namespace:
    return argparse.Namespace(curve=curve, rate=1.0, seconds=1.0)
