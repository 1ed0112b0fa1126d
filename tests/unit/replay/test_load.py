"""Arrivals drawn from a recorded rate."""

from datetime import UTC, datetime

import numpy as np
import pytest

from modelscaler.backtest.trace import Trace
from modelscaler.replay.load import Arrivals, Part, load_of

START = datetime(2026, 3, 2, tzinfo=UTC)


def trace(rps: list[float], step_seconds: float = 3600.0) -> Trace:
    return Trace("shop", step_seconds, START, np.array(rps))


def test_arrivals_are_the_same_when_the_seed_is_the_same() -> None:
    recorded, part = trace([20.0] * 24), Part(0.0, 0.5)

    first, again = (load_of(recorded, part, Arrivals(seed=7)) for _ in range(2))

    assert np.array_equal(first.counts, again.counts)
    assert not np.array_equal(first.counts, load_of(recorded, part, Arrivals(seed=8)).counts)


def test_arrivals_are_a_poisson_process_when_the_rate_is_steady() -> None:
    counts = load_of(trace([40.0] * 24), Part(0.0, 1.0), Arrivals()).counts

    assert counts.mean() == pytest.approx(10.0, rel=0.01)
    assert counts.var() == pytest.approx(10.0, rel=0.03)


def test_arrivals_vary_more_when_the_rate_comes_in_bursts() -> None:
    counts = load_of(trace([40.0] * 24), Part(0.0, 1.0), Arrivals(burstiness=0.5)).counts

    assert counts.mean() == pytest.approx(10.0, rel=0.02)
    assert counts.var() == pytest.approx(10.0 + 25.0, rel=0.1)


def test_rate_runs_straight_across_a_gap_when_values_are_missing() -> None:
    load = load_of(trace([10.0, float("nan"), float("nan"), 40.0]), Part(0.0, 4.0 / 24.0), Arrivals())

    middle = load.expected_rps[load.slot(2 * 3600.0)]
    assert middle == pytest.approx(25.0, abs=0.01)


def test_load_is_scaled_when_a_mean_is_given() -> None:
    load = load_of(trace([1.0, 2.0, 3.0, 2.0] * 6), Part(0.0, 1.0), Arrivals(mean_rps=100.0))

    assert load.expected_rps.mean() == pytest.approx(100.0)
    assert load.measured_rps(60.0).mean() == pytest.approx(100.0, rel=0.01)


@pytest.mark.parametrize("part", [Part(-1.0, 0.5), Part(0.5, 0.5), Part(0.0, 1.5)])
def test_part_is_refused_when_it_lies_outside_the_trace(part: Part) -> None:
    with pytest.raises(ValueError, match="expected within 0 to 1"):
        load_of(trace([1.0] * 24), part, Arrivals())
