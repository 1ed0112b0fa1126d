import json
from typing import Any

import pytest

from modelscaler.api.v1alpha1 import CapacityEntry, ModelDeployment
from modelscaler.domain import PolicyState, PoolKey, PoolTarget, Step, Workload
from modelscaler.render import (
    TEMPLATE_DIGEST_ANNOTATION,
    RenderDefaults,
    Rendering,
    Scale,
    digest,
    pool_name,
    pool_names,
    render,
)
from modelscaler.workload import workload_from
from resources import UID, model_deployment

CPU, GPU = PoolKey("cpu", "full"), PoolKey("gpu", "int8")
DEFAULTS = RenderDefaults(server_image="modelserver:0.1.0")
FASTEST = {"placement": "p" * 20, "variant": "v" * 20, "perRequestMilliseconds": "1"}
GPU_PLACEMENT = {
    "name": "gpu",
    "hourlyCost": "1",
    "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": 4}},
    "accelerator": {"resourceName": "nvidia.com/gpu", "count": 2},
    "nodeSelector": {"pool": "gpu"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "runtimeClassName": "nvidia",
}


def rendering(resource: ModelDeployment, *pools: PoolTarget, serving: PoolKey | None = None) -> Rendering:
    return render(resource, workload_of(resource), Step(pools, serving, PolicyState()), DEFAULTS)


def workload_of(resource: ModelDeployment) -> Workload:
    profile = None if resource.spec.capacity else (CapacityEntry.model_validate(FASTEST),)
    return workload_from(resource, profile)


def template(changes: dict[str, Any] | None = None, pool: PoolKey = CPU, replicas: int = 2) -> Any:
    (manifest,) = rendering(model_deployment(changes), PoolTarget(pool, replicas)).templates
    return manifest


def container(changes: dict[str, Any] | None = None, pool: PoolKey = CPU) -> Any:
    (found,) = template(changes, pool)["spec"]["template"]["spec"]["containers"]
    return found


def test_replicas_have_a_document_of_their_own_when_a_pool_is_rendered() -> None:
    made = rendering(model_deployment(), PoolTarget(CPU, 3))
    assert "replicas" not in made.templates[0]["spec"]
    assert made.scales == (Scale("ranker-cpu-full", 3),)
    assert made.scales[0].manifest("shop") == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "ranker-cpu-full", "namespace": "shop"},
        "spec": {"replicas": 3},
    }


def test_children_are_owned_by_the_modeldeployment_when_rendered() -> None:
    made = rendering(model_deployment(), PoolTarget(CPU, 1), serving=CPU)
    for manifest in (*made.templates, *made.ladders, made.service):
        assert manifest is not None
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert owner["uid"] == UID
        assert owner["controller"] is True
        assert owner["blockOwnerDeletion"] is False


def test_labels_are_those_of_the_contract_when_rendered() -> None:
    manifest = template()
    expected = {
        "app.kubernetes.io/managed-by": "modelscaler",
        "modelscaler.dev/deployment": "ranker",
        "modelscaler.dev/pool": "cpu-full",
    }
    pod = manifest["spec"]["template"]["metadata"]
    assert expected.items() <= manifest["metadata"]["labels"].items()
    assert expected.items() <= pod["labels"].items()
    assert manifest["spec"]["selector"]["matchLabels"].items() <= pod["labels"].items()
    assert pod["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8080",
        "prometheus.io/path": "/metrics",
    }


def test_service_selects_exactly_the_serving_pool_when_one_serves() -> None:
    made = rendering(model_deployment(), PoolTarget(CPU, 1), serving=CPU)
    assert made.service is not None
    assert made.service["metadata"]["name"] == "ranker"
    assert made.service["spec"]["selector"] == {
        "modelscaler.dev/deployment": "ranker",
        "modelscaler.dev/pool": "cpu-full",
    }
    assert made.service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]


def test_service_is_left_as_it_is_when_the_step_names_no_pool() -> None:
    assert rendering(model_deployment(), PoolTarget(CPU, 1)).service is None


def test_pool_is_deleted_and_not_rendered_when_it_is_drained() -> None:
    made = rendering(model_deployment(), PoolTarget(CPU, 0, delete=True))
    assert made == Rendering(deletions=("ranker-cpu-full",))


def test_pool_keeps_running_unchanged_when_its_placement_left_the_spec() -> None:
    made = rendering(model_deployment(), PoolTarget(GPU, 2))
    assert made == Rendering(scales=(Scale("ranker-gpu-int8", 2),))


EXTRAS: dict[str, Any] = {
    "spec.serving": {
        "volumes": [
            {"name": "models", "persistentVolumeClaim": {"claimName": "models"}},
            {"name": "x", "emptyDir": {}},
        ],
        "volumeMounts": [{"name": "models", "mountPath": "/models", "subPath": "ranker"}],
        "imagePullSecrets": ["registry"],
        "podLabels": {"team": "search", "modelscaler.dev/pool": "mine"},
        "podAnnotations": {"karpenter.sh/do-not-disrupt": "true", "prometheus.io/scrape": "false"},
        "priorityClassName": "serving",
    }
}


def test_pods_have_what_the_spec_adds_and_what_the_operator_needs_wins() -> None:
    pod = template(EXTRAS)["spec"]["template"]
    assert pod["spec"]["volumes"][2:] == [
        {"name": "models", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}},
        {"name": "x", "emptyDir": {}},
    ]
    assert pod["spec"]["containers"][0]["volumeMounts"][2:] == [
        {"name": "models", "mountPath": "/models", "subPath": "ranker", "readOnly": True}
    ]
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["spec"]["priorityClassName"] == "serving"
    assert (pod["metadata"]["labels"]["team"], pod["metadata"]["labels"]["modelscaler.dev/pool"]) == (
        "search",
        "cpu-full",
    )
    annotations = pod["metadata"]["annotations"]
    assert (annotations["karpenter.sh/do-not-disrupt"], annotations["prometheus.io/scrape"]) == ("true", "true")


def test_command_is_explicit_and_takes_the_variant_s_artefact_when_it_has_one() -> None:
    changes = {"spec.variants.0.artifact": "ranker-v7", "spec.serving.args": ["--threads", "2"]}
    assert container(changes)["command"] == [
        *("modelserver", "serve", "--model", "builtin://search-ranker", "--variant", "ranker-v7"),
        *("--host", "$(POD_IP)", "--port", "8080", "--ladder-file", "/run/modelscaler/ladder.json"),
        *("--threads", "2"),
    ]
    assert "full" in container()["command"]


def test_environment_starts_with_what_the_operator_relies_on_when_the_user_adds_to_it() -> None:
    env = container({"spec.serving.env": [{"name": "LOG", "value": "debug"}]})["env"]
    assert env[0]["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
    assert env[1] == {
        "name": "MODELSERVER_METRIC_LABELS",
        "value": "modeldeployment_namespace=default,modeldeployment=ranker,pool=cpu-full",
    }
    assert env[2] == {"name": "LOG", "value": "debug"}


def test_accelerator_is_requested_and_limited_alike_when_the_placement_has_one() -> None:
    changes = {"spec.placements.1": GPU_PLACEMENT}
    assert container(changes, GPU)["resources"] == {
        "requests": {"cpu": "2", "nvidia.com/gpu": "2"},
        "limits": {"cpu": "4", "nvidia.com/gpu": "2"},
    }
    pod = template(changes, GPU)["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["runtimeClassName"] == "nvidia"
    assert container()["resources"] == {}


@pytest.mark.parametrize(("pool", "replicas", "surge"), [(CPU, 1, 1), (CPU, 5, 1), (GPU, 1, 1), (GPU, 2, 0)])
def test_rollout_waits_for_no_spare_accelerator_when_other_replicas_carry_on(
    pool: PoolKey, replicas: int, surge: int
) -> None:
    manifest = template({"spec.placements.1": GPU_PLACEMENT}, pool, replicas)
    assert manifest["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": surge, "maxUnavailable": 1 - surge}


def test_pod_meets_the_restricted_standard_when_rendered() -> None:
    pod = template()["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = [mount["name"] for mount in container()["volumeMounts"]]
    assert mounted == [volume["name"] for volume in pod["volumes"]]
    assert pod["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "ScheduleAnyway"


def test_replica_has_its_whole_deadline_to_start_when_probed() -> None:
    manifest = template({"spec.serving.startDeadlineSeconds": 240, "spec.serving.terminationGracePeriodSeconds": 90})
    startup = manifest["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 240
    assert manifest["spec"]["progressDeadlineSeconds"] == 240
    assert manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 90


def test_image_is_the_spec_s_when_it_names_one_and_the_default_otherwise() -> None:
    assert container()["image"] == "modelserver:0.1.0"
    assert container({"spec.serving.image": "mine:2"})["image"] == "mine:2"


BOTH = [
    {"placement": "cpu", "variant": "full", "perRequestMilliseconds": "8"},
    {"placement": "cpu", "variant": "int8", "perRequestMilliseconds": "4"},
]


def ladder(changes: dict[str, Any] | None = None, pool: PoolKey = CPU) -> Any:
    target = PoolTarget(pool, 1, overdraft=0.4)
    (manifest,) = rendering(model_deployment({"spec.capacity": BOTH} | (changes or {})), target).ladders
    return json.loads(manifest["data"]["ladder.json"])


def test_ladder_names_artefacts_accuracies_floor_and_objective_when_the_reflex_is_on() -> None:
    assert ladder({"spec.variants.1.artifact": "ranker-int8", "spec.slo.minMeanAccuracy": "0.905"}) == {
        "variants": ["full", "ranker-int8"],
        "accuracies": {"full": "0.91", "ranker-int8": "0.9"},
        "latencyMilliseconds": 200,
        "minMeanAccuracy": "0.905",
        "overdraft": "0.4",
    }


def test_ladder_has_no_floor_when_the_spec_asks_for_no_mean() -> None:
    assert "minMeanAccuracy" not in ladder()


@pytest.mark.parametrize(
    "changes",
    [
        {"spec.scaling.reflex": "Off"},
        {"spec.slo.minAccuracy": "0.905"},
        {"spec.capacity": BOTH[:1]},
        {"spec.variants.1.artifact": "full"},
    ],
)
def test_ladder_is_the_planned_variant_alone_when_no_other_may_help(changes: dict[str, Any]) -> None:
    assert ladder(changes)["variants"] == ["full"]


def test_floor_is_the_planned_variant_s_accuracy_when_it_does_not_reach_the_mean_itself() -> None:
    assert ladder({"spec.slo.minMeanAccuracy": "0.905"}, PoolKey("cpu", "int8"))["minMeanAccuracy"] == "0.9"


def test_pods_are_not_restarted_when_ladder_floor_or_objective_change() -> None:
    def rendered(changes: dict[str, Any]) -> Any:
        return template({"spec.capacity": BOTH} | changes)

    before = rendered({})
    for changes in (
        {"spec.scaling.reflex": "Off"},
        {"spec.slo.minMeanAccuracy": "0.905"},
        {"spec.slo.latency.targetMilliseconds": 300},
        {"spec.capacity": BOTH[:1]},
    ):
        after = rendered(changes)
        assert after["spec"] == before["spec"]
        digests = [d["metadata"]["annotations"][TEMPLATE_DIGEST_ANNOTATION] for d in (before, after)]
        assert digests[0] != digests[1], "the operator must notice that there is something to apply"


def test_pod_reads_the_ladder_of_its_own_pool_and_starts_without_when_it_is_missing() -> None:
    made = rendering(model_deployment(), PoolTarget(CPU, 1))
    pod = made.templates[0]["spec"]["template"]["spec"]
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "ladder")
    assert volume["configMap"] == {"name": made.ladders[0]["metadata"]["name"], "optional": True}
    mount = next(mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "ladder")
    assert mount == {"name": "ladder", "mountPath": "/run/modelscaler", "readOnly": True}


def test_digest_changes_exactly_when_the_template_does() -> None:
    def digest_with(changes: dict[str, Any] | None = None) -> str:
        return str(template(changes)["metadata"]["annotations"][TEMPLATE_DIGEST_ANNOTATION])

    assert digest_with() == digest_with({"spec.scaling.maxReplicas": 50, "spec.placements.0.hourlyCost": "9"})
    assert digest_with() != digest_with({"spec.serving.image": "mine:2"})
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_replicas_alone_do_not_change_the_digest_when_there_is_no_accelerator() -> None:
    assert template(replicas=1) == template(replicas=9)


def test_names_stay_within_kubernetes_limits_when_all_are_as_long_as_allowed() -> None:
    changes = {
        "metadata.name": "n" * 40,
        "spec.placements": [{"name": "p" * 20, "hourlyCost": "1"}],
        "spec.variants": [{"name": "v" * 20, "accuracy": "1"}],
        "spec.capacity": [],
        "spec.capacityProfile": {"configMapName": "speeds"},
    }
    resource, pool = model_deployment(changes), PoolKey("p" * 20, "v" * 20)
    (manifest,) = rendering(resource, PoolTarget(pool, 1)).templates
    assert len(manifest["metadata"]["name"]) <= 253
    assert all(len(value) <= 63 for value in manifest["spec"]["template"]["metadata"]["labels"].values())
    assert pool_names(resource) == (pool_name(resource, pool),)


def test_manifests_are_plain_json_when_rendered() -> None:
    made = rendering(model_deployment({"spec.placements.1": GPU_PLACEMENT}), PoolTarget(GPU, 1), serving=GPU)
    for manifest in (*made.templates, *made.ladders, made.service):
        assert json.loads(json.dumps(manifest)) == manifest
