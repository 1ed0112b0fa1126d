"""Bad days: stock-outs and flash crowds, how they are written, and what they are part of."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modelscaler_benchmarks.replay
from meters import ToldMeter, sight
from modelscaler.backtest.trace import Ints, Trace
from modelscaler.cli import main
from modelscaler.domain import Absent, PolicySettings, PoolKey, QuantileForecast, SourceError, Workload
from modelscaler.forecast.base import QUANTILES
from modelscaler.replay.case import Case, Cluster, usual_pool
from modelscaler.replay.comparison import Setting
from modelscaler.replay.foresight import Foresight, history_of
from modelscaler.replay.incidents import (
    Answer,
    FlashCrowd,
    IncidentError,
    MetricsOutage,
    StockOut,
    flash_crowd,
    metrics_outage,
    moment,
    shown,
    stock_out,
)
from modelscaler.replay.load import Arrivals, Part, crowding, load_of
from modelscaler.replay.outcome import outcome_of
from modelscaler.replay.policies.dynamo import Dynamo
from modelscaler.replay.policies.hpa import Hpa
from modelscaler.replay.policies.infadapter import InfAdapter
from modelscaler.replay.policies.keda import Fallback, Keda
from modelscaler.replay.policies.knative import Knative
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.policies.ours import Modelscaler, observation_of
from modelscaler.replay.policies.predictive_hpa import PredictiveHpa
from modelscaler.replay.policies.wva import Wva
from modelscaler.replay.run import replay
from modelscaler.replay.sight import PolicyKind, Sight, Targets
from modelscaler.replay.standard import POOL, standard_workload
from modelscaler.workload.files import read_workload

START = datetime(2026, 3, 2, tzinfo=UTC)
STEADY = Trace("shop", 3600.0, START, np.full(96, 40.0))
CROWD = FlashCrowd(3600.0, 3.0, 600.0)
OUT = StockOut("cpu", 3600.0, 7200.0)
TWO_PLACEMENTS = Path(modelscaler_benchmarks.replay.__file__).with_name("two_placements.yaml")


def setting(**overrides: Any) -> Setting:
    standard = standard_workload(60.0, with_rung=True)
    plain = Setting(STEADY, standard, POOL, Part(1.0, 1.25), Part(1.25, 1.5), Arrivals(), 2, Cluster())
    return replace(plain, **overrides)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10h", 36000.0), ("11h30m", 41400.0), ("90m", 5400.0), ("1.5h", 5400.0), ("45s", 45.0)]
)
def test_time_is_read_in_hours_minutes_and_seconds(text: str, seconds: float) -> None:
    assert moment(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "h", "30m10h", "-1h", "1e3s", " 1h"])
def test_time_is_none_when_it_is_written_otherwise(text: str) -> None:
    assert moment(text) is None


@given(st.integers(min_value=0, max_value=10**7))
def test_time_reads_as_it_is_shown(seconds: int) -> None:
    assert moment(shown(float(seconds))) == seconds


def test_incidents_are_read_as_they_are_written() -> None:
    assert stock_out("gpu:10h-11h30m") == StockOut("gpu", 36000.0, 41400.0)
    assert flash_crowd("14h:2.5:600") == FlashCrowd(50400.0, 2.5, 600.0)
    assert metrics_outage("empty:10h-10h30m") == MetricsOutage("empty", 36000.0, 37800.0)
    assert metrics_outage("none:0s-1s") == MetricsOutage("none", 0.0, 1.0)


@pytest.mark.parametrize("text", ["empty", "gone:1h-2h", ":1h-2h", "none:2h-1h", "none:1h-1h", "none:10-11"])
def test_outage_of_metrics_is_refused_when_it_is_wrong(text: str) -> None:
    with pytest.raises(IncidentError, match="expected ANSWER:FROM-TO with ANSWER one of empty, none"):
        metrics_outage(text)


@pytest.mark.parametrize("text", ["gpu", "gpu:10h", ":1h-2h", "gpu:2h-1h", "gpu:1h-1h", "gpu:10-11"])
def test_stock_out_is_refused_when_it_is_wrong(text: str) -> None:
    with pytest.raises(IncidentError, match="expected PLACEMENT:FROM-TO"):
        stock_out(text)


@pytest.mark.parametrize("text", ["14h", "14h:3", "14:3:600", "14h:1:600", "14h:nan:600", "14h:101:600", "14h:3:0"])
def test_flash_crowd_is_refused_when_it_is_wrong(text: str) -> None:
    with pytest.raises(IncidentError, match="expected AT:FACTOR:SECONDS"):
        flash_crowd(text)


def test_flash_crowd_rises_stays_and_falls_within_its_time() -> None:
    factors = crowding([CROWD], slots=2 * 3600, slot_seconds=1.0)

    assert factors[[3599, 4200]] == pytest.approx([1.0, 1.0])
    assert factors[3630] == pytest.approx(2.0, abs=0.05), "half-way up after 30 of 60 s"
    assert np.all(factors[3661:4139] == pytest.approx(3.0))
    assert np.all(np.diff(factors[4140:4200]) < 0.0)


def test_load_is_scaled_to_its_mean_without_the_crowd() -> None:
    load = load_of(STEADY, Part(0.0, 0.25), Arrivals(mean_rps=100.0), crowds=[CROWD])

    assert load.expected_rps[0] == 100.0
    assert load.expected_rps.max() == pytest.approx(300.0)
    assert load.counts[load.slot(3700.0) : load.slot(4100.0)].sum() == pytest.approx(300.0 * 400.0, rel=0.02)


def test_history_before_a_crowd_is_scaled_as_if_there_were_none() -> None:
    load = load_of(STEADY, Part(1.0, 1.25), Arrivals(mean_rps=100.0), crowds=[CROWD])

    before = history_of(STEADY, load, lookback_days=1.0, seed=1)

    assert before.rps[: before.first].mean() == pytest.approx(100.0, rel=0.01)


def test_incidents_are_of_the_judged_part_only() -> None:
    dark = MetricsOutage("none", 600.0, 900.0)
    bad = setting(stock_outs=(OUT,), crowds=(CROWD,), outages=(dark,))
    judged = bad.case("test", 0)
    crowded = judged.load.expected_rps[judged.load.slot(judged.run_in_seconds + CROWD.at_seconds + 100.0)]

    assert bad.case("tuning", 0).cluster == Cluster()
    assert judged.cluster.outages == (dark.later(judged.run_in_seconds),)
    assert judged.cluster.stock_outs == (OUT.later(judged.run_in_seconds),)
    assert crowded == pytest.approx(120.0)
    assert bad.case("tuning", 0).load.expected_rps.max() == pytest.approx(40.0)
    assert bad.case("test", 0).load.expected_rps.max() == pytest.approx(120.0)


def test_another_placement_carries_a_crowd_when_the_usual_one_is_out_of_stock() -> None:
    workload = read_workload(TWO_PLACEMENTS, None)
    crowd, out = FlashCrowd(3600.0, 3.0, 1800.0), StockOut("gpu", 1800.0, 7200.0)
    load = load_of(STEADY, Part(0.0, 2.0 / 24.0), Arrivals(mean_rps=600.0), crowds=[crowd])
    case = Case(workload, usual_pool(workload), load, Cluster(stock_outs=(out,)))

    run = replay(case, Modelscaler(None, load.start, PolicySettings()), first_replicas=4)

    assert case.pool == PoolKey("gpu", "full")
    serving = run.serving[round(4800.0 / run.step_seconds) : round(5000.0 / run.step_seconds)]
    assert {run.pools[place].placement for place in serving} == {"cpu"}
    found = outcome_of(run)
    assert found.mean_accuracy >= 0.99 * 0.95
    assert found.recovery_seconds < 180.0, "60 s to start, and what it takes to see that no GPU is to be had"


DARK: Mapping[Answer, MetricsOutage] = {answer: MetricsOutage(answer, 1800.0, 3600.0) for answer in ("empty", "none")}


def sizes_in_the_dark(kind: PolicyKind, answer: Answer) -> Ints:
    """Return what is asked for at each step of half an hour in which Prometheus finds nothing, at a load of eight replicas."""
    workload = standard_workload(60.0, with_rung=True)
    load = load_of(STEADY, Part(0.0, 1.5 / 24.0), Arrivals(mean_rps=8.0 * carried_rps(workload, POOL)))
    run = replay(Case(workload, POOL, load, Cluster(outages=(DARK[answer],))), kind, first_replicas=9)
    begin, end = (round(seconds / run.step_seconds) for seconds in (1800.0, 3600.0))
    return (run.ready + run.starting)[0, begin:end]


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (Keda(), "none"),
        (Keda(ignore_null_values=False), "empty"),
        (Hpa(target=1.0), "empty"),
        (Hpa(target=1.0), "none"),
        (PredictiveHpa(target=1.0), "none"),
        (Wva(), "empty"),
        (Dynamo(), "none"),
        (InfAdapter(), "empty"),
        (Modelscaler(None, START, PolicySettings(forecaster="Reactive")), "empty"),
        (Modelscaler(None, START, PolicySettings(forecaster="Reactive")), "none"),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_who_asks_prometheus_stays_as_large_as_he_is_when_it_finds_nothing(kind: PolicyKind, answer: Answer) -> None:
    asked = sizes_in_the_dark(kind, answer)

    assert asked[0] >= 8
    if kind.name == "modelscaler":
        assert np.all(np.diff(asked) >= 0), "nothing is scaled down on absence"
    else:
        assert set(asked) == {asked[0]}


def test_nothing_is_no_load_to_keda_unless_it_is_told_otherwise() -> None:
    assert sizes_in_the_dark(Keda(), "empty").min() == 1, "ignoreNullValues is on by default"
    assert sizes_in_the_dark(Keda(ignore_null_values=False, fallback=Fallback(3, 6)), "none").min() == 6


@pytest.mark.parametrize("kind", [Knative(), Hpa(metric="busy", window_seconds=15.0)], ids=lambda kind: kind.name)
def test_who_collects_metrics_himself_does_not_mind(kind: PolicyKind) -> None:
    workload = standard_workload(60.0, with_rung=True)
    load = load_of(STEADY, Part(0.0, 1.5 / 24.0), Arrivals(mean_rps=8.0 * carried_rps(workload, POOL)))
    runs = [
        replay(Case(workload, POOL, load, cluster), kind, 9)
        for cluster in (Cluster(), Cluster(outages=(DARK["none"],)))
    ]

    assert np.array_equal(runs[0].ready, runs[1].ready)


def test_forecasts_are_as_old_as_the_outage_and_readings_say_what_is_wrong() -> None:
    asked: list[float] = []

    class Noted(Foresight):
        def at(self, seconds: float, lag_seconds: float) -> QuantileForecast | None:
            asked.append(seconds)
            return None

    kind = Modelscaler(Noted(START, 0.0, 60.0, np.zeros((2, 0, 1, 9)), np.zeros(0)), START)
    policy = kind.start(standard_workload(60.0, with_rung=True), POOL)
    expected: dict[Answer, type[Absent | SourceError]] = {"empty": Absent, "none": SourceError}
    for answer, reading in expected.items():
        seen = replace(sight(ToldMeter(rps=50.0), 4, seconds=2000.0, pool=POOL), outage=DARK[answer])
        policy.decide(seen)
        assert isinstance(observation_of(seen, START, 0.4, 0.99).offered, reading)
    assert asked == [1800.0, 1800.0]


@dataclass
class Watching:
    """A fixed size that notes how far its replicas may overdraw."""

    overdrafts: list[float | None] = field(default_factory=list)
    name: str = "watching"
    settings: Mapping[str, float | str] = field(default_factory=dict)
    interval_seconds: float = 15.0

    def start(self, workload: Workload, pool: PoolKey) -> "Watching":
        return self

    def decide(self, sight: Sight) -> Targets:
        self.overdrafts.append(sight.pool(POOL).overdraft)
        return Targets({POOL: 4}, POOL)


def test_ours_grows_by_the_last_forecast_while_nothing_is_found() -> None:
    workload = standard_workload(60.0, with_rung=True)
    each = carried_rps(workload, POOL)
    load = load_of(STEADY, Part(0.0, 1.5 / 24.0), Arrivals(mean_rps=4.0 * each))
    rising = np.repeat(np.linspace(4.0, 12.0, 60)[:, None] * each, len(QUANTILES), axis=1)
    ahead = Foresight(load.start, 0.0, 60.0, np.broadcast_to(rising, (2, 90, *rising.shape)), np.zeros(90))
    cluster = Cluster(outages=(MetricsOutage("none", 1800.0, 3600.0),))

    run = replay(Case(workload, POOL, load, cluster), Modelscaler(ahead, load.start), first_replicas=5)

    asked = (run.ready + run.starting)[0, round(1800.0 / run.step_seconds) : round(3600.0 / run.step_seconds)]
    assert np.all(np.diff(asked) >= 0)
    assert asked[-1] > asked[0] + 1, "half an hour later it is as large as the forecast of then said"


def test_nothing_is_saved_while_nobody_can_read_who_answers() -> None:
    workload = standard_workload(60.0, with_rung=True)
    load = load_of(STEADY, Part(0.0, 0.25), Arrivals(mean_rps=200.0))
    told = []
    for outages in ((), (MetricsOutage("none", 0.0, 21600.0),)):
        case = Case(workload, POOL, load, Cluster(outages=outages), saved_seconds=0.0)
        watched = Watching()
        replay(case, watched, first_replicas=4)
        told.append(watched.overdrafts[-1])
    assert (told[0] or 0.0) > 0.0
    assert told[1] == 0.0


TEN_MINUTES = "\n".join(["timestamp,requests_per_second", *(f"{600 * step},80" for step in range(3 * 144))])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--stock-out", "gpu:1h-2h"], "stock-out: got placement 'gpu', expected one of cpu"),
        (["--flash-crowd", "9h:3:600"], "got 9h, expected a time within the newer part's 2h24m"),
        (["--metrics-outage", "none:9h-10h"], "got 9h, expected a time within the newer part's 2h24m"),
    ],
)
def test_incident_is_refused_when_it_would_happen_to_nothing(
    given: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "steady.csv").write_text(TEN_MINUTES)

    assert main(["replay", str(tmp_path / "steady.csv"), "--days", "0.1", *given]) == 1

    assert expected in capsys.readouterr().err


def test_usage_is_refused_when_an_incident_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["replay", "load.csv", "--flash-crowd", "noon:3:600"])

    assert "got 'noon:3:600', expected AT:FACTOR:SECONDS" in capsys.readouterr().err


def test_report_says_what_the_judged_part_is_put_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "steady.csv").write_text(TEN_MINUTES)
    usual = ["--days", "0.1", "--seeds", "1", "--policies", "oracle", "--most-settings", "1", "--no-retuning"]
    incidents = ["--stock-out", "cpu:1h-1h30m", "--flash-crowd", "1h:3:600"]

    assert (
        main(
            [
                "replay",
                str(tmp_path / "steady.csv"),
                *usual,
                "--processes",
                "1",
                *incidents,
                "--json",
                str(tmp_path / "r.json"),
            ]
        )
        == 0
    )

    told = capsys.readouterr().out
    assert "stock-out of cpu from 1h to 1h30m; flash crowd of 3 times the load for 600 s at 1h" in told
    assert "events/day" in told
    assert '"flashCrowds"' in (tmp_path / "r.json").read_text()
