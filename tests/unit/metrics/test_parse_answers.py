import math
from typing import Any

import pytest

from modelscaler.domain import SourceError, WorkloadKey
from modelscaler.metrics.parse import Sample, by_labels, histograms, samples

RANKER = WorkloadKey("shop", "ranker")
LABELS = {"modeldeployment_namespace": "shop", "modeldeployment": "ranker"}


def series(value: Any, **labels: str) -> dict[str, Any]:
    return {"metric": {**LABELS, **labels}, "value": value}


def test_sample_is_read_when_the_answer_is_prometheus_s() -> None:
    assert samples([series([1700000000.5, "12.5"])], "offered load") == {RANKER: Sample(12.5, 1700000000.5)}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1.0, "NaN"], "got nan"),
        ([1.0, "+Inf"], "got inf"),
        ([1.0, "-Inf"], "got -inf"),
        ([1.0, "-3"], "got -3"),
        ([1.0, "many"], "got 'many', expected a number"),
        ([1.0, None], "got None, expected a number"),
        ([1.0], "got [1.0], expected a time and a number"),
        ("7", "got '7', expected a time and a number"),
        (None, "got None, expected a time and a number"),
        ([1.0, 10**400], "got 1000000000"),
        ([10**400, "1"], "got 1000000000"),
        ([float("nan"), "1"], "got the time nan, expected a finite one"),
        ([float("inf"), "1"], "got the time inf, expected a finite one"),
    ],
)
def test_only_its_own_reading_fails_when_a_number_is_bad(value: Any, said: str) -> None:
    other = {"metric": {**LABELS, "modeldeployment": "other"}, "value": [1.0, "2"]}
    found = samples([series(value), other], "offered load")
    assert isinstance(found, dict)
    error = found[RANKER]
    assert isinstance(error, SourceError)
    assert error.message.startswith(f"offered load of shop/ranker: {said}")
    assert found[WorkloadKey("shop", "other")] == Sample(2.0, 1.0)


def test_reading_fails_when_a_modeldeployment_comes_twice() -> None:
    found = samples([series([1.0, "1"]), series([1.0, "2"])], "offered load")
    assert found == {RANKER: SourceError("offered load of shop/ranker: two series, expected one")}


@pytest.mark.parametrize("answer", [None, {}, "x", [1], [{"value": [1.0, "2"]}], [{"metric": "ranker"}], [[]]])
def test_whole_answer_fails_when_its_shape_is_not_prometheus_s(answer: Any) -> None:
    found = samples(answer, "offered load")
    assert isinstance(found, SourceError)
    assert "expected a" in found.message


def test_series_of_others_are_passed_over_when_they_lack_our_labels() -> None:
    assert (
        samples([{"metric": {}, "value": [1.0, "2"]}, {"metric": {"modeldeployment": 3}, "value": [1, "1"]}], "q") == {}
    )


def test_message_is_short_when_the_garbage_is_long() -> None:
    found = samples("x" * 100_000, "offered load")
    assert isinstance(found, SourceError)
    assert len(found.message) < 200


def test_bounds_are_added_up_when_they_differ_only_in_writing() -> None:
    answer = [series([1.0, "2"], le="1"), series([1.0, "3"], le="1.0"), series([1.0, "9"], le="+Inf")]
    assert histograms(answer, "request latency") == {RANKER: ((1.0, 5.0), (float("inf"), 9.0))}


@pytest.mark.parametrize("labels", [{}, {"le": "wide"}, {"le": "NaN"}])
def test_histogram_fails_when_a_bound_is_bad(labels: dict[str, str]) -> None:
    found = histograms([series([1.0, "9"], le="+Inf"), series([1.0, "2"], **labels)], "request latency")
    assert isinstance(found, dict)
    assert isinstance(found[RANKER], SourceError)


def test_histogram_fails_when_a_rate_is_nan() -> None:
    found = histograms([series([1.0, "NaN"], le="1"), series([1.0, "2"], le="+Inf")], "request latency")
    assert isinstance(found, dict)
    assert isinstance(found[RANKER], SourceError)


def test_histograms_fail_together_when_the_answer_is_no_list() -> None:
    assert isinstance(histograms({"result": []}, "request latency"), SourceError)


def test_rates_are_read_per_variant_when_several_answer() -> None:
    answer = [series([1.0, "30"], pool="gpu-full", variant=variant) for variant in ("full", "int8")]
    assert by_labels(answer, "rows served", "pool", "variant") == {
        RANKER: {("gpu-full", "full"): 30.0, ("gpu-full", "int8"): 30.0}
    }


def test_who_answers_is_not_known_of_a_modeldeployment_when_one_of_its_rates_is_bad() -> None:
    other = {"metric": {**LABELS, "modeldeployment": "other", "pool": "p-v", "variant": "full"}, "value": [1.0, "2"]}
    found = by_labels(
        [series([1.0, "3"], variant="full"), series([1.0, "NaN"], variant="int8"), other],
        "rows served",
        "pool",
        "variant",
    )
    assert isinstance(found, dict)
    assert isinstance(found[RANKER], SourceError)
    assert found[WorkloadKey("shop", "other")] == {("p-v", "full"): 2.0}
    assert isinstance(by_labels("garbage", "rows served", "pool", "variant"), SourceError)


def test_what_may_be_overdrawn_may_be_negative() -> None:
    overdrawn = [series([1.0, "-2.5"], pool="cpu-full")]
    assert by_labels(overdrawn, "budgets", "pool", least=-math.inf) == {RANKER: {("cpu-full",): -2.5}}
    refused = by_labels(overdrawn, "budgets", "pool")
    assert isinstance(refused, dict)
    assert isinstance(refused[RANKER], SourceError)
    infinite = by_labels([series([1.0, "-Inf"], pool="cpu-full")], "budgets", "pool", least=-math.inf)
    assert isinstance(infinite, dict)
    assert isinstance(infinite[RANKER], SourceError)
