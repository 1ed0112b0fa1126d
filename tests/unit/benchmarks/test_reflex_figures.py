from pathlib import Path

import numpy as np
import pytest

from modelscaler_benchmarks.http_client import Answer
from modelscaler_benchmarks.open_loop import Recorder, Sample
from modelscaler_benchmarks.reflex.bursts import ANSWERED_OR_REFUSED, Burst, judge
from modelscaler_benchmarks.reflex.idle import block_order, idle_cost
from modelscaler_benchmarks.reflex.ladders import LadderError, choose_pair
from modelserver.artifact import VariantMetadata

BURST = Burst(2.0, 10.0, before_seconds=20.0, after_seconds=10.0)
FAST = b'{"model_version":"fast"}'
FULL = b'{"model_version":"full"}'


def variant(name: str, accuracy: float, milliseconds: float) -> VariantMetadata:
    return VariantMetadata(
        variant=name,
        runtime="torch",
        weights="model.safetensors",
        sha256="0" * 64,
        accuracy=accuracy,
        milliseconds_per_row={"16": milliseconds},
    )


KNOWN = [
    variant("full", 0.95, 10.0),
    variant("int8", 0.949, 6.0),
    variant("distilled", 0.93, 4.0),
    variant("tiny", 0.91, 1.0),
]


def recorded(*requests: tuple[float, float, int, bytes]) -> Recorder:
    recorder = Recorder(ANSWERED_OR_REFUSED, lambda answer: b'"model_version":"fast"' in answer.body)
    for due, latency, status, body in requests:
        recorder.note(Sample(due, latency, 0.001, status), Answer(status, body=body))
    return recorder


def test_each_way_to_violate_is_counted_when_it_falls_into_the_burst_or_just_after() -> None:
    noted = recorded(
        (34.0, 0.1, 429, b""),
        (1.0, 9.0, 200, FULL),
        (21.0, 0.1, 200, FULL),
        (22.0, 0.6, 200, FAST),
        (23.0, 0.5, 504, b""),
        (24.0, 0.1, 0, b""),
        (36.0, 0.1, 503, b""),
    )

    figures = judge(noted.samples(), BURST, 0.5, (0.9, 0.8))

    assert figures.requests == 5
    assert (figures.late, figures.refused, figures.expired, figures.failed) == (1, 1, 1, 1)
    assert figures.violation_share == pytest.approx(0.8)
    assert figures.degraded_share == pytest.approx(0.5)
    assert figures.mean_accuracy == pytest.approx((0.9 + 0.9 + 0.8) / 3)
    assert figures.back_in_time_seconds == pytest.approx(6.1)
    assert len(noted.failures) == 1


def test_it_is_back_to_full_when_the_last_degraded_answer_has_come() -> None:
    noted = recorded((25.0, 0.1, 200, FAST), (31.0, 0.5, 200, FAST), (33.0, 0.1, 200, FULL))

    assert judge(noted.samples(), BURST, 1.0, (0.9, 0.8)).back_to_full_seconds == pytest.approx(1.5)


def test_it_is_back_at_once_when_nothing_was_degraded() -> None:
    assert judge(recorded((25.0, 0.1, 200, FULL)).samples(), BURST, 1.0, (0.9, 0.8)).back_to_full_seconds == 0


def test_arrivals_are_the_same_and_in_order_when_the_seed_is() -> None:
    arrivals = BURST.arrivals(200.0, seed=3)

    assert np.array_equal(arrivals, BURST.arrivals(200.0, seed=3))
    assert (np.diff(arrivals) >= 0).all()
    within = ((arrivals >= 20) & (arrivals < 30)).sum()
    assert within == pytest.approx(4000, rel=0.1)
    assert len(arrivals) - within == pytest.approx(3000, rel=0.1)


def test_the_most_accurate_is_chosen_when_several_are_fast_enough() -> None:
    pair = choose_pair(KNOWN, "full", None, Path("model"))

    assert (pair.full, pair.fast) == ("full", "distilled")
    assert pair.floor(0.25) == pytest.approx(0.935)


def test_the_fastest_is_chosen_when_none_is_fast_enough() -> None:
    assert choose_pair(KNOWN[:2], "full", None, Path("model")).fast == "int8"


def test_the_floor_is_the_full_accuracy_when_the_fast_one_is_better() -> None:
    better = [KNOWN[0], variant("fast", 0.96, 1.0)]

    assert choose_pair(better, "full", None, Path("model")).floor(0.25) == 0.95


@pytest.mark.parametrize(("full", "fast"), [("big", None), ("full", "small")])
def test_the_error_names_the_variants_when_one_is_missing(full: str, fast: str | None) -> None:
    with pytest.raises(LadderError, match="variants full, int8, distilled, tiny"):
        choose_pair(KNOWN, full, fast, Path("model"))


def noisy_ratios(cost: float, pairs: int, noise: float) -> list[float]:
    drawn = np.random.default_rng(5).normal(0.0, noise, pairs)
    return list((1.0 - cost) * np.exp(drawn))


def test_the_interval_holds_the_cost_when_pairs_are_noisy() -> None:
    found = idle_cost(noisy_ratios(0.02, 32, 0.05), seed=1)

    assert found.low < 0.02 < found.high
    assert found.low < found.median < found.high
    assert found.pairs == 32


def test_the_interval_is_narrower_when_there_are_more_pairs() -> None:
    few, many = (idle_cost(noisy_ratios(0.02, pairs, 0.05), seed=1) for pairs in (8, 128))

    assert many.high - many.low < (few.high - few.low) / 2


def test_one_outlier_moves_little_when_there_are_many_pairs() -> None:
    ratios = [0.98] * 20

    assert idle_cost([*ratios, 0.2], seed=1).median == pytest.approx(0.02)


def test_a_steady_drift_cancels_when_slices_are_in_blocks() -> None:
    speed = {"with": 0.98, "without": 1.0}
    rates = [
        speed[name] * drift for name, drift in zip(block_order("with", "without"), (1.0, 1.1, 1.21, 1.331), strict=True)
    ]

    assert idle_cost([rates[0] / rates[1], rates[3] / rates[2]], seed=1).median == pytest.approx(0.02)
