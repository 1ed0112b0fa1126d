from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from modelserver.compute.executor import Loaded
from modelserver.engine.answers import BatchDone, Phases
from modelserver.errors import LoadError
from modelserver.serving.labels import parse_labels
from modelserver.serving.metrics import DURATION_BUCKETS, OUTCOMES, ServerMetrics, State
from modelserver.serving.tallies import TalliedCounter, TalliedHistogram
from modelserver_fakes import echo_contract, loaded_variant


def series(text: bytes) -> dict[tuple[str, ...], float]:
    """Return samples by name and the values of their labels, in the order of the labels' names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def batch(variant: str = "full", rows: int = 3, degraded_rows: int = 0) -> BatchDone:
    phases = Phases(0.0, 0.001, 0.002, 0.003, 0.004)
    return BatchDone(0, variant, rows, degraded_rows, [0.01] * rows, 0.011, phases, 1 << 20)


def test_duration_buckets_step_by_12_percent_where_objectives_lie() -> None:
    fine = [bound for bound in DURATION_BUCKETS if 0.02 <= bound <= 5.0]
    assert fine[0] == 0.02
    assert all(1.10 <= after / before <= 1.13 for before, after in pairwise(fine))
    assert list(DURATION_BUCKETS) == sorted(set(DURATION_BUCKETS))


def test_labels_are_read_when_well_formed() -> None:
    assert parse_labels("") == {}
    assert parse_labels("a=1,b_c=x.y-z,d=") == {"a": "1", "b_c": "x.y-z", "d": ""}


@pytest.mark.parametrize("text", ["a", "1a=2", "a-b=2", "variant=full", "phase=x", "pid=1", "__name__=x", "a=1,b"])
def test_labels_are_refused_when_malformed_or_taken(text: str) -> None:
    with pytest.raises(LoadError, match="MODELSERVER_METRIC_LABELS"):
        parse_labels(text)


def test_every_outcome_is_there_from_the_start_so_that_rates_are_not_missing() -> None:
    found = series(ServerMetrics({"pool": "p"}, "full").render())
    assert all(found["modelserver_requests_total", outcome, "p", "full"] == 0 for outcome in OUTCOMES)
    assert found["modelserver_requests_offered_total", "p"] == 0
    assert found["modelserver_requests_retried_total", "p"] == 0
    assert found["modelserver_requests_turned_away_total", "p"] == 0
    assert found["modelserver_request_duration_seconds_count", "p", "full"] == 0


def test_what_is_noted_counts_when_it_is_shown() -> None:
    metrics = ServerMetrics({}, "full")
    metrics.offered.pending += 2
    metrics.ended("ok", "int8")
    metrics.ended("expired", None)
    metrics.answered("int8", 0.0209)
    metrics.on_batch(batch("int8", rows=3, degraded_rows=2))
    metrics.on_lost(0, "memory")
    metrics.on_cache(hit=True)
    metrics.show(State(requests_waiting=4, rows_waiting=7, inflight=5, workers_ready=1, mean_accuracy=0.95))
    found = series(metrics.render())
    assert found["modelserver_requests_offered_total",] == 2
    assert found["modelserver_requests_total", "ok", "int8"] == 1
    assert found["modelserver_requests_total", "expired", "full"] == 1
    assert found["modelserver_request_duration_seconds_bucket", "0.02", "int8"] == 0
    assert found["modelserver_request_duration_seconds_bucket", "0.0224", "int8"] == 1
    assert found["modelserver_batch_size_sum", "int8"] == 3
    assert found["modelserver_rows_total", "int8"] == 3
    assert found["modelserver_degraded_rows_total",] == 2
    assert found["modelserver_phase_duration_seconds_count", "queue"] == 3
    assert found["modelserver_phase_duration_seconds_sum", "transfer"] == pytest.approx(0.004)
    assert found["modelserver_worker_restarts_total", "memory"] == 1
    assert found["modelserver_cache_hits_total",] == 1
    assert (found["modelserver_queue_depth",], found["modelserver_queue_rows",]) == (4, 7)
    assert found["modelserver_inflight_requests",] == 5
    assert found["modelserver_mean_accuracy",] == 0.95


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_request_counts_as_turned_away_when_it_may_be_sent_again(outcome: str) -> None:
    metrics = ServerMetrics({}, "full")
    metrics.ended(outcome, None)
    metrics.show(State())
    turned_away = series(metrics.render())["modelserver_requests_turned_away_total",]
    assert turned_away == (outcome not in ("ok", "invalid"))


def test_only_the_ladder_in_force_has_its_info_at_1() -> None:
    metrics = ServerMetrics({}, "full")
    metrics.show(State(ladder_hash="a", ladder_variants=("full",)))
    metrics.show(State(ladder_hash="b", ladder_variants=("full", "int8")))
    found = series(metrics.render())
    assert found["modelserver_ladder_info", "a", "full"] == 0
    assert found["modelserver_ladder_info", "b", "full,int8"] == 1


def test_series_of_a_lesser_variant_are_there_before_it_answers_so_that_rates_miss_nothing() -> None:
    metrics = ServerMetrics({}, "full")
    metrics.on_loaded(0, Loaded(echo_contract(), (loaded_variant(), loaded_variant("int8"))))
    found = series(metrics.render())
    assert found["modelserver_rows_total", "int8"] == 0
    assert found["modelserver_requests_total", "ok", "int8"] == 0
    assert found["modelserver_request_duration_seconds_count", "int8"] == 0


def test_load_and_build_are_told_when_a_worker_is_ready() -> None:
    metrics = ServerMetrics({}, "full")
    metrics.on_loaded(0, Loaded(echo_contract(), (loaded_variant(),), device_memory_bytes=5))
    metrics.on_loaded(1, Loaded(echo_contract(), (loaded_variant(),), device_memory_bytes=7))
    found = series(metrics.render())
    assert found["modelserver_model_load_seconds", "full"] == pytest.approx(0.2)
    assert found["modelserver_warm_up_seconds", "full"] == pytest.approx(0.1)
    assert found["modelserver_device_memory_bytes",] == 12
    assert ["echo", "full"] in [list(key[1:3]) for key in found if key[0] == "modelserver_build_info"]


def test_tallied_histogram_counts_as_an_ordinary_one_does() -> None:
    registry = CollectorRegistry()
    histogram = TalliedHistogram("h", "h", ["v"], registry=registry, buckets=(1, 2, 4)).labels("x")
    histogram.pending += [0.5, 1.0, 1.5, 4.0, 9.0]
    histogram.flush()
    found = series(generate_latest(registry))
    assert [found["h_bucket", le, "x"] for le in ("1.0", "2.0", "4.0", "+Inf")] == [2, 3, 4, 5]
    assert found["h_sum", "x"] == 16.0


def test_tallied_counter_counts_what_is_pending_once() -> None:
    registry = CollectorRegistry()
    counter = TalliedCounter("c", "c", registry=registry)
    counter.pending += 3
    counter.flush()
    counter.flush()
    assert series(generate_latest(registry))["c_total",] == 3
