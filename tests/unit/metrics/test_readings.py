import math
from datetime import UTC, datetime, timedelta

import pytest

from modelscaler.domain import Absent, Reading, SourceError, Stale, Value, WorkloadKey, Zero, known
from modelscaler.metrics.judge import Newest
from modelscaler.metrics.parse import Labelled, Sample
from modelscaler.metrics.source import FleetMetrics, LatencyHistogram

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY, OTHER = WorkloadKey("shop", "ranker"), WorkloadKey("shop", "other")
# Prometheus's clock is an hour off ours: only differences of its own times may count.
EVALUATED = NOW.timestamp() + 3600.0
BROKEN = SourceError("no answer")


def newest(age_seconds: float) -> Newest:
    return Newest({KEY: Sample(EVALUATED - age_seconds, EVALUATED)}, NOW, stale_after_seconds=60.0)


def judged(judge: Newest, sample: Sample | SourceError | None) -> Reading:
    return FleetMetrics(offered_rps=judge.readings({KEY: sample} if sample else {})).offered(KEY)


def test_reading_is_a_value_dated_by_our_clock_when_fresh_and_positive() -> None:
    assert judged(newest(5.0), Sample(12.0, EVALUATED)) == Value(12.0, NOW - timedelta(seconds=5))


def test_reading_is_a_true_zero_when_fresh_and_zero() -> None:
    assert judged(newest(5.0), Sample(0.0, EVALUATED)) == Zero(NOW - timedelta(seconds=5))


def test_reading_is_absent_when_the_series_has_too_few_samples_for_a_rate() -> None:
    assert judged(newest(5.0), None) == Absent()


@pytest.mark.parametrize("sample", [Sample(12.0, EVALUATED), Sample(0.0, EVALUATED), BROKEN, None])
def test_reading_is_stale_when_the_newest_sample_is_too_old(sample: Sample | SourceError | None) -> None:
    assert judged(newest(61.0), sample) == Stale(61.0)


def test_reading_is_fresh_when_its_sample_is_just_as_old_as_allowed() -> None:
    assert isinstance(judged(newest(60.0), Sample(1.0, EVALUATED)), Value)


def test_reading_is_absent_when_the_source_does_not_know_the_modeldeployment() -> None:
    metrics = FleetMetrics(offered_rps=newest(5.0).readings({KEY: Sample(1.0, EVALUATED)}))
    assert metrics.offered(OTHER) == Absent()


def test_all_readings_are_the_error_when_their_query_failed() -> None:
    metrics = FleetMetrics(offered_rps=newest(5.0).readings(BROKEN), latencies=newest(5.0).latencies(BROKEN))
    assert metrics.offered(KEY) == metrics.offered(OTHER) == metrics.latency(KEY, 0.99) == BROKEN


def test_all_readings_are_the_error_when_freshness_is_not_known() -> None:
    blind = Newest(BROKEN, NOW, 60.0)
    metrics = FleetMetrics(blind.readings({KEY: Sample(0.0, EVALUATED)}), latencies=blind.latencies({}))
    assert metrics.offered(KEY) == metrics.latency(KEY, 0.5) == BROKEN


def test_one_reading_is_the_error_when_its_own_sample_is_bad() -> None:
    assert judged(newest(5.0), BROKEN) == BROKEN


def test_reading_is_the_error_when_its_own_freshness_is_bad() -> None:
    assert judged(Newest({KEY: BROKEN}, NOW, 60.0), Sample(3.0, EVALUATED)) == BROKEN


RATES: Labelled = {("gpu-full", "full"): 30.0, ("gpu-full", "int8"): 10.0, ("cpu-int8", "int8"): 5.0}


def test_who_answers_is_known_only_while_samples_are_fresh_and_sound() -> None:
    metrics = FleetMetrics(served_rows=newest(5.0).labelled({KEY: RATES}))
    assert metrics.served(KEY, "gpu-full") == {"full": 30.0, "int8": 10.0}
    assert metrics.served(KEY, "cpu-int8") == {"int8": 5.0}
    assert metrics.served(KEY, "tpu-full") == metrics.served(OTHER, "gpu-full") == {}
    assert newest(99.0).labelled({KEY: RATES}) == {}
    assert FleetMetrics(served_rows=newest(5.0).labelled({KEY: BROKEN})).served(KEY, "gpu-full") == {}
    assert newest(5.0).labelled(BROKEN) == {}
    assert Newest(BROKEN, NOW, 60.0).labelled({KEY: RATES}) == {}


def test_budgets_are_those_of_the_pool_that_is_asked_about_and_unknown_where_nobody_says() -> None:
    metrics = FleetMetrics(budget_shares=newest(5.0).labelled({KEY: {("gpu-full",): 2.5}}))
    assert metrics.budgets(KEY, "gpu-full") == 2.5
    assert metrics.budgets(KEY, "cpu-full") is None
    assert metrics.budgets(OTHER, "gpu-full") is None


BUCKETS = ((0.1, 90.0), (0.2, 100.0), (math.inf, 100.0))


def test_each_percentile_comes_from_the_same_histogram_when_asked() -> None:
    metrics = FleetMetrics(latencies=newest(5.0).latencies({KEY: BUCKETS}))
    assert known(metrics.latency(KEY, 0.45)) == pytest.approx(0.05)
    assert known(metrics.latency(KEY, 0.95)) == pytest.approx(0.15)


def test_answered_requests_are_those_of_all_latencies() -> None:
    found = LatencyHistogram(((0.1, 3.0), (math.inf, 5.0)), NOW)
    assert FleetMetrics(latencies={KEY: found}).answered(KEY) == Value(5.0, NOW)


def test_answered_requests_are_unknown_when_latencies_are_and_zero_only_when_none_was_answered() -> None:
    none = LatencyHistogram(((0.1, 0.0), (math.inf, 0.0)), NOW)
    assert FleetMetrics(latencies={KEY: none}).answered(KEY) == Zero(NOW)
    assert FleetMetrics(latencies={KEY: Stale(90.0)}).answered(KEY) == Stale(90.0)
    assert FleetMetrics(latencies=SourceError("down")).answered(KEY) == SourceError("down")
    assert FleetMetrics().answered(KEY) == Absent()


def test_latency_is_absent_when_no_request_was_answered() -> None:
    metrics = FleetMetrics(latencies={KEY: LatencyHistogram(((0.1, 0.0), (math.inf, 0.0)), NOW)})
    assert metrics.latency(KEY, 0.99) == Absent()


def test_latency_is_an_error_when_the_buckets_make_no_histogram() -> None:
    reading = FleetMetrics(latencies={KEY: LatencyHistogram(((0.1, 3.0),), NOW)}).latency(KEY, 0.99)
    assert isinstance(reading, SourceError)
    assert "shop/ranker" in reading.message


def test_latency_is_judged_like_any_reading_when_stale_absent_or_bad() -> None:
    assert newest(99.0).latencies({KEY: BUCKETS}) == {KEY: Stale(99.0)}
    assert newest(5.0).latencies({}) == {KEY: Absent()}
    assert newest(5.0).latencies({KEY: BROKEN}) == {KEY: BROKEN}
