"""What is rendered and written into status, judged by the real API server: server-side apply, ownership, pod security."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

import builders
import manifests
from kubectl import Kubectl, kubectl_for, until_established
from modelscaler.cluster.calls import ClusterCalls
from modelscaler.cluster.connection import connect
from modelscaler.cluster.errors import NotOursError
from modelscaler.domain import PolicyState, PoolKey, PoolTarget, Step, Switch
from modelscaler.render import TEMPLATE_MANAGER, RenderDefaults, Rendering, render
from modelscaler.status import next_status, status_body
from modelscaler.workload import parse_status, workload_from
from pods import eventually
from resources import model_deployment
from status_scenes import scene, step

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
NAMESPACE = "rendered"
CPU, GPU = PoolKey("cpu", "full"), PoolKey("gpu", "int8")
EVERYTHING: dict[str, Any] = {
    "metadata.namespace": NAMESPACE,
    "spec.serving": {
        "env": [{"name": "LOG", "value": "debug"}],
        "args": ["--threads", "2"],
        "serviceAccountName": "default",
        "volumes": [
            {"name": "models", "persistentVolumeClaim": {"claimName": "models"}},
            {"name": "tuned", "configMap": {"name": "tuned"}},
            {"name": "key", "secret": {"secretName": "key"}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
        "volumeMounts": [{"name": "models", "mountPath": "/models"}, {"name": "key", "mountPath": "/key"}],
        "imagePullSecrets": ["registry"],
        "podAnnotations": {"karpenter.sh/do-not-disrupt": "true"},
    },
    "spec.placements.1": {
        "name": "gpu",
        "hourlyCost": "1",
        "resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": 4}},
        "accelerator": {"resourceName": "nvidia.com/gpu"},
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "runtimeClassName": "nvidia",
    },
}


@pytest.fixture(scope="module")
def api(api_server: Path) -> client.ApiClient:
    return connect(str(api_server))


@pytest.fixture(scope="module")
def kubectl(api_server: Path) -> Kubectl:
    return kubectl_for(api_server)


@pytest.fixture(scope="module")
def calls(api: client.ApiClient) -> Iterator[ClusterCalls]:
    core: Any = client.CoreV1Api(api)  # takes plain dicts too, whatever its annotations say
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    core.create_namespace({"metadata": {"name": NAMESPACE, "labels": labels}})
    core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": "default"}})  # no controller here makes it
    yield ClusterCalls(api)
    core.delete_namespace(NAMESPACE)


def rendering(changes: dict[str, Any] | None = None) -> Rendering:
    wanted = Step((PoolTarget(CPU, 3), PoolTarget(GPU, 2)), CPU, PolicyState())
    resource = model_deployment(EVERYTHING | (changes or {}))
    return render(resource, workload_from(resource, None), wanted, RenderDefaults("registry.example/modelserver:1"))


def apply(calls: ClusterCalls, rendered: Rendering) -> list[dict[str, Any]]:
    for manifest in (*rendered.ladders, *rendered.templates):
        calls.apply_new(manifest, TEMPLATE_MANAGER)
    return [calls.apply(scale.manifest(NAMESPACE), "modelscaler-scale") for scale in rendered.scales]


def test_deployments_are_taken_whole_when_applied(calls: ClusterCalls) -> None:
    stored = apply(calls, rendering())
    assert [d["spec"]["replicas"] for d in stored] == [3, 2]
    managers = {m["manager"]: m["fieldsV1"] for m in stored[0]["metadata"]["managedFields"]}
    assert managers["modelscaler-scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in managers["modelscaler"]["f:spec"]


def test_replicas_stay_when_a_template_is_applied_anew(calls: ClusterCalls) -> None:
    apply(calls, rendering())
    changed = rendering({"spec.serving.image": "registry.example/modelserver:2"})
    stored = calls.apply(changed.templates[0], TEMPLATE_MANAGER)
    assert stored["spec"]["replicas"] == 3
    assert stored["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/modelserver:2"


def test_nothing_changes_when_the_same_template_is_applied_twice(calls: ClusterCalls) -> None:
    def versions() -> list[str]:
        stored = [calls.apply(manifest, TEMPLATE_MANAGER) for manifest in rendering().templates]
        return [each["metadata"]["resourceVersion"] for each in stored]

    # The Deployment controller writes too, once or twice after the first time.
    assert eventually(lambda: versions() == versions())


def test_no_pod_is_replaced_when_only_the_ladder_changes(calls: ClusterCalls) -> None:
    apply(calls, rendering())
    changed = rendering({"spec.slo.latency.targetMilliseconds": 300})
    ladder = calls.apply(changed.ladders[0], TEMPLATE_MANAGER)
    assert json.loads(ladder["data"]["ladder.json"])["latencyMilliseconds"] == 300
    before, after = (calls.apply(made.templates[0], TEMPLATE_MANAGER) for made in (rendering(), changed))
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]
    assert before["spec"] == after["spec"]


def test_service_is_taken_and_switches_when_another_pool_serves(calls: ClusterCalls) -> None:
    for pool in (CPU, GPU):
        switched = Step((), pool, PolicyState())
        resource = model_deployment(EVERYTHING)
        service = render(resource, workload_from(resource, None), switched, RenderDefaults("x")).service
        assert service is not None
        stored = calls.apply(service, TEMPLATE_MANAGER)
        assert stored["spec"]["selector"]["modelscaler.dev/pool"] == str(pool)


@pytest.mark.parametrize("labels", [{}, {"modelscaler.dev/deployment": "another"}])
def test_object_of_somebody_else_is_left_alone_when_it_has_the_name_of_one_of_ours(
    kubectl: Kubectl, calls: ClusterCalls, labels: dict[str, str]
) -> None:
    for kind, manifest in (("ConfigMap", rendering().ladders[1]), ("Deployment", rendering().templates[1])):
        name = f"theirs-{kind.lower()}-{len(labels)}"
        theirs = {"name": name, "namespace": NAMESPACE, "labels": labels}
        kubectl("apply", "-f", "-", stdin=json.dumps({**manifest, "metadata": theirs}))
        before = kubectl("get", kind, name, "-n", NAMESPACE, "-o", "json")
        mine = {**manifest, "metadata": {**manifest["metadata"], "name": name}}
        with pytest.raises(NotOursError, match=f"{kind} {NAMESPACE}/{name} exists already"):
            calls.apply_new(mine, TEMPLATE_MANAGER)
        assert kubectl("get", kind, name, "-n", NAMESPACE, "-o", "json") == before


def test_object_with_our_label_is_taken_over_when_it_is_not_known_yet(calls: ClusterCalls) -> None:
    manifest = rendering().ladders[0]
    mine = {**manifest, "metadata": {**manifest["metadata"], "name": "handed-over"}}
    calls.apply({**mine, "data": {"ladder.json": "{}"}}, "somebody")
    assert calls.apply_new(mine, TEMPLATE_MANAGER)["data"] == manifest["data"]


@pytest.mark.parametrize("index", [0, 1])
def test_pods_are_admitted_when_the_namespace_enforces_the_restricted_standard(
    api: client.ApiClient, calls: ClusterCalls, index: int
) -> None:
    template = rendering({"spec.serving": {}}).templates[index]["spec"]["template"]
    spec = {k: v for k, v in template["spec"].items() if k != "runtimeClassName"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": f"one-{index}"},
        "spec": spec,
    }
    core: Any = client.CoreV1Api(api)
    created = core.create_namespaced_pod(NAMESPACE, pod, dry_run="All")
    assert created.spec.containers[0].command[0] == "modelserver"


def test_status_is_read_back_as_it_was_when_written(kubectl: Kubectl, calls: ClusterCalls) -> None:
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    until_established(kubectl)
    kubectl("apply", "-f", "-", stdin=json.dumps(manifests.model_deployment({"metadata.namespace": NAMESPACE})))
    state = PolicyState(
        active=builders.CPU_INT8,
        switch=Switch(builders.GPU_INT8, builders.NOW),
        outages=(builders.outage(builders.GPU_FULL, builders.NOW),),
        recommendations=((builders.NOW, 2),),
        changes=((builders.NOW, -1),),
        missing_ticks=1,
        cheaper_since=builders.NOW,
        planned_generation=7,
    )
    status = next_status(scene(step=step(state)))
    stored = calls.apply_status(NAMESPACE, "ranker", status_body(status), "modelscaler-status")
    assert parse_status(stored["status"]) == status
    again = calls.apply_status(NAMESPACE, "ranker", status_body(status), "modelscaler-status")
    assert again["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]
