"""One run: when replicas serve, what it costs, and that everything adds up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest

from modelscaler.backtest.trace import Trace
from modelscaler.domain import PolicySettings, PoolKey, RouteTarget, Workload
from modelscaler.planner import rising
from modelscaler.replay.case import Case, Cluster
from modelscaler.replay.incidents import StockOut
from modelscaler.replay.load import Arrivals, Part, load_of
from modelscaler.replay.outcome import longest_run, outcome_of
from modelscaler.replay.policies.ours import Modelscaler
from modelscaler.replay.policies.static import Static
from modelscaler.replay.report.rows import HEADER, rows
from modelscaler.replay.run import replay
from modelscaler.replay.sight import Policy, Sight, Targets
from modelscaler.replay.standard import FAST, FAST_ACCURACY, FULL_ACCURACY, POOL, standard_workload
from modelscaler.replay.timeline import Timeline

HOUR = 1.0 / 24.0


def case(rps: float = 100.0, hours: float = 1.0, cluster: Cluster | None = None, with_rung: bool = False) -> Case:
    trace = Trace("shop", 3600.0, datetime(2026, 3, 2, tzinfo=UTC), np.full(48, rps))
    load = load_of(trace, Part(0.0, hours * HOUR), Arrivals())
    return Case(standard_workload(60.0, with_rung), POOL, load, cluster or Cluster(start_spread=0.0))


@dataclass(frozen=True)
class Once:
    """Asks for more from a time on."""

    after_seconds: float
    replicas: int
    name: str = "once"
    settings: Mapping[str, float | str] = field(default_factory=dict)

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        return _Once(self, pool)


@dataclass(frozen=True)
class _Once:
    kind: Once
    pool: PoolKey
    interval_seconds: float = 15.0

    def decide(self, sight: Sight) -> Targets:
        there = sight.pool(self.pool).replicas
        return Targets(
            {self.pool: self.kind.replicas if sight.seconds >= self.kind.after_seconds else there}, self.pool
        )


def serves_from(run: Timeline, replicas: int) -> float:
    return float(run.seconds[np.flatnonzero(run.ready.sum(axis=0) >= replicas)[0]])


def test_operators_planner_is_ahead_of_a_ramp_that_no_forecast_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = np.repeat([100.0, 100.0, 100.0, 400.0], 12)
    trace = Trace("shop", 300.0, datetime(2026, 3, 2, tzinfo=UTC), rates)
    load = load_of(trace, Part(0.0, 4.0 * HOUR), Arrivals())
    ramp = Case(standard_workload(60.0, with_rung=False), POOL, load, Cluster(start_spread=0.0))
    reactive = Modelscaler(None, load.start, PolicySettings(headroom=0.0, forecaster="Reactive"))

    followed = outcome_of(replay(ramp, reactive, first_replicas=2)).violating_share
    monkeypatch.setattr(rising, "LEAST_SECONDS", np.inf)
    assert followed < 0.5 * outcome_of(replay(ramp, reactive, first_replicas=2)).violating_share


def test_replicas_serve_when_their_start_is_over_and_cost_from_when_they_are_asked_for() -> None:
    run = replay(case(), Once(600.0, 5), first_replicas=2)

    assert serves_from(run, 5) == pytest.approx(660.0, abs=5.0)
    assert run.hourly_cost[round(605.0 / run.step_seconds)] == 5.0
    assert run.hourly_cost[round(590.0 / run.step_seconds)] == 2.0


@dataclass(frozen=True)
class Restless:
    """Keeps few replicas, and replaces half of them again and again."""

    name: str = "restless"
    settings: Mapping[str, float | str] = field(default_factory=dict)

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        return _Restless(pool)


@dataclass(frozen=True)
class _Restless:
    pool: PoolKey
    interval_seconds: float = 15.0

    def decide(self, sight: Sight) -> Targets:
        return Targets({self.pool: 4 if sight.seconds // 300.0 % 2 else 2}, self.pool)


def test_mean_accuracy_keeps_its_floor_however_often_replicas_come_and_go() -> None:
    floor = standard_workload(60.0, with_rung=True).objective.min_mean_accuracy
    assert floor is not None

    found = outcome_of(replay(case(rps=300.0, hours=6.0, with_rung=True), Restless(), first_replicas=2))

    assert found.degraded_share > 0.01, "it needed the rung"
    assert found.mean_accuracy >= floor - 1e-5


def test_demand_that_lasts_is_left_to_the_rung_only_as_long_as_something_is_saved() -> None:
    """Where all of it was left for good, 98 % of these requests were late: five replicas, and nothing saved any more."""
    lends = PolicySettings(headroom=-0.3, forecaster="Reactive")
    steady = case(rps=440.0, hours=10.0, with_rung=True)

    found = outcome_of(replay(steady, Modelscaler(None, steady.load.start, lends), first_replicas=10))

    assert found.degraded_share > 0.01
    assert found.violating_share < 1e-4


def test_replicas_do_not_start_while_their_placement_is_out_of_stock() -> None:
    out = Cluster(start_spread=0.0, stock_outs=(StockOut("cpu", 0.0, 1200.0),))

    run = replay(case(cluster=out), Once(600.0, 5), first_replicas=2)

    assert serves_from(run, 5) == pytest.approx(1260.0, abs=5.0)


def test_nobody_waits_too_long_when_there_are_enough_replicas() -> None:
    found = outcome_of(replay(case(), Static(3), first_replicas=3))

    assert found.violating == 0.0
    assert found.mean_hourly_cost == 3.0
    assert found.mean_accuracy == pytest.approx(0.95)


def test_requests_are_late_or_refused_when_there_are_too_few_replicas() -> None:
    found = outcome_of(replay(case(rps=200.0), Static(1), first_replicas=1))

    assert found.violating_share > 0.9
    assert 0.4 < found.refused / found.offered < 0.7  # a replica does 84 of 200


def test_rung_answers_when_the_planned_variant_is_too_slow() -> None:
    without = outcome_of(replay(case(rps=90.0, hours=0.2), Static(1), first_replicas=1))
    with_rung = outcome_of(replay(case(rps=90.0, hours=0.2, with_rung=True), Static(1), first_replicas=1))

    assert with_rung.violating_share < without.violating_share
    assert with_rung.degraded_share > 0.0
    assert with_rung.mean_accuracy > 0.93


def test_every_request_is_answered_refused_or_still_waiting() -> None:
    run = replay(case(rps=200.0), Static(2), first_replicas=2)

    assert run.served.sum() + run.refused.sum() + run.queued[-1] == pytest.approx(run.offered.sum())


def test_run_is_the_same_when_it_is_repeated() -> None:
    first, again = (replay(case(cluster=Cluster()), Once(600.0, 5), first_replicas=2) for _ in range(2))

    assert np.array_equal(first.served, again.served)
    assert np.array_equal(first.ready, again.ready)


def test_rows_add_up_to_the_outcome() -> None:
    run = replay(case(rps=180.0), Once(600.0, 3), first_replicas=2)
    table = [dict(zip(HEADER[HEADER.index("seconds") :], row, strict=True)) for row in rows(run)]

    found = outcome_of(run)
    assert sum(float(str(row["violating"])) for row in table) == pytest.approx(found.violating, rel=1e-3)
    assert sum(float(str(row["offered"])) for row in table) == pytest.approx(found.offered)
    accuracy = sum(float(str(row["accuracy"])) for row in table) / sum(float(str(row["served"])) for row in table)
    assert accuracy == pytest.approx(found.mean_accuracy, rel=1e-4)
    assert np.mean([float(str(row["hourly_cost"])) for row in table]) == pytest.approx(found.mean_hourly_cost, rel=1e-3)


def test_longest_run_is_found_when_it_ends_with_the_flags() -> None:
    assert longest_run(np.array([True, False, True, True])) == 2
    assert longest_run(np.array([False])) == 0


@dataclass(frozen=True)
class Shared:
    """Runs two pools and gives the second a share of the requests."""

    share: float
    beside: PoolKey
    replicas: int = 2
    name: str = "shared"
    settings: Mapping[str, float | str] = field(default_factory=dict)

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        return _Shared(self, pool)


@dataclass(frozen=True)
class _Shared:
    kind: Shared
    pool: PoolKey
    interval_seconds: float = 15.0

    def decide(self, sight: Sight) -> Targets:
        weight = round(1000 * self.kind.share)
        replicas = {self.pool: 3, self.kind.beside: self.kind.replicas}
        return Targets(replicas, self.pool, RouteTarget(1000 - weight, self.kind.beside, weight))


def test_requests_are_shared_as_the_route_says_when_two_pools_serve() -> None:
    found = replay(case(with_rung=True), Shared(0.25, FAST), first_replicas=3)
    later = slice(round(600.0 / found.step_seconds), None)
    mean = found.accuracy[later].sum() / found.served[later].sum()

    assert mean == pytest.approx(0.75 * FULL_ACCURACY + 0.25 * FAST_ACCURACY, abs=1e-4)
    assert found.served.sum() + found.refused.sum() + found.queued[-1] == pytest.approx(found.offered.sum())


def test_share_of_a_pool_without_a_ready_replica_is_refused() -> None:
    found = replay(case(with_rung=True), Shared(0.25, FAST, replicas=0), first_replicas=3)

    assert found.refused.sum() == pytest.approx(0.25 * found.offered.sum())
