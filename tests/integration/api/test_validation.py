"""What the real API server accepts and refuses, and what it says: nothing here is judged by code of ours."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml
from kubernetes.client.exceptions import ApiException

from manifests import ABSENT, Manifest, model_deployment
from modelscaler.api.crd import root_schema
from modelscaler.workload import check_file

pytestmark = pytest.mark.integration

GROUP, VERSION, PLURAL = "modelscaler.dev", "v1alpha1", "modeldeployments"


def create(api: Any, manifest: Manifest) -> Manifest:
    """Create a ModelDeployment as a server-side dry run, unknown fields refused as kubectl does."""
    created: Manifest = api.create_namespaced_custom_object(
        GROUP, VERSION, "default", PLURAL, manifest, dry_run="All", field_validation="Strict"
    )
    return created


def refusal(api: Any, manifest: Manifest) -> str:
    """Return why the API server refuses a manifest."""
    with pytest.raises(ApiException) as caught:
        create(api, manifest)
    assert caught.value.status in (400, 422), caught.value
    return str(caught.value.body)


class Rule(NamedTuple):
    """A CEL rule by its message: changes it must accept, changes it must refuse, and the field it then names."""

    message: str
    accepted: dict[str, Any]
    refused: dict[str, Any]
    field: str


TOLERATIONS = "spec.placements.0.tolerations"

PARENTS, HOSTS = "spec.serving.gateway.parentRefs", "spec.serving.gateway.hostnames"

VOLUMES, MOUNTS = "spec.serving.volumes", "spec.serving.volumeMounts"

RULES = [
    Rule(
        "metadata.name must have at most 40 characters",
        {"metadata.name": "n" * 40},
        {"metadata.name": "n" * 41},
        "metadata.name",
    ),
    Rule(
        "metadata.name must be lower-case letters, digits and hyphens, starting with a letter",
        {"metadata.name": "ranker-2"},
        {"metadata.name": "2.ranker"},
        "got 2.ranker",
    ),
    Rule(
        "slo.minAccuracy must not be above the accuracy of every variant",
        {"spec.slo.minAccuracy": "0.91"},
        {"spec.slo.minAccuracy": "0.95"},
        "spec.slo.minAccuracy",
    ),
    Rule(
        "slo.minMeanAccuracy must not be above the accuracy of every variant",
        {"spec.slo.minMeanAccuracy": "0.91"},
        {"spec.slo.minMeanAccuracy": "0.95"},
        "spec.slo.minMeanAccuracy",
    ),
    Rule(
        "minMeanAccuracy must not be below minAccuracy",
        {"spec.slo.minAccuracy": "0.9", "spec.slo.minMeanAccuracy": "0.9"},
        {"spec.slo.minAccuracy": "0.9", "spec.slo.minMeanAccuracy": "0.89"},
        "spec.slo.minMeanAccuracy",
    ),
    Rule(
        "capacity[].placement must be a name from placements",
        {"spec.capacity": ABSENT, "spec.capacityProfile": {"configMapName": "measured"}},
        {"spec.capacity.0.placement": "gpu"},
        "spec.capacity",
    ),
    Rule(
        "capacity[].variant must be a name from variants",
        {"spec.capacity.0.variant": "int8"},
        {"spec.capacity.0.variant": "pruned"},
        "spec.capacity",
    ),
    Rule(
        "one of capacity or capacityProfile is required",
        {"spec.capacity": [], "spec.capacityProfile": {"configMapName": "measured"}},
        {"spec.capacity": []},
        "spec",
    ),
    Rule(
        "perRequestMilliseconds must be greater than 0",
        {"spec.capacity.0.perRequestMilliseconds": "0.000001"},
        {"spec.capacity.0.perRequestMilliseconds": "0.0"},
        "spec.capacity[0].perRequestMilliseconds",
    ),
    Rule(
        "minReplicas must not be greater than maxReplicas",
        {"spec.scaling": {"minReplicas": 3, "maxReplicas": 3}},
        {"spec.scaling": {"minReplicas": 4, "maxReplicas": 3}},
        "spec.scaling.minReplicas",
    ),
    Rule(
        "scaleToZero needs minReplicas 0",
        {"spec.scaling": {"minReplicas": 0, "scaleToZero": {"afterSeconds": 60}}},
        {"spec.scaling": {"scaleToZero": {"afterSeconds": 60}}},
        "spec.scaling.scaleToZero",
    ),
    Rule(
        "fallback.replicas must not be greater than maxReplicas",
        {"spec.scaling.fallback": {"replicas": 10}},
        {"spec.scaling.fallback": {"replicas": 11}},
        "spec.scaling.fallback.replicas",
    ),
    Rule(
        "minReplicas of a schedule must not be greater than maxReplicas",
        {"spec.scaling.schedules": [{"start": "0 8 * * *", "end": "0 18 * * *", "minReplicas": 10}]},
        {"spec.scaling.schedules": [{"start": "0 8 * * *", "end": "0 18 * * *", "minReplicas": 11}]},
        "spec.scaling.schedules",
    ),
    Rule(
        "quantile must be greater than 0 and less than 1",
        {"spec.scaling.forecast.quantile": "0.5"},
        {"spec.scaling.forecast.quantile": "0.00"},
        "spec.scaling.forecast.quantile",
    ),
    Rule(
        "timeZone, holidays and holidayCountry need a season of one day",
        {"spec.scaling.forecast": {"timeZone": "Europe/Berlin", "holidays": ["2026-12-25"], "holidayCountry": "DE"}},
        {"spec.scaling.forecast": {"timeZone": "Europe/Berlin", "seasonSeconds": 3600}},
        "spec.scaling.forecast.seasonSeconds",
    ),
    Rule(
        "value must be absent when operator is Exists",
        {TOLERATIONS: [{"operator": "Exists"}]},
        {TOLERATIONS: [{"operator": "Exists", "key": "gpu", "value": "a100"}]},
        "spec.placements[0].tolerations[0].value",
    ),
    Rule(
        "key is required unless operator is Exists",
        {TOLERATIONS: [{"key": "gpu", "value": "a100"}]},
        {TOLERATIONS: [{"value": "a100"}]},
        "spec.placements[0].tolerations[0]",
    ),
    Rule(
        "tolerationSeconds needs effect NoExecute",
        {TOLERATIONS: [{"key": "gpu", "effect": "NoExecute", "tolerationSeconds": 30}]},
        {TOLERATIONS: [{"key": "gpu", "effect": "NoSchedule", "tolerationSeconds": 30}]},
        "spec.placements[0].tolerations[0].tolerationSeconds",
    ),
    Rule(
        "a Gateway that parentRefs name more than once needs a sectionName each time",
        {
            PARENTS: [
                {"name": "a", "sectionName": "x"},
                {"name": "a", "sectionName": "y"},
                {"name": "a", "namespace": "b"},
            ]
        },
        {PARENTS: [{"name": "a"}, {"name": "a", "sectionName": "y"}]},
        "spec.serving.gateway.parentRefs",
    ),
    Rule(
        "a volume has exactly one of",
        {VOLUMES: [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}]},
        {VOLUMES: [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}, "emptyDir": {}}]},
        "spec.serving.volumes[0]",
    ),
    Rule(
        "volumes tmp and ladder are the operator's own",
        {VOLUMES: [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}]},
        {VOLUMES: [{"name": "ladder", "emptyDir": {}}]},
        "spec.serving.volumes[0].name",
    ),
    Rule(
        "volumeMounts[].name must be a name from volumes",
        {VOLUMES: [{"name": "a", "secret": {"secretName": "s"}}], MOUNTS: [{"name": "a", "mountPath": "/a"}]},
        {VOLUMES: [{"name": "a", "secret": {"secretName": "s"}}], MOUNTS: [{"name": "b", "mountPath": "/a"}]},
        "spec.serving.volumeMounts",
    ),
    Rule(
        "mountPath must not be one of the operator's own",
        {VOLUMES: [{"name": "a", "emptyDir": {}}], MOUNTS: [{"name": "a", "mountPath": "/models"}]},
        {VOLUMES: [{"name": "a", "emptyDir": {}}], MOUNTS: [{"name": "a", "mountPath": "/run/modelscaler"}]},
        "spec.serving.volumeMounts[0].mountPath",
    ),
    Rule(
        "hostnames must not name a host twice",
        {PARENTS: [{"name": "a"}], HOSTS: ["a.example", "*.example"]},
        {PARENTS: [{"name": "a"}], HOSTS: ["a.example", "a.example"]},
        "spec.serving.gateway.hostnames",
    ),
]


def rule_messages(schema: Any) -> Iterator[str]:
    """Yield the message of every CEL rule in a schema."""
    if isinstance(schema, dict):
        yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", []))
        for child in schema.values():
            yield from rule_messages(child)


def test_every_rule_of_the_schema_is_tried_here() -> None:
    untried = [m for m in rule_messages(root_schema()) if not any(m.startswith(rule.message) for rule in RULES)]

    assert untried == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.message)
def test_rule_accepts_when_it_holds(model_deployments: Any, rule: Rule) -> None:
    assert create(model_deployments, model_deployment(rule.accepted))["kind"] == "ModelDeployment"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.message)
def test_validate_refuses_what_the_server_does(rule: Rule) -> None:
    assert check_file(yaml.safe_dump(model_deployment(rule.refused)), "file") != []
    assert check_file(yaml.safe_dump(model_deployment(rule.accepted)), "file") == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.message)
def test_rule_refuses_naming_field_and_expectation_when_broken(model_deployments: Any, rule: Rule) -> None:
    why = refusal(model_deployments, model_deployment(rule.refused))

    assert rule.message in why
    assert rule.field in why


CPU = {"name": "cpu", "hourlyCost": "0.2"}

BAD_INPUT = {
    "an unknown field in spec": ({"spec.replicas": 3}, 'unknown field \\"spec.replicas\\"'),
    "an unknown field deep down": (
        {"spec.placements.0.hourlyPrice": "1"}, 'unknown field \\"spec.placements[0].hourlyPrice\\"',
    ),
    "no model": ({"spec.model": ABSENT}, "spec.model: Required value"),
    "a model without a scheme": ({"spec.model.uri": "search-ranker"}, "spec.model.uri: Invalid value"),
    "a model where the server cannot look": ({"spec.model.uri": "s3://bucket/ranker"}, "spec.model.uri: Invalid value"),
    "no variants": ({"spec.variants": []}, "spec.variants: Invalid value"),
    "no placements": ({"spec.placements": ABSENT}, "spec.placements: Required value"),
    "an empty list of placements": ({"spec.placements": []}, "spec.placements: Invalid value"),
    "more placements than the planner enumerates": (
        {"spec.placements": [{"name": f"p{i}", "hourlyCost": "1"} for i in range(9)]},
        "spec.placements: Too many: 9: must have at most 8 items",
    ),
    "two placements of one name": ({"spec.placements.1": CPU}, 'spec.placements[1]: Duplicate value: {\\"name\\":\\"cpu\\"}'),
    "two variants of one name": (
        {"spec.variants.1.name": "full"}, 'spec.variants[1]: Duplicate value: {\\"name\\":\\"full\\"}',
    ),
    "a percentile of 0": ({"spec.slo.latency.percentile": 0}, "spec.slo.latency.percentile: Invalid value: 0"),
    "a percentile of 100": ({"spec.slo.latency.percentile": 100}, "spec.slo.latency.percentile: Invalid value: 100"),
    "no latency target": (
        {"spec.slo.latency.targetMilliseconds": ABSENT}, "spec.slo.latency.targetMilliseconds: Required value",
    ),
    "a negative cost": ({"spec.placements.0.hourlyCost": "-1"}, 'spec.placements[0].hourlyCost: Invalid value: \\"-1\\"'),
    "a cost that is a number": ({"spec.placements.0.hourlyCost": 0.2}, "hourlyCost in body must be of type string"),
    "a negative budget": ({"spec.scaling.maxHourlyCost": "-1"}, 'spec.scaling.maxHourlyCost: Invalid value: \\"-1\\"'),
    "an accuracy in percent": ({"spec.variants.0.accuracy": "91"}, 'spec.variants[0].accuracy: Invalid value: \\"91\\"'),
    "fewer than no replicas": ({"spec.scaling.minReplicas": -1}, "spec.scaling.minReplicas: Invalid value: -1"),
    "a mode in lower case": ({"spec.scaling.mode": "auto"}, 'supported values: \\"Auto\\", \\"Recommend\\"'),
    "a reflex that is on": ({"spec.scaling.reflex": "On"}, 'supported values: \\"Auto\\", \\"Off\\"'),
    "a mean accuracy in percent": (
        {"spec.slo.minMeanAccuracy": "90"}, 'spec.slo.minMeanAccuracy: Invalid value: \\"90\\"',
    ),
    "a negative quantity": (
        {"spec.placements.0.resources.limits": {"cpu": -1}}, "spec.placements[0].resources.limits.cpu: Invalid value: -1",
    ),
    "a quantity with a unit of its own": (
        {"spec.placements.0.resources.limits": {"memory": "2 GB"}}, "spec.placements[0].resources.limits.memory: Invalid",
    ),
    "a gateway without a name": ({PARENTS: []}, "spec.serving.gateway.parentRefs: Invalid"),
    "a host that is an address with a port": (
        {PARENTS: [{"name": "a"}], HOSTS: ["a.example:80"]}, "spec.serving.gateway.hostnames[0]: Invalid value",
    ),
    "a variant with a hyphen": ({"spec.variants.1.name": "int-8"}, 'spec.variants[1].name: Invalid value: \\"int-8\\"'),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "why"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_refused_naming_the_field_and_the_value(
    model_deployments: Any, changes: dict[str, Any], why: str
) -> None:
    assert why in refusal(model_deployments, model_deployment(changes))


def test_defaults_are_filled_in_by_the_server_when_left_out(model_deployments: Any) -> None:
    spec = create(model_deployments, model_deployment())["spec"]

    assert spec["slo"] == {"latency": {"percentile": 99, "targetMilliseconds": 200}, "minAccuracy": "0"}
    assert spec["scaling"] == {
        "mode": "Auto",
        "reflex": "Auto",
        "selfTuning": "Auto",
        "capacityRefinement": "Auto",
        "minReplicas": 1,
        "maxReplicas": 10,
        "behavior": {"scaleUp": {"selectPolicy": "Max"}, "scaleDown": {"selectPolicy": "Max"}},
        "forecast": {
            "lookbackSeconds": 1209600,
            "seasonSeconds": 86400,
            "model": "Auto",
            "timeZone": "UTC",
        },
    }
    assert spec["serving"] == {"terminationGracePeriodSeconds": 60, "startDeadlineSeconds": 600}
    assert spec["placements"][0]["startSeconds"] == 60


def test_defaults_are_filled_in_around_what_is_given(model_deployments: Any) -> None:
    spec = create(model_deployments, model_deployment({"spec.scaling.forecast": {"quantile": "0.5"}}))["spec"]

    assert spec["scaling"]["forecast"] == {
        "quantile": "0.5", "lookbackSeconds": 1209600, "seasonSeconds": 86400, "model": "Auto", "timeZone": "UTC",
    }  # fmt: skip
    assert spec["scaling"]["maxReplicas"] == 10


def test_quantities_may_be_written_as_integers_like_in_a_pod(model_deployments: Any) -> None:
    resources = {"requests": {"cpu": 1, "memory": "512Mi"}, "limits": {"nvidia.com/gpu": 1}}

    created = create(model_deployments, model_deployment({"spec.placements.0.resources": resources}))

    assert created["spec"]["placements"][0]["resources"] == resources
