from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from modelscaler_demo.day import DayShape, Sale, clock, earlier_days, phase, today, usual_level
from modelscaler_demo.errors import DemoError
from modelscaler_demo.history import cumulative, labels_of, openmetrics, write_blocks

SHAPE = DayShape(peak_rps=50.0, seconds=240.0)


def test_days_repeat_when_the_seed_does() -> None:
    first, second = today(SHAPE, 7), today(SHAPE, 7)
    assert np.array_equal(first.rates_rps, second.rates_rps)
    assert not np.array_equal(first.rates_rps, today(SHAPE, 8).rates_rps)


def test_days_differ_when_they_are_of_one_fortnight() -> None:
    days = earlier_days(SHAPE, 14, 7)
    means = [day.rates_rps.mean() for day in days]
    assert len(days) == 14
    assert np.std(means) > 0.01 * np.mean(means)


def test_night_is_quiet_and_evening_is_busiest_when_a_day_is_usual() -> None:
    level = usual_level(SHAPE.hours)
    assert level.min() < 0.15
    assert 19.0 < SHAPE.hours[level.argmax()] < 21.5
    assert level.max() == pytest.approx(1.0, abs=0.05)


def test_midnight_joins_up_when_days_follow_each_other() -> None:
    start, end = usual_level(np.array([0.0, 24.0]))
    assert start == pytest.approx(end)


def test_sale_lifts_only_its_own_hours_when_a_day_has_one() -> None:
    factor = Sale(start_hour=15.0, hours=2.0, lift=0.5).factor(np.array([14.9, 16.0, 17.1]))
    assert factor == pytest.approx([1.0, 1.5, 1.0])


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, "00:00"), (0.5, "12:00"), (1.0, "00:00"), (-0.25, "18:00")])
def test_clock_tells_the_time_of_day_when_given_a_fraction(fraction: float, expected: str) -> None:
    assert clock(fraction) == expected


@pytest.mark.parametrize(("hour", "expected"), [(3, "night"), (8, "morning ramp"), (20, "evening peak")])
def test_phase_names_the_part_of_the_day_when_given_a_fraction(hour: float, expected: str) -> None:
    assert phase(hour / 24) == expected


def test_counter_gives_the_rates_back_when_differenced() -> None:
    days = earlier_days(SHAPE, 3, 1)
    counter = cumulative(days, np.random.default_rng(2))
    rates = np.concatenate([day.rates_rps for day in days])
    assert np.all(np.diff(counter) >= 0)
    assert counter[-1] == pytest.approx(rates.sum() * SHAPE.step_seconds, rel=0.05)


def test_nothing_is_written_of_what_has_not_happened_when_the_last_day_ends_later() -> None:
    end = datetime(2026, 1, 1, tzinfo=UTC)
    before = end - timedelta(seconds=10)
    lines = list(openmetrics(np.arange(100.0), 1.0, end, before, labels_of("shop", "ranker")))
    samples = [line for line in lines if not line.startswith("#")]
    assert max(float(line.split()[-1]) for line in samples) < before.timestamp()
    assert samples[0].startswith(
        'modelserver_requests_offered_total{modeldeployment_namespace="shop",modeldeployment="ranker",pool="history"'
    )
    assert lines[-1] == "# EOF"


def test_error_tells_what_promtool_said_when_it_fails(tmp_path: Path) -> None:
    promtool = tmp_path / "promtool"
    promtool.write_text("#!/bin/sh\necho bad sample >&2\nexit 1\n")
    promtool.chmod(0o755)
    with pytest.raises(DemoError, match="bad sample"):
        write_blocks(promtool, ["# EOF"], tmp_path / "data")
