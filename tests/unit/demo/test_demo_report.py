import re
from pathlib import Path

import pytest

from modelscaler_demo.load.tally import Outcome, Second, Totals
from modelscaler_demo.outcome import Run, write_outcome
from modelscaler_demo.playing import Played
from modelscaler_demo.report.page import decisions
from modelscaler_demo.report.summary import fixed_fleets, rows, summarize, time_mean
from modelscaler_demo.snapshot import Band, Pool, Served, Snapshot, Told
from modelscaler_demo.view.scene import Scene

PRICES = {"cpu": 0.04, "gpu": 0.09}
SUSTAINABLE = {("cpu", "int8"): 20.0, ("cpu", "full"): 5.0, ("gpu", "full"): 80.0}
SCENE = Scene(day_seconds=24.0, percentile=99, target_ms=300.0, gpu_note="no GPU is used")


def moment(second: int, replicas: int = 1, placement: str = "cpu", events: tuple[str, ...] = ()) -> Snapshot:
    pool = Pool(placement, "int8" if placement == "cpu" else "full", replicas)
    band = Band(lower_rps=8.0, median_rps=10.0, planned_rps=14.0, horizon_seconds=14, method="seasonal")
    told = Told(
        active=pool,
        ready=replicas,
        desired=pool,
        band=band,
        reason="ForecastDemand",
        message="why <b>",
        sustainable_rps=SUSTAINABLE,
    )
    served = Served(offered_rps=10.0 + second, p99_ms=100.0, replicas=replicas)
    return Snapshot(float(second), served, told, {placement: replicas}, events)


def totals_of(*latencies_ms: float, lost: int = 0) -> Totals:
    second = Second(0, offered=len(latencies_ms) + lost)
    for latency in latencies_ms:
        second.record(Outcome(ok=True, latency_seconds=latency / 1000, version="int8"))
    for _ in range(lost):
        second.record(Outcome(ok=False))
    return Totals([second])


def test_price_counts_every_running_replica_when_it_changes() -> None:
    moments = [moment(0), moment(1, replicas=3), moment(2, replicas=1)]
    totals = totals_of(100.0)
    summary = summarize(moments, totals.seconds, totals.summary(), 300.0, PRICES, 61.0)
    assert summary.hourly_cost == pytest.approx((0.04 + 0.12) / 2)
    assert (summary.most_replicas, summary.peak_rps) == (3, 12.0)


def test_late_and_lost_requests_miss_the_objective_when_counted() -> None:
    totals = totals_of(100.0, 400.0, lost=2)
    summary = summarize([moment(0)], totals.seconds, totals.summary(), 300.0, PRICES, 61.0)
    assert (summary.requests, summary.lost) == (4, 2)
    assert summary.within_share == pytest.approx(0.25)


def test_values_are_weighted_by_their_time_when_moments_are_uneven() -> None:
    assert time_mean([moment(0), moment(9), moment(10)], [1.0, 11.0, 99.0]) == pytest.approx(2.0)


def test_fixed_fleet_is_the_cheapest_of_its_placement_when_variants_differ() -> None:
    fleets = fixed_fleets(SUSTAINABLE, PRICES, 61.0)
    assert [(str(fleet.pool), fleet.hourly_cost) for fleet in fleets] == [
        ("1 x gpu/full", 0.09),
        ("4 x cpu/int8", 0.16),
    ]


def test_rows_say_what_was_lost_and_promised_when_written_for_people() -> None:
    totals = totals_of(100.0, lost=1)
    text = dict(rows(summarize([moment(0)], totals.seconds, totals.summary(), 300.0, PRICES, 61.0), 99, 300.0))
    assert text["requests"] == "2 sent, 1 answered, 1 lost"
    assert text["objective"].startswith("50.00% answered within 300 ms at the client; promised: 99 %")


def test_only_changes_of_the_plan_are_listed_when_decisions_repeat() -> None:
    moments = [moment(0), moment(1), moment(2, replicas=2), moment(3, replicas=2), moment(4, placement="gpu")]
    assert [m.seconds for m in decisions(moments)] == [0.0, 2.0, 4.0]


def test_report_loads_nothing_from_elsewhere_when_written(tmp_path: Path) -> None:
    moments = [moment(n, events=("the GPU node fails",) if n == 4 else ()) for n in range(-3, 9)]
    totals = totals_of(*[100.0] * 50)
    played = Played(moments, totals.seconds, totals.summary())
    figures = write_outcome(Run(SCENE, played, PRICES, 61.0, ("a generated day",)), tmp_path)
    html = (tmp_path / "day.html").read_text()
    assert (tmp_path / "day.png").read_bytes().startswith(b"\x89PNG")
    assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|<script""", html)
    picture = (tmp_path / "screen.svg").read_text()
    assert "url(http" not in picture
    assert "planned" in picture
    assert "<svg" in html
    assert "the GPU node fails" in html
    assert "why &lt;b&gt;" in html
    assert ("requests", "50 sent, 50 answered, 0 lost") in figures
