"""What a soak says of what was sampled."""

import numpy as np
import pytest
from numpy.typing import NDArray

from modelscaler_benchmarks.open_loop import Samples
from modelscaler_benchmarks.soak.__main__ import table
from modelscaler_benchmarks.soak.capacity import Capacity, drift_sentence, read_capacity
from modelscaler_benchmarks.soak.verdict import (
    Memory,
    Tail,
    Verdict,
    by_window,
    growth,
    ideal_poisson_ratio,
    judge,
)

SECONDS, WARM_SECONDS = 100, 10.0


def memory(front_growth: float = 0.0, worker_growth: float = 0.0, warm_up_growth: float = 0.5) -> Memory:
    seconds = np.arange(SECONDS, dtype=float)
    settled = np.clip((seconds - WARM_SECONDS) / (SECONDS - WARM_SECONDS), 0.0, 1.0)
    warm = np.where(seconds < WARM_SECONDS, 1.0 - warm_up_growth, 1.0)
    return Memory(
        seconds,
        np.stack([100e6 * warm * (1 + front_growth * settled), 400e6 * warm * (1 + worker_growth * settled)], axis=1),
    )


def samples(due: NDArray[np.float64], latency: NDArray[np.float64], status: NDArray[np.int64]) -> Samples:
    return Samples(due, latency, np.zeros(len(due)), status, np.zeros(len(due), dtype=bool))


def latencies(p99_share: float = 1.5, errors: int = 0) -> Samples:
    due = np.linspace(0.0, SECONDS, 10_000, endpoint=False)
    latency = np.where(np.arange(10_000) % 50 == 0, 0.010 * p99_share, 0.010)
    status = np.full(10_000, 200)
    status[:errors] = 503
    return samples(due, latency, status)


def test_soak_is_met_when_memory_is_flat_and_the_tail_short() -> None:
    verdict = judge(memory(), latencies(), WARM_SECONDS, SECONDS / 2)

    assert verdict.met
    assert verdict.growth == pytest.approx(0.0, abs=1e-9)
    assert verdict.requests == 9000
    assert verdict.even.p50_milliseconds == pytest.approx(10.0)
    assert verdict.even.p99_milliseconds == pytest.approx(15.0)


@pytest.mark.parametrize(
    "verdict",
    [
        judge(memory(worker_growth=0.03), latencies(), WARM_SECONDS, SECONDS / 2),
        judge(
            memory(front_growth=0.03), latencies(), WARM_SECONDS, SECONDS / 2
        ),  # hidden in the sum by the larger worker
        judge(memory(), latencies(p99_share=2.1), WARM_SECONDS, SECONDS / 2),
        judge(memory(), latencies(errors=1), WARM_SECONDS, SECONDS / 2),  # in the warm-up, and still an error
    ],
)
def test_soak_is_not_met_when_one_bound_is_not_kept(verdict: Verdict) -> None:
    assert not verdict.met
    assert "**not met**" in table(verdict, Tail(1.0, 3.0), 0.8)


def test_growth_ignores_one_sample_when_it_is_an_outlier() -> None:
    sizes = np.full(100, 100.0)
    sizes[-1] = 500.0

    assert growth(sizes) == 0.0


def test_windows_have_their_own_quantiles_when_latency_changes() -> None:
    due = np.array([0.0, 1.0, 12.0, 13.0])
    found = by_window(samples(due, np.array([0.01, 0.01, 0.03, 0.03]), np.full(4, 200)), 5.0)

    assert found[0] == [2.5, 12.5]
    assert found[1] == pytest.approx([10.0, 30.0])


def test_tails_are_told_apart_when_arrivals_change_half_way() -> None:
    found = latencies()
    found.latency_seconds[found.due_seconds >= SECONDS / 2] *= 3.0

    verdict = judge(memory(), found, WARM_SECONDS, SECONDS / 2)

    assert verdict.even.p50_milliseconds == pytest.approx(10.0)
    assert verdict.poisson.p50_milliseconds == pytest.approx(30.0)


def test_ideal_tail_agrees_with_theory_when_arrivals_are_poisson() -> None:
    # M/D/1: mean wait load / (2 (1 - load)) = 2 service times at 0.8; its quantiles from a longer simulation.
    assert ideal_poisson_ratio(0.8) == pytest.approx(11.3 / 2.28, rel=0.03)
    assert ideal_poisson_ratio(0.01) == pytest.approx(1.0, abs=0.1)


def test_capacity_is_the_median_when_one_reading_is_odd() -> None:
    readings = iter([1000.0, 1400.0, 1020.0])

    capacity = read_capacity(lambda _: next(readings), 10.0)

    assert capacity.rps == 1020.0
    assert str(capacity) == "1020 (1000–1400)"


@pytest.mark.parametrize(("after", "said"), [(900.0, ""), (800.0, "80% to 100%"), (1250.0, "64% to 80%")])
def test_the_load_is_said_to_be_between_two_shares_when_capacity_moved(after: float, said: str) -> None:
    sentence = drift_sentence(800.0, Capacity((1000.0,)), Capacity((after,)))

    assert said in sentence
    assert bool(sentence) == bool(said)
