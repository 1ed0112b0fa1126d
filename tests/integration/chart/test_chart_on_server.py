"""The chart's objects before a real API server: accepted, restricted, and allowed what the operator needs and no more."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from helmchart import NAMESPACE, render
from kubectl import Kubectl

pytestmark = pytest.mark.integration

WATCHED = "shop"
ELSEWHERE = "default"
NEEDS_OTHER_CRDS = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}

VALUE_SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "one namespace": {"watchNamespace": WATCHED},
    "the CRD not kept": {"crds": {"keep": False}},
    "everything": {
        "image": {"digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "registry"}],
        "operator": {"intervalSeconds": 2.5, "extraArgs": ["--context=other"]},
        "serviceAccount": {"name": "scaler", "annotations": {"example.com/role": "scaler"}},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "podAnnotations": {"example.com/a": "b"},
        "podLabels": {"team": "ml"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "priorityClassName": "system-cluster-critical",
        "podDisruptionBudget": {"enabled": True, "maxUnavailable": "50%"},
        "networkPolicy": {
            "enabled": True,
            "metricsFrom": [{"namespaceSelector": {}}],
            "egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}],
        },
    },
}

Call = tuple[str, str]

# The calls of modelscaler.cluster and Kopf's watches: (verb, resource).
NEEDED: list[Call] = [
    ("list", "modeldeployments.modelscaler.dev"),
    ("watch", "modeldeployments.modelscaler.dev"),
    ("get", "modeldeployments.modelscaler.dev"),
    ("patch", "modeldeployments.modelscaler.dev/status"),
    ("get", "deployments.apps"),
    ("list", "deployments.apps"),
    ("watch", "deployments.apps"),
    ("create", "deployments.apps"),
    ("patch", "deployments.apps"),
    ("delete", "deployments.apps"),
    ("get", "services"),
    ("list", "services"),
    ("watch", "services"),
    ("create", "services"),
    ("patch", "services"),
    ("list", "pods"),
    ("watch", "pods"),
    ("get", "configmaps/profile"),
    ("create", "configmaps"),
    ("patch", "configmaps"),
    ("list", "horizontalpodautoscalers.autoscaling"),
    ("list", "resourcequotas"),
    ("create", "events.events.k8s.io"),
]

FORBIDDEN: list[Call] = [
    ("get", "secrets"),
    ("list", "secrets"),
    ("get", "pods"),
    ("list", "configmaps"),
    ("delete", "configmaps"),
    ("delete", "pods"),
    ("create", "pods"),
    ("patch", "modeldeployments.modelscaler.dev"),
    ("delete", "modeldeployments.modelscaler.dev"),
    ("delete", "services"),
    ("watch", "nodes"),
    ("patch", "nodes"),
    ("list", "namespaces"),
    ("list", "customresourcedefinitions.apiextensions.k8s.io"),
    ("create", "clusterroles.rbac.authorization.k8s.io"),
]


@pytest.fixture(scope="session")
def namespaces(kubectl: Kubectl) -> None:
    """The operator's namespace, which enforces the restricted standard, and one to watch."""
    for name in (NAMESPACE, WATCHED):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    kubectl("label", "--overwrite", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_every_object_is_accepted_strictly(kubectl: Kubectl, namespaces: None, values: dict[str, Any]) -> None:
    documents = [d for d in render(**values) if d["kind"] not in NEEDS_OTHER_CRDS]

    answer = kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-",
        stdin=yaml.safe_dump_all(documents),
    )  # fmt: skip

    assert len(answer.splitlines()) == len(documents)


@pytest.fixture(params=["", WATCHED], ids=["whole cluster", "one namespace"])
def watched(request: pytest.FixtureRequest, kubectl: Kubectl, namespaces: None) -> Iterator[str]:
    """The chart's service account and roles, for real; the namespace that is watched, "" for all."""
    namespace: str = request.param
    kinds = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    manifests = yaml.safe_dump_all([d for d in render(watchNamespace=namespace) if d["kind"] in kinds])
    kubectl("apply", "-f", "-", stdin=manifests)
    yield namespace
    kubectl("delete", "--wait=false", "-f", "-", stdin=manifests)


def granted(kubectl: Kubectl, namespace: str, calls: list[Call]) -> list[Call]:
    """Ask the API server which of these calls the operator's service account may make."""
    reviews = [review(namespace, *call) for call in calls]
    answers = kubectl(
        "create", "--output", 'jsonpath={.status.allowed}{"\\n"}', "-f", "-", stdin=yaml.safe_dump_all(reviews)
    )
    return [call for call, answer in zip(calls, answers.splitlines(), strict=True) if answer == "true"]


def review(namespace: str, verb: str, resource: str) -> dict[str, Any]:
    """Return the question whether the operator may do something to `resource.group/name` or `resource.group/status`."""
    group_resource, _, rest = resource.partition("/")
    name, _, group = group_resource.partition(".")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": name}
    attributes["subresource" if rest == "status" else "name"] = rest
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{NAMESPACE}:release-modelscaler",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"],
            "resourceAttributes": attributes,
        },
    }


def test_operator_may_do_what_it_does_and_nothing_else(kubectl: Kubectl, watched: str) -> None:
    assert granted(kubectl, watched or ELSEWHERE, NEEDED + FORBIDDEN) == NEEDED


def test_nodes_may_be_listed_only_where_they_are_counted(kubectl: Kubectl, watched: str) -> None:
    nodes = [("list", "nodes")]
    assert granted(kubectl, "", nodes) == ([] if watched else nodes)


def test_operator_may_do_nothing_elsewhere_when_one_namespace_is_watched(kubectl: Kubectl, watched: str) -> None:
    assert granted(kubectl, ELSEWHERE, NEEDED) == ([] if watched else NEEDED)


def test_lease_is_the_operators_own_alone(kubectl: Kubectl, watched: str) -> None:
    lease = "leases.coordination.k8s.io"
    own = [("create", lease), ("update", f"{lease}/release-modelscaler")]

    assert granted(kubectl, NAMESPACE, [*own, ("update", f"{lease}/kube-scheduler"), ("list", lease)]) == own
    assert granted(kubectl, "kube-system", own) == []


def test_pod_is_admitted_where_the_restricted_standard_is_enforced(kubectl: Kubectl, watched: str) -> None:
    template = next(d for d in render() if d["kind"] == "Deployment")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator", "namespace": NAMESPACE}}

    answer = kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps({**pod, "spec": template["spec"]}))

    assert answer == "pod/operator created (server dry run)\n"
