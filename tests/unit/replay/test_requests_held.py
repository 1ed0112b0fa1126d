"""Requests that come while no replica runs: late and not lost, as many as are held, and measured where they are answered."""

from datetime import UTC, datetime

import numpy as np
import pytest

from builders import CPU_INT8, idling, single_pool
from modelscaler.backtest.trace import Trace
from modelscaler.domain import Idling, PolicySettings, Workload
from modelscaler.replay.case import Case, Cluster
from modelscaler.replay.holding import Holding
from modelscaler.replay.load import Arrivals, Load, Part, load_of
from modelscaler.replay.outcome import outcome_of
from modelscaler.replay.policies.keda import Keda
from modelscaler.replay.policies.ours import Modelscaler
from modelscaler.replay.pool import Arriving
from modelscaler.replay.run import replay
from modelscaler.replay.sight import PolicyKind
from modelscaler.replay.timeline import Timeline

STEP_SECONDS = 300.0
QUIET_SECONDS = 6 * STEP_SECONDS
MOST_HELD = 1000.0
IDLE = idling()


def arriving(requests: float) -> Arriving:
    return Arriving.of(np.array([requests / 2.0, requests / 2.0]))


def test_all_that_is_held_is_late_and_none_of_it_lost() -> None:
    house = Holding(MOST_HELD, active=True)
    first, second = house.take(arriving(10.0)), house.take(arriving(6.0))
    assert (first.offered, first.late, first.refused) == (10.0, 10.0, 0.0)
    assert (house.requests, second.late) == (16.0, 6.0)
    assert (house.let_go(), house.requests) == (16.0, 0.0)


def test_who_comes_when_too_many_are_held_is_refused() -> None:
    house = Holding(MOST_HELD, active=True, requests=MOST_HELD - 4.0)
    tally = house.take(arriving(10.0))
    assert (tally.offered, tally.late, tally.refused, house.requests) == (10.0, 4.0, 6.0, MOST_HELD)


def test_what_is_held_is_measured_where_it_is_answered_and_nobody_knows_how_late() -> None:
    house = Holding(MOST_HELD, active=True, requests=MOST_HELD - 4.0)
    held = house.measured(house.take(arriving(10.0)))
    assert (held.offered, held.late, held.refused) == (6.0, 0.0, 6.0), "the activator counts what it refuses"
    calm = house.measured(house.take(arriving(0.0)))
    assert (calm.offered, calm.late) == (0.0, 0.0)
    released = house.let_go()
    answered = house.measured(Holding(MOST_HELD).take(arriving(3.0)))
    assert answered.offered == 3.0 + released


def quiet_then(rps: float) -> Load:
    """Return half an hour without requests, and half an hour with some."""
    rates = np.repeat([0.0, rps], 6)
    trace = Trace("shop", STEP_SECONDS, datetime(2026, 3, 2, tzinfo=UTC), rates)
    return load_of(trace, Part(0.0, 1.0 / 24.0), Arrivals())


def run(rps: float, kind: PolicyKind | None = None, idle: Idling | None = IDLE) -> Timeline:
    load, workload = quiet_then(rps), spec(idle)
    reactive = Modelscaler(None, load.start, PolicySettings(forecaster="Reactive"))
    return replay(Case(workload, CPU_INT8, load, Cluster(start_spread=0.0)), kind or reactive, 1)


def spec(idle: Idling | None) -> Workload:
    """Return a workload of which one replica carries 91 requests/s, twenty seconds after it is asked for."""
    return single_pool(idling=idle)


def asked(timeline: Timeline, seconds: float) -> int:
    return int((timeline.ready + timeline.starting)[0, round(seconds / timeline.step_seconds)])


def test_ours_goes_to_zero_and_whoever_comes_is_answered_late() -> None:
    timeline = run(2.0)
    outcome = outcome_of(timeline)
    assert [asked(timeline, seconds) for seconds in (240.0, 600.0, 1500.0, 2400.0)] == [1, 0, 0, 1]
    assert outcome.refused == 0.0
    assert 5.0 < outcome.violating < 150.0, "those of a scrape, a tick and a start"
    assert timeline.served.sum() == pytest.approx(outcome.offered, abs=2.0), "all are answered in the end"
    assert timeline.queued[round(QUIET_SECONDS / timeline.step_seconds) + 3] > 0.0


def test_a_replica_stays_when_zero_is_not_asked_for() -> None:
    timeline = run(2.0, idle=None)
    assert (asked(timeline, 1500.0), outcome_of(timeline).violating) == (1, 0.0)


def test_who_comes_beyond_what_is_held_is_refused_until_a_replica_is_ready() -> None:
    outcome = outcome_of(run(900.0))
    assert outcome.refused > 0.0
    assert outcome.violating >= MOST_HELD


def test_keda_goes_to_zero_too_and_nobody_holds_who_comes_then() -> None:
    timeline = run(2.0, Keda())
    outcome = outcome_of(timeline)
    assert asked(timeline, 1500.0) == 0
    assert outcome.refused == outcome.violating > 5.0
    assert asked(run(2.0, Keda(), idle=None), 1500.0) == 1
