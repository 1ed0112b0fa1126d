from datetime import date
from typing import Any

import pytest
import yaml

from modelscaler.domain import (
    DirectionRules,
    FallbackRule,
    Idling,
    Objective,
    PlacementOption,
    PolicySettings,
    PoolKey,
    RateLimit,
    Schedule,
    WorkloadKey,
)
from modelscaler.workload import InvalidSpec, check_file, forecast_settings, parse_profile, workload_from
from resources import model_deployment

GPU = {
    "name": "gpu",
    "hourlyCost": "1.5",
    "maxReplicas": 4,
    "startSeconds": 90,
    "accelerator": {"resourceName": "nvidia.com/gpu"},
}


def profile_of(*entries: tuple[str, str, str]) -> Any:
    rows = [f'{{"placement": "{p}", "variant": "{v}", "perRequestMilliseconds": "{ms}"}}' for p, v, ms in entries]
    return parse_profile(f'{{"entries": [{", ".join(rows)}]}}')


def test_every_figure_has_its_unit_converted_when_a_workload_is_made() -> None:
    made = workload_from(model_deployment({"spec.placements.1": GPU, "spec.slo.minAccuracy": "0.85"}), None)
    assert made.key == WorkloadKey("default", "ranker")
    assert made.generation == 3
    assert made.objective == Objective(percentile=0.99, latency_seconds=0.2, min_accuracy=0.85)
    assert made.placements[1] == PlacementOption("gpu", 1.5, 90.0, max_replicas=4, accelerator="nvidia.com/gpu")
    assert made.capacities[0].per_request_seconds == pytest.approx(0.008)
    assert made.capacities[0].source == "Spec"
    assert made.max_hourly_cost is None


def test_behaviour_is_the_horizontal_autoscaler_s_when_the_spec_says_nothing() -> None:
    made = workload_from(model_deployment(), None)
    assert made.scale_up == DirectionRules(stabilization_seconds=0.0)
    assert made.scale_down == DirectionRules(stabilization_seconds=300.0)
    assert made.fallback is None


def test_behaviour_is_the_spec_s_when_it_says_so() -> None:
    rules = {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
        "selectPolicy": "Min",
    }
    changes = {"spec.scaling.behavior.scaleDown": rules, "spec.scaling.fallback": {"replicas": 4}}
    made = workload_from(model_deployment(changes), None)
    assert made.scale_down == DirectionRules(0.0, (RateLimit("Percent", 50, 60.0),), "Min")
    assert made.fallback == FallbackRule(failure_threshold=3, replicas=4)


@pytest.mark.parametrize(
    ("scaling", "idling"),
    [
        ({}, None),
        ({"minReplicas": 2}, None),
        ({"minReplicas": 0}, Idling(300.0, 600.0, 1000)),
        ({"minReplicas": 0, "scaleToZero": {"afterSeconds": 45}}, Idling(45.0, 600.0, 1000)),
        ({"minReplicas": 0, "scaleToZero": {"holdSeconds": 60, "maxHeldRequests": 7}}, Idling(300.0, 60.0, 7)),
    ],
)
def test_zero_is_a_time_without_requests_and_no_size(scaling: dict[str, Any], idling: Idling | None) -> None:
    made = workload_from(model_deployment({"spec.scaling": scaling}), None)
    assert made.idling == idling
    assert made.min_replicas == max(scaling.get("minReplicas", 1), 1)


@pytest.mark.parametrize(
    ("scaling", "stated", "kept"),
    [
        ({}, set(), PolicySettings(0.99, 0.5, 0.1, "Forecast", 60.0)),
        ({"forecast": {"quantile": "0.8"}}, {"quantile"}, PolicySettings(None, 0.5, 0.1, "Forecast", 60.0)),
        (
            {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}}},
            {"scale_down_seconds"},
            PolicySettings(0.99, 0.5, 0.1, "Forecast", None),
        ),
    ],
)
def test_what_the_spec_states_wins_over_what_is_tuned(
    scaling: dict[str, Any], stated: set[str], kept: PolicySettings
) -> None:
    found = workload_from(model_deployment({"spec.scaling": scaling}), None)
    assert found.stated == stated
    assert PolicySettings(0.99, 0.5, 0.1, "Forecast", 60.0).within(found.stated) == kept


def test_schedules_are_the_spec_s() -> None:
    office = {"start": "0 8 * * MON-FRI", "end": "0 18 * * MON-FRI", "minReplicas": 3, "timeZone": "Europe/Berlin"}
    made = workload_from(model_deployment({"spec.scaling.schedules": [office]}), None)
    assert made.schedules == (Schedule("0 8 * * MON-FRI", "0 18 * * MON-FRI", "Europe/Berlin", 3),)
    assert workload_from(model_deployment(), None).schedules == ()


def test_the_clock_of_the_load_is_the_spec_s() -> None:
    clock = {"timeZone": "Europe/Berlin", "holidays": ["2026-12-25"], "holidayCountry": "DE", "model": "Boosted"}
    made = workload_from(model_deployment({"spec.scaling.forecast": clock}), None).forecast
    assert (made.time_zone, made.holidays, made.holiday_country) == ("Europe/Berlin", (date(2026, 12, 25),), "DE")
    assert made.model == "Boosted"


def test_a_clock_that_there_is_none_of_is_left_out_when_the_spec_is_refused() -> None:
    clock = {"timeZone": "Europe/Atlantis", "holidays": ["2026-02-30"], "holidayCountry": "XX"}
    made = forecast_settings(model_deployment({"spec.scaling.forecast": clock}).spec.scaling)
    assert (made.time_zone, made.holidays, made.holiday_country) == ("UTC", (), None)


def test_entries_of_the_spec_win_and_unknown_pairs_are_passed_over_when_a_profile_is_shared() -> None:
    profile = profile_of(("cpu", "full", "99"), ("cpu", "int8", "4"), ("tpu", "full", "1"), ("cpu", "tiny", "1"))
    made = workload_from(model_deployment(), profile)
    assert [(c.pool, c.source) for c in made.capacities] == [
        (PoolKey("cpu", "full"), "Spec"),
        (PoolKey("cpu", "int8"), "Profile"),
    ]
    assert [c.per_request_seconds for c in made.capacities] == pytest.approx([0.008, 0.004])


def test_doubt_of_a_speed_is_kept_where_it_is_stated() -> None:
    doubted = [entry.model_copy(update={"relative_error": "0.06"}) for entry in profile_of(("cpu", "int8", "4"))]
    made = workload_from(model_deployment(), tuple(doubted))
    assert [(c.pool.variant, c.relative_error) for c in made.capacities] == [("full", None), ("int8", 0.06)]


def test_profile_is_refused_when_no_pair_of_the_spec_is_in_it() -> None:
    resource = model_deployment({"spec.capacity": [], "spec.capacityProfile": {"configMapName": "speeds"}})
    with pytest.raises(InvalidSpec, match=r"spec.capacity: missing, expected an entry for a variant"):
        workload_from(resource, profile_of(("tpu", "full", "1")))


def test_profile_is_refused_when_a_replica_would_need_no_time() -> None:
    with pytest.raises(
        InvalidSpec, match=r"profile.json.entries\[0\].perRequestMilliseconds: got '0', expected more than 0"
    ):
        workload_from(model_deployment(), profile_of(("cpu", "full", "0")))


def test_modes_are_carried_over_when_set() -> None:
    changes = {"spec.scaling.mode": "Recommend", "metadata.annotations": {"modelscaler.dev/paused": "true"}}
    made = workload_from(model_deployment(changes), None)
    assert made.recommend_only
    assert made.paused


def test_pair_answers_bursts_only_when_the_spec_says_so() -> None:
    entry = {"placement": "cpu", "variant": "int8", "perRequestMilliseconds": "4", "reflexOnly": True}
    made = workload_from(model_deployment({"spec.capacity.1": entry}), None)
    assert [(c.pool.variant, c.reflex_only) for c in made.capacities] == [("full", False), ("int8", True)]


def test_spec_is_refused_when_all_its_pairs_answer_bursts_only() -> None:
    resource = model_deployment({"spec.capacity.0.reflexOnly": True})
    with pytest.raises(InvalidSpec, match=r"spec.capacity: missing, expected an entry for a variant"):
        workload_from(resource, None)


def test_reflex_is_on_without_a_mean_of_its_own_when_the_spec_says_nothing() -> None:
    made = workload_from(model_deployment(), None)
    assert made.reflex
    assert made.objective.min_mean_accuracy is None


def test_reflex_and_mean_accuracy_are_the_spec_s_when_it_says_so() -> None:
    made = workload_from(model_deployment({"spec.scaling.reflex": "Off", "spec.slo.minMeanAccuracy": "0.905"}), None)
    assert not made.reflex
    assert made.objective.min_mean_accuracy == 0.905


GOOD = """
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: modelscaler.dev/v1alpha1
kind: ModelDeployment
metadata: {name: ranker}
spec:
  model: {uri: "builtin://search-ranker"}
  variants: [{name: full, accuracy: "0.91"}]
  placements: [{name: cpu, hourlyCost: "0.2"}]
  slo: {latency: {targetMilliseconds: 200}}
  capacity: [{placement: cpu, variant: full, perRequestMilliseconds: "8"}]
"""


def as_list(text: str) -> str:
    """Return documents as `kubectl get -o yaml` prints several."""
    return yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": list(yaml.safe_load_all(text))})


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [("modelscaler.dev/v1alpha1", "Modeldeployment"), ("modelscaler.io/v1alpha1", "ModelDeployment")],
)
def test_object_that_is_nearly_a_modeldeployment_is_told_of(api_version: str, kind: str) -> None:
    text = f"apiVersion: {api_version}\nkind: {kind}\n"
    (complaint,) = check_file(text, "ranker.yaml")
    assert f"got {api_version} {kind}, expected modelscaler.dev/v1alpha1 ModelDeployment" in complaint


@pytest.mark.parametrize("text", [GOOD, as_list(GOOD), "kind: List\nitems: 7\n", "7", ""])
def test_file_is_fine_when_its_modeldeployments_are(text: str) -> None:
    assert check_file(text, "ranker.yaml") == []


def test_every_problem_is_listed_when_a_file_has_several() -> None:
    text = GOOD.replace('"0.91"', '"1.91"').replace('"0.2"', '"-1"')
    complaints = check_file(text, "ranker.yaml")
    assert len(complaints) == 2
    assert complaints[0].startswith(
        "ranker.yaml: ModelDeployment ranker: spec.variants[0].accuracy: got '1.91', expected"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "no YAML"),
        (GOOD.replace("variant: full", "variant: tiny"), "a name from spec.variants (full)"),
        (GOOD.replace("metadata: {name: ranker}", "metadata: 7"), "ModelDeployment without a name: metadata: got 7"),
        (GOOD.replace("v1alpha1", "v1"), "apiVersion: got 'modelscaler.dev/v1', expected modelscaler.dev/v1alpha1"),
        (as_list(GOOD.replace('"0.2"', '"-1"')), "spec.placements[0].hourlyCost: got '-1'"),
        (GOOD.split("spec:", maxsplit=1)[0], "spec.model: missing"),
        (GOOD.split("spec:", maxsplit=1)[0] + "spec: none\n", "spec: got 'none'"),
    ],
)
def test_problem_is_told_when_a_file_is_broken(text: str, said: str) -> None:
    assert said in "\n".join(check_file(text, "ranker.yaml"))
