"""Accelerators go to zero at night, and are back before the morning (docs/designs/008-zero.md)."""

from datetime import UTC, datetime

import numpy as np
import pytest

import builders
from builders import CPU_FULL, GPU_FULL, capacity, idling, placement
from modelscaler.backtest.trace import Ints, Trace
from modelscaler.domain import Idling, PolicySettings, PoolKey, VariantOption, Workload
from modelscaler.forecast.networks import shipped_network
from modelscaler.replay.case import Case
from modelscaler.replay.foresight import Foresight, foresee, history_of
from modelscaler.replay.load import Arrivals, Load, Part, load_of
from modelscaler.replay.outcome import outcome_of
from modelscaler.replay.policies.ours import Modelscaler
from modelscaler.replay.run import replay
from modelscaler.replay.timeline import Timeline

START = datetime(2026, 3, 2, tzinfo=UTC)
HISTORY_DAYS = 4.0
NIGHT_RPS, DAY_RPS = 0.2, 300.0
OPENS, BUSY, CLOSED = 8.0, 8.2, 20.5  # hours: doors open, everybody is there, the last has left
FIRST_HOUR_SECONDS = 3600.0
IDLE = idling()


def office_hours() -> Trace:
    """Return five days whose load comes within ten minutes at eight, and is gone after eight in the evening."""
    hours = (np.arange(5 * 1440) % 1440) / 60.0
    present = np.clip((hours - OPENS) * 6.0, 0.0, 1.0) * np.clip((20.0 - hours) * 3.0, 0.0, 1.0)
    return Trace("office", 60.0, START, np.where(present > 0.0, DAY_RPS * present, NIGHT_RPS))


def workload() -> Workload:
    """Return a workload of which two GPU replicas carry the day, and one CPU replica, at a tenth of the price, the night."""
    return builders.workload(
        variants=(VariantOption("full", 0.92),),
        placements=(placement("cpu", 0.1, 20.0), placement("gpu", 1.0, 180.0)),
        capacities=(capacity(CPU_FULL, 20.0), capacity(GPU_FULL, 4.0)),
        max_replicas=6,
    )


@pytest.fixture(scope="module")
def load() -> Load:
    return load_of(office_hours(), Part(HISTORY_DAYS, HISTORY_DAYS + 1.0), Arrivals(seed=0))


@pytest.fixture(scope="module")
def with_forecast(load: Load) -> Timeline:
    history = history_of(office_hours(), load, HISTORY_DAYS, seed=1)
    shipped = shipped_network()
    assert shipped is not None
    return day(load, foresee(history, 300.0, shipped))


def day(load: Load, foresight: Foresight | None) -> Timeline:
    settings = PolicySettings(forecaster="Forecast" if foresight else "Reactive")
    return replay(Case(workload(), CPU_FULL, load), Modelscaler(foresight, load.start, settings), 1)


def replicas(run: Timeline, pool: PoolKey, hour: float) -> int:
    """Return how many replicas of a pool there are at an hour, ready or starting."""
    all_of: Ints = run.ready + run.starting
    return int(all_of[run.pools.index(pool), round(hour * 3600.0 / run.step_seconds)])


@pytest.mark.parametrize("hour", [1.0, 4.0, 7.0, 21.0, 23.0])
def test_no_gpu_is_paid_for_at_night_and_somebody_answers_all_the_same(with_forecast: Timeline, hour: float) -> None:
    assert replicas(with_forecast, GPU_FULL, hour) == 0
    assert replicas(with_forecast, CPU_FULL, hour) == 1


def test_forecast_brings_the_gpus_back_before_they_are_needed(load: Load, with_forecast: Timeline) -> None:
    blind = outcome_of(day(load, None), FIRST_HOUR_SECONDS)
    seeing = outcome_of(with_forecast, FIRST_HOUR_SECONDS)

    assert replicas(with_forecast, GPU_FULL, BUSY) == 2
    assert seeing.violating_share < 0.0001
    assert blind.violating_share > 0.001


def test_day_costs_little_more_than_half_of_gpus_that_stay(with_forecast: Timeline) -> None:
    assert outcome_of(with_forecast, FIRST_HOUR_SECONDS).mean_hourly_cost < 0.6 * 2.0
    assert replicas(with_forecast, GPU_FULL, CLOSED) == 0


# --- no replica at all at night


def empty_nights() -> Trace:
    """Return the same days with nobody there at night."""
    days = office_hours()
    return Trace("empty nights", days.step_seconds, START, np.where(days.rps > NIGHT_RPS, days.rps, 0.0))


def on_gpus(idle: Idling | None) -> Workload:
    """Return a workload that only GPUs carry."""
    return builders.workload(
        variants=(VariantOption("full", 0.92),),
        placements=(placement("gpu", 1.0, 180.0),),
        capacities=(capacity(GPU_FULL, 4.0),),
        max_replicas=6,
        idling=idle,
    )


@pytest.fixture(scope="module")
def empty_load() -> Load:
    return load_of(empty_nights(), Part(HISTORY_DAYS, HISTORY_DAYS + 1.0), Arrivals(seed=0))


@pytest.fixture(scope="module")
def of_empty_nights(empty_load: Load) -> Foresight:
    shipped = shipped_network()
    assert shipped is not None
    return foresee(history_of(empty_nights(), empty_load, HISTORY_DAYS, seed=1), 300.0, shipped)


def empty_day(load: Load, foresight: Foresight | None, idle: Idling | None = IDLE) -> Timeline:
    settings = PolicySettings(forecaster="Forecast" if foresight else "Reactive")
    case = Case(on_gpus(idle), GPU_FULL, load)
    return replay(case, Modelscaler(foresight, load.start, settings), 1)


def test_no_replica_is_paid_for_at_night_and_the_forecast_brings_them_back_for_the_first_request(
    empty_load: Load, of_empty_nights: Foresight
) -> None:
    run = empty_day(empty_load, of_empty_nights)
    outcome = outcome_of(run)

    assert [replicas(run, GPU_FULL, hour) for hour in (1.0, 4.0, 7.0, 21.0, 23.0)] == [0] * 5
    assert replicas(run, GPU_FULL, BUSY) == 2
    assert (outcome.refused, outcome.violating < 50.0) == (0.0, True), "of 12.7 million"
    assert outcome.mean_hourly_cost < 1.1
    assert outcome.direction_changes <= 4, "down at night, up in the morning"


def test_night_of_a_replica_is_paid_for_when_zero_is_not_asked_for(
    empty_load: Load, of_empty_nights: Foresight
) -> None:
    kept = outcome_of(empty_day(empty_load, of_empty_nights, idle=None))

    assert kept.mean_hourly_cost == pytest.approx(1.49, abs=0.05)
    assert kept.violating < 1.0


def test_first_requests_wait_and_some_are_refused_when_no_forecast_wakes(empty_load: Load) -> None:
    blind = outcome_of(empty_day(empty_load, None))

    assert blind.violating > 20_000.0
    assert blind.refused > 1_000.0
    assert blind.mean_hourly_cost < 1.1
