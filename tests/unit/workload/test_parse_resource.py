from typing import Any

import pytest

import manifests
from modelscaler.workload import InvalidSpec, parse_profile, parse_resource, parse_status, workload_from
from resources import model_deployment

CAPACITY_PATH = "spec.capacity.0"


def problem(changes: dict[str, Any]) -> InvalidSpec:
    with pytest.raises(InvalidSpec) as refusal:
        workload_from(model_deployment(changes), None)
    return refusal.value


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"spec.slo.latency.percentile": 0}, "spec.slo.latency.percentile"),
        ({"spec.slo.latency.targetMilliseconds": manifests.ABSENT}, "spec.slo.latency.targetMilliseconds"),
        ({"spec.placements.0.hourlyCost": "-1"}, "spec.placements[0].hourlyCost"),
        ({"spec.placements.0.hourlyCost": 0.2}, "spec.placements[0].hourlyCost"),
        ({"spec.placements": []}, "spec.placements"),
        ({"spec.variants.1.name": "Int_8"}, "spec.variants[1].name"),
        ({"spec.variants.0.accuracy": "1.2"}, "spec.variants[0].accuracy"),
        ({"spec.scaling.minReplica": 2}, "spec.scaling.minReplica"),
        ({"spec.scaling.minReplicas": -1}, "spec.scaling.minReplicas"),
        ({"spec.scaling.scaleToZero": {"afterSeconds": 29}}, "spec.scaling.scaleToZero.afterSeconds"),
        ({"spec.scaling.scaleToZero": {"holdSeconds": 0}}, "spec.scaling.scaleToZero.holdSeconds"),
        ({"spec.scaling.scaleToZero": {"maxHeldRequests": 10_001}}, "spec.scaling.scaleToZero.maxHeldRequests"),
        ({"spec.scaling.mode": "Manual"}, "spec.scaling.mode"),
        ({"spec.scaling.forecast.model": "Prophet"}, "spec.scaling.forecast.model"),
        ({"spec.scaling.forecast.timeZone": "two o'clock"}, "spec.scaling.forecast.timeZone"),
        ({"spec.scaling.forecast.holidays": ["25.12.2026"]}, "spec.scaling.forecast.holidays[0]"),
        (
            {"spec.scaling.schedules": [{"start": "at noon", "end": "0 1 * * *", "minReplicas": 2}]},
            "spec.scaling.schedules[0].start",
        ),
        (
            {"spec.scaling.schedules": [{"start": "0 0 * * *", "end": "0 1 * * *"}]},
            "spec.scaling.schedules[0].minReplicas",
        ),
        ({"spec.scaling.forecast.holidays": ["2026-12-25"] * 367}, "spec.scaling.forecast.holidays"),
        ({"spec.scaling.forecast.holidayCountry": "Germany"}, "spec.scaling.forecast.holidayCountry"),
        ({"spec.model": "ranker"}, "spec.model"),
        ({"spec.placements.0.resources.requests": {"c p u": "1"}}, "spec.placements[0].resources.requests.c p u"),
        ({"spec.model.uri": "ranker"}, "spec.model.uri"),
    ],
)
def test_field_is_named_when_its_value_breaks_the_schema(changes: dict[str, Any], field: str) -> None:
    assert problem(changes).field == field


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"spec.slo.minAccuracy": "0.95"},
            "spec.slo.minAccuracy: got '0.95', expected at most the accuracy of the best",
        ),
        (
            {"spec.scaling.minReplicas": 5, "spec.scaling.maxReplicas": 3},
            "spec.scaling.minReplicas: got 5, expected at most spec.scaling.maxReplicas (3)",
        ),
        (
            {"spec.scaling.minReplicas": 1, "spec.scaling.scaleToZero": {"afterSeconds": 60}},
            "spec.scaling.scaleToZero: got 'given', expected absent, or spec.scaling.minReplicas 0",
        ),
        (
            {"spec.scaling.scaleToZero": {}},
            "spec.scaling.scaleToZero: got 'given', expected absent, or spec.scaling.minReplicas 0",
        ),
        (
            {
                "spec.scaling": {"minReplicas": 0, "scaleToZero": {"holdSeconds": 5}},
                "spec.placements.0.startSeconds": 90,
            },
            "spec.scaling.scaleToZero.holdSeconds: got 5, expected at least the longest startSeconds of the placements (90)",
        ),
        (
            {"spec.scaling.maxReplicas": 3, "spec.scaling.fallback": {"replicas": 4}},
            "spec.scaling.fallback.replicas: got 4, expected at most spec.scaling.maxReplicas (3)",
        ),
        (
            {"spec.serving.gateway": {"parentRefs": [{"name": "a", "sectionName": "x"}, {"name": "a"}]}},
            "spec.serving.gateway.parentRefs[1].sectionName: missing, expected a sectionName of its own",
        ),
        (
            {"spec.serving.gateway": {"parentRefs": [{"name": "a"}], "hostnames": ["a.example", "a.example"]}},
            "spec.serving.gateway.hostnames[1]: got 'a.example', expected a host that is named once",
        ),
        ({"spec.variants.1.name": "full"}, "spec.variants[1].name: got 'full', expected a name that is used once"),
        (
            {"spec.placements.1": {"name": "cpu", "hourlyCost": "1"}},
            "spec.placements[1].name: got 'cpu', expected a name that is used once",
        ),
        ({f"{CAPACITY_PATH}.placement": "gpu"}, "spec.capacity[0].placement: got 'gpu', expected a name from"),
        ({f"{CAPACITY_PATH}.variant": "tiny"}, "spec.capacity[0].variant: got 'tiny', expected a name from"),
        (
            {f"{CAPACITY_PATH}.perRequestMilliseconds": "0.0"},
            "spec.capacity[0].perRequestMilliseconds: got '0.0', expected more than 0",
        ),
        ({"spec.capacity": []}, "spec.capacity: missing, expected one entry at least, or spec.capacityProfile"),
        (
            {f"{CAPACITY_PATH}.variant": "int8", "spec.slo.minAccuracy": "0.905"},
            "spec.capacity: got 'cpu-int8', expected an entry for a variant that reaches slo.minAccuracy 0.905 (full)",
        ),
        (
            {"spec.slo.minMeanAccuracy": "0.95"},
            "spec.slo.minMeanAccuracy: got '0.95', expected at most the accuracy of the best variant (full: 0.91)",
        ),
        (
            {"spec.slo.minAccuracy": "0.9", "spec.slo.minMeanAccuracy": "0.89"},
            "spec.slo.minMeanAccuracy: got '0.89', expected at least spec.slo.minAccuracy (0.9)",
        ),
        (
            {"spec.scaling.forecast": {"quantile": "0.000"}},
            "spec.scaling.forecast.quantile: got '0.000', expected more",
        ),
        (
            {"spec.scaling.forecast.timeZone": "Europe/Atlantis"},
            "spec.scaling.forecast.timeZone: got 'Europe/Atlantis', expected an IANA name",
        ),
        (
            {"spec.scaling.schedules": [{"start": "0 0 31 2 *", "end": "0 1 * * *", "minReplicas": 2}]},
            "spec.scaling.schedules[0].start: got '0 0 31 2 *', expected a cron expression that names a time",
        ),
        (
            {"spec.scaling.schedules": [{"start": "0 0 * * *", "end": "0 1 * * *", "minReplicas": 99}]},
            "spec.scaling.schedules[0].minReplicas: got 99, expected at most spec.scaling.maxReplicas",
        ),
        (
            {
                "spec.scaling.schedules": [
                    {"start": "0 0 * * *", "end": "0 1 * * *", "minReplicas": 2, "timeZone": "Europe/Atlantis"}
                ]
            },
            "spec.scaling.schedules[0].timeZone: got 'Europe/Atlantis', expected an IANA name",
        ),
        (
            {"spec.scaling.forecast.holidays": ["2026-12-25", "2026-02-30"]},
            "spec.scaling.forecast.holidays[1]: got '2026-02-30', expected a date",
        ),
        (
            {"spec.scaling.forecast.holidayCountry": "XX"},
            "spec.scaling.forecast.holidayCountry: got 'XX', expected the ISO 3166 code of a country",
        ),
        (
            {"spec.scaling.forecast": {"seasonSeconds": 3600, "timeZone": "Asia/Tokyo"}},
            "spec.scaling.forecast.seasonSeconds: got 3600, expected 86400",
        ),
        ({"spec.serving.env": [{"name": "POD_IP"}]}, "spec.serving.env[0].name: got 'POD_IP', expected another name"),
        (
            {"spec.serving.env": [{"name": "A"}, {"name": "A"}]},
            "spec.serving.env[1].name: got 'A', expected a name that",
        ),
        ({"metadata.name": "7days"}, "metadata.name: got '7days', expected at most 40 lower-case letters"),
        ({"metadata.name": "a.b"}, "metadata.name: got 'a.b', expected"),
        ({"metadata.name": "a" * 64}, "metadata.name: got 'aaa"),
    ],
)
def test_field_value_and_expectation_are_told_when_a_rule_between_fields_breaks(
    changes: dict[str, Any], said: str
) -> None:
    assert said in str(problem(changes))


def test_capacity_is_refused_when_a_pair_comes_twice() -> None:
    entry = {"placement": "cpu", "variant": "full", "perRequestMilliseconds": "9"}
    assert problem({"spec.capacity.1": entry}).field == "spec.capacity[1].placement-variant"


def test_resource_is_read_with_a_lenient_status_when_the_status_is_from_another_version() -> None:
    body = manifests.model_deployment({"status": {"observedGeneration": 4, "phase": "Running", "load": {"queued": -1}}})
    status = parse_resource(body).status
    assert status.observed_generation == 4
    assert status.load is None


@pytest.mark.parametrize("body", [None, {}, [], "broken", {"conditions": "none"}, {"active": {}, "policy": 3}, {1: 2}])
def test_status_is_empty_when_nothing_in_it_can_be_read(body: Any) -> None:
    assert parse_status(body) == parse_status({})


def test_message_is_short_when_the_value_is_long() -> None:
    assert len(str(problem({"spec.model.uri": "x" * 100_000}))) < 400


PROFILE = '{"entries": [{"placement": "gpu", "variant": "full", "perRequestMilliseconds": "1.5", "maxBatch": 8}]}'


def test_profile_is_read_when_it_has_the_stored_form() -> None:
    (entry,) = parse_profile(PROFILE)
    assert (entry.placement, entry.variant, entry.per_request_milliseconds, entry.max_batch) == (
        "gpu",
        "full",
        "1.5",
        8,
    )


@pytest.mark.parametrize("written", ["1.5", '"1.5"', "3", '"3"'])
def test_profile_takes_numbers_when_they_are_not_quoted(written: str) -> None:
    (entry,) = parse_profile(PROFILE.replace('"1.5"', written))
    assert entry.per_request_milliseconds == written.strip('"')


@pytest.mark.parametrize("written", ["0.06", '"0.06"', "0", "1", '"1.0000"'])
def test_profile_says_how_far_it_may_be_off_when_that_is_stored(written: str) -> None:
    (entry,) = parse_profile(PROFILE.replace('"maxBatch"', f'"relativeError": {written}, "maxBatch"'))
    assert entry.relative_error == written.strip('"')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected JSON of the form"),
        ("[" * 100_000, "expected JSON of the form"),
        ("[]", "profile.json: got []"),
        ("{}", "profile.json.entries: missing"),
        ('{"entries": 7}', "profile.json.entries: got 7"),
        (PROFILE.replace('"1.5"', "1e3"), "profile.json.entries[0].perRequestMilliseconds: got '1e3'"),
        (PROFILE.replace('"1.5"', "NaN"), "perRequestMilliseconds: got nan"),
        (PROFILE.replace('"1.5"', "9" * 5000), "perRequestMilliseconds: got '999"),
        (PROFILE.replace('"maxBatch"', '"relativeError": 1.2, "maxBatch"'), "relativeError: got '1.2'"),
        (PROFILE.replace('"maxBatch": 8', '"maxBatch": 0'), "profile.json.entries[0].maxBatch: got 0"),
        (PROFILE.replace("{", "{" + " " * 300_000, 1), "expected at most 262144 bytes"),
    ],
)
def test_profile_is_refused_with_the_field_when_it_is_garbage(text: str, said: str) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        parse_profile(text)
    assert said in str(refusal.value)
