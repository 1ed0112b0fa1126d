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
from modelscaler_demo.example import Example, compressed, read_example
from modelscaler_demo.fitting import fitted
from modelscaler_demo.load.command import curve_of
from modelscaler_demo.playing import write_curve
from modelscaler_demo.profile import Programs, VariantSpeed, cores, entries, measured_speeds
from modelscaler_demo.scenario import Scenario

EXAMPLE = read_example(find_checkout().example)
SPEEDS = (VariantSpeed("full", 0.010, 0.002, 0.0, 4), VariantSpeed("int8", 0.005, 0.0, 0.0, 2))
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


SERVER = """#!/usr/bin/env python3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Ready).serve_forever()
"""
PROFILE = """#!/usr/bin/env python3
import json, sys
told = dict(zip(sys.argv[1:], sys.argv[2:]))
with open({runs!r}, "a") as runs:
    print(told["--variant"], file=runs)
row = dict(variant=told["--variant"], perRequestMilliseconds="2.5", overheadMilliseconds="1", tailMilliseconds="3", maxBatch=4)
with open(told["--output"], "w") as out:
    json.dump(dict(data={{"profile.json": json.dumps(dict(entries=[row]))}}), out)
"""
FAILING = "#!/bin/sh\necho no such variant >&2\nexit 1\n"


def programs(directory: Path, server: str = SERVER, profile: str = FAILING) -> Programs:
    made = Programs(directory / "modelscaler", directory / "modelserver")
    for path, text in ((made.modelscaler, profile), (made.modelserver, server)):
        path.write_text(text)
        path.chmod(0o755)
    return made


def test_speed_is_measured_once_when_the_model_stays_the_same(tmp_path: Path) -> None:
    runs, model = tmp_path / "runs", tmp_path / "model"
    model.mkdir()
    fakes = programs(tmp_path, profile=PROFILE.format(runs=str(runs)))
    for version in ("a", "a", "b"):
        (model / "model.json").write_text(json.dumps({"name": "ranker", "content_version": version}))
        speeds = measured_speeds(fakes, model, ["full", "int8"], tmp_path / "profile.json")
        assert speeds == tuple(VariantSpeed(name, 0.0025, 0.001, 0.003, 4) for name in ("full", "int8"))
    assert runs.read_text().split() == ["full", "int8"] * 2


@pytest.mark.parametrize("fake", [{"server": FAILING}, {}])
def test_error_says_what_failed_when_measuring_does(tmp_path: Path, fake: dict[str, str]) -> None:
    (tmp_path / "model.json").write_text('{"name": "ranker"}')
    with pytest.raises(DemoError, match="no such variant"):
        measured_speeds(programs(tmp_path, **fake), tmp_path, ["int8"], tmp_path / "cache" / "profile.json")


def speeds_here(full: float, int8: float) -> tuple[VariantSpeed, ...]:
    """Return speeds by CPU milliseconds of a request."""
    return (VariantSpeed("full", full / 1000, 0.0, 0.0, 4), VariantSpeed("int8", int8 / 1000, 0.0, 0.0, 2))


def carried_rps(example: Example, speeds: tuple[VariantSpeed, ...]) -> dict[tuple[str, str], float]:
    profile = entries(speeds, example.pairs, example.cpu_limits, example.bursts_only)
    return {(e["placement"], e["variant"]): 1000 / float(e["perRequestMilliseconds"]) for e in profile}


@pytest.mark.parametrize(
    ("full", "int8", "factor"), [(10.2, 5.3, 1.0), (5.4, 2.2, 1.0), (5.1, 1.3, 1.36), (40.8, 8.84, 0.5)]
)
def test_replicas_carry_what_the_example_says_whatever_the_processor(full: float, int8: float, factor: float) -> None:
    speeds = speeds_here(full, int8)
    here = fitted(EXAMPLE, speeds)
    carried = carried_rps(here.example, speeds)
    assert carried["gpu", "full"] == pytest.approx(factor * 1000 / 20.4, rel=0.02)
    assert carried["cpu", "int8"] == pytest.approx(factor * 1000 / 44.2, rel=0.02)
    assert here.peak_rps == pytest.approx(60 * factor, rel=0.02)
    assert all(Decimal("0.04") <= cores <= 1 for cores in here.example.cpu_limits.values())


def test_fitted_example_is_accepted_when_checked() -> None:
    manifest = compressed(fitted(EXAMPLE, speeds_here(6.4, 2.1)).example, DAY, 14, {})
    assert list(check_file(json.dumps(manifest), "fitted")) == []
    assert EXAMPLE.cpu_limits["cpu"] == Decimal("0.12")


def test_curve_holds_yesterday_and_today_when_written(tmp_path: Path) -> None:
    scenario = Scenario(DAY)
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
    texts = [text for _, text in Scenario(DAY).announcements()]
    assert texts == ["a flash sale begins, unannounced (until 18:00)", "the sale ends"]


def _arguments(curve: Path) -> argparse.Namespace:
    return argparse.Namespace(curve=curve, rate=1.0, seconds=1.0)
