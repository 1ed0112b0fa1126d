"""The chart as Helm renders it: least privilege, restricted pods, closed values, every value documented."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from helmchart import CHART, REQUIRED, helm, render
from modelscaler.cli import parser_for

WRITING_VERBS = {"create", "update", "patch", "delete", "deletecollection"}


def only(documents: list[dict[str, Any]], kind: str, suffix: str = "") -> dict[str, Any]:
    """Return the one object of a kind whose name ends so."""
    found = [d for d in documents if d["kind"] == kind and d["metadata"]["name"].endswith(suffix)]
    assert len(found) == 1, [d["metadata"]["name"] for d in found]
    return found[0]


def operator_rules(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every rule that is bound to the operator's service account."""
    bound = {d["roleRef"]["name"] for d in documents if d["kind"] in ("ClusterRoleBinding", "RoleBinding")}
    roles = [d for d in documents if d["kind"] in ("ClusterRole", "Role") and d["metadata"]["name"] in bound]
    return [rule for role in roles for rule in role["rules"]]


def container(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the operator's container."""
    found: dict[str, Any] = only(documents, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.fixture(scope="module")
def defaults() -> list[dict[str, Any]]:
    """What the chart makes with only the required values."""
    return render()


def test_lint_finds_nothing() -> None:
    assert helm("lint --strict", REQUIRED).returncode == 0


def test_permissions_have_no_wildcard_and_no_secrets(defaults: list[dict[str, Any]]) -> None:
    granted = [
        item for rule in operator_rules(defaults) for key in ("apiGroups", "resources", "verbs") for item in rule[key]
    ]

    assert granted
    assert {"*", "secrets"} & set(granted) == set()


def test_operator_writes_only_what_it_owns(defaults: list[dict[str, Any]]) -> None:
    written = {
        resource
        for rule in operator_rules(defaults)
        if WRITING_VERBS & set(rule["verbs"])
        for resource in rule["resources"]
    }

    assert written == {"modeldeployments/status", "deployments", "services", "configmaps", "events", "leases"}


def test_routes_may_be_handled_only_when_gateway_api_is_enabled(defaults: list[dict[str, Any]]) -> None:
    without, enabled = operator_rules(defaults), operator_rules(render(gatewayAPI={"enabled": True}))

    assert [rule for rule in enabled if rule not in without] == [
        {
            "apiGroups": ["gateway.networking.k8s.io"],
            "resources": ["httproutes"],
            "verbs": ["get", "list", "create", "patch", "delete"],
        }
    ]


def test_lease_may_be_changed_only_by_its_name_in_the_releases_namespace(defaults: list[dict[str, Any]]) -> None:
    role = only(defaults, "Role", "leader-election")
    changing = [rule for rule in role["rules"] if "update" in rule["verbs"]]

    assert role["metadata"]["namespace"] == "system"
    assert [rule["resourceNames"] for rule in changing] == [["release-modelscaler"]]
    assert "--lease-name=release-modelscaler" in container(defaults)["command"]


def test_nothing_is_cluster_wide_but_the_crd_when_one_namespace_is_watched() -> None:
    documents = render(watchNamespace="shop")

    assert {d["kind"] for d in documents if d["kind"].startswith("Cluster")} == set()
    assert only(documents, "Role", "release-modelscaler")["metadata"]["namespace"] == "shop"
    assert "--namespace=shop" in container(documents)["command"]


NODES = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}


@pytest.mark.parametrize("values", [{"watchNamespace": "shop"}, {"accelerators": {"supply": "OnDemand"}}])
def test_same_rules_but_nodes_are_granted_when_nodes_are_not_counted(
    defaults: list[dict[str, Any]], values: dict[str, Any]
) -> None:
    assert NODES in operator_rules(defaults)
    assert operator_rules(render(**values)) == [rule for rule in operator_rules(defaults) if rule != NODES]


def test_operator_is_told_how_long_it_may_tune() -> None:
    assert "--tuning-seconds=1800" in container(render())["command"]
    assert "--tuning-seconds=0" in container(render(operator={"tuningSeconds": 0}))["command"]


def test_operator_is_told_which_accelerators_count() -> None:
    assert "--accelerator-supply=OnDemand" in container(render(accelerators={"supply": "OnDemand"}))["command"]


def test_pod_meets_the_restricted_standard(defaults: list[dict[str, Any]]) -> None:
    pod = only(defaults, "Deployment")["spec"]["template"]["spec"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert isinstance(pod["securityContext"]["runAsUser"], int)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(defaults)["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert {"name": "tmp", "mountPath": "/tmp"} in container(defaults)["volumeMounts"]  # noqa: S108 - a path in the pod


def test_command_is_one_the_operator_accepts(defaults: list[dict[str, Any]]) -> None:
    program, *arguments = container(defaults)["command"]

    assert program == "modelscaler"
    assert parser_for(arguments).parse_args(arguments).prometheus_url == "http://prometheus:9090"


def test_operator_is_told_of_a_token_and_certificates_only_when_they_are_named(
    defaults: list[dict[str, Any]],
) -> None:
    assert not any("-file=" in argument for argument in container(defaults)["command"])
    mounted = {"name": "prometheus", "secret": {"secretName": "prometheus"}}
    documents = render(
        prometheus={**REQUIRED["prometheus"], "tokenFile": "/run/token", "caFile": "/run/prometheus/ca.crt"},
        extraVolumes=[mounted],
        extraVolumeMounts=[{"name": "prometheus", "mountPath": "/run/prometheus", "readOnly": True}],
    )
    words = container(documents)["command"][1:]
    told = parser_for(words).parse_args(words)

    assert (str(told.prometheus_token_file), str(told.prometheus_ca_file)) == ("/run/token", "/run/prometheus/ca.crt")
    assert mounted in only(documents, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert [mount["mountPath"] for mount in container(documents)["volumeMounts"]] == ["/tmp", "/run/prometheus"]  # noqa: S108


def test_notes_tell_no_password_when_the_address_holds_one(tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "NOTES.txt").rename(chart / "notes.txt")  # Helm shows notes only where there is a cluster
    (chart / "templates" / "notes.yaml").write_text('notes: {{ tpl (.Files.Get "notes.txt") . | quote }}')
    told = helm(
        "template release --show-only templates/notes.yaml",
        {"prometheus": {"url": "https://me:s3c@ret@prometheus:9090/p"}},
        chart,
    ).stdout

    assert "It reads load from https://prometheus:9090/p." in told
    assert "s3c" not in told


def test_resources_are_those_that_the_readme_tells() -> None:
    resources = yaml.safe_load((CHART / "values.yaml").read_text())["resources"]
    told = (
        f"{resources['requests']['cpu']} CPU, {resources['requests']['memory']}; limit {resources['limits']['memory']}"
    )

    assert f"| `resources` | {told} |" in (CHART / "README.md").read_text()


def test_digest_wins_over_the_tag_when_both_are_given() -> None:
    digest = "sha256:" + "0" * 64
    image = {"repository": "registry.example/op", "tag": "1", "digest": digest}

    assert container(render(image=image))["image"] == f"registry.example/op@{digest}"


@pytest.mark.parametrize(
    ("values", "kind", "suffix"),
    [
        ({"podDisruptionBudget": {"enabled": True}}, "PodDisruptionBudget", ""),
        ({"networkPolicy": {"enabled": True}}, "NetworkPolicy", ""),
        ({"serviceMonitor": {"enabled": True}}, "ServiceMonitor", ""),
        ({"podMonitor": {"enabled": True}}, "PodMonitor", "-servers"),
        ({"prometheusRule": {"enabled": True}, "serviceMonitor": {"enabled": True}}, "PrometheusRule", ""),
    ],
)
def test_option_adds_its_object_only_when_enabled(
    defaults: list[dict[str, Any]], values: dict[str, Any], kind: str, suffix: str
) -> None:
    assert [d for d in defaults if d["kind"] == kind] == []
    assert only(render(**values), kind, suffix)


@pytest.mark.parametrize(
    ("crds", "annotations"),
    [({"keep": True}, {"helm.sh/resource-policy": "keep"}), ({"keep": False}, None)],
)
def test_crd_outlives_the_release_when_kept(crds: dict[str, bool], annotations: dict[str, str] | None) -> None:
    assert only(render(crds=crds), "CustomResourceDefinition")["metadata"].get("annotations") == annotations


def test_crd_is_left_out_when_it_is_installed_otherwise() -> None:
    assert [d for d in render(crds={"install": False}) if d["kind"] == "CustomResourceDefinition"] == []


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"replica": 1}, "property replica is not allowed"),
        ({"operator": {"interval": 15}}, "property interval is not allowed"),
        ({"operator": {"intervalSeconds": 0}}, "operator.intervalSeconds"),
        ({"log": {"level": "loud"}}, "log.level"),
        ({"prometheus": {"url": "prometheus:9090"}}, "prometheus.url"),
        ({"image": {"digest": "latest"}}, "image.digest"),
        ({"prometheus": {"url": ""}}, "prometheus.url is required"),
        ({"prometheusRule": {"enabled": True}}, "prometheusRule.enabled needs serviceMonitor.enabled"),
    ],
)
def test_bad_value_is_refused_by_name(values: dict[str, Any], complaint: str) -> None:
    done = helm("template release", {**REQUIRED, **values})

    assert done.returncode != 0
    assert complaint in done.stderr.replace("'", "")


def leaves(values: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted name of every value."""
    names = [
        leaves(value, f"{prefix}{name}.") if isinstance(value, dict) and value else [f"{prefix}{name}"]
        for name, value in values.items()
    ]
    return [name for group in names for name in group]


def test_every_value_is_in_the_readme_and_the_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    readme = (CHART / "README.md").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    whole = {"resources", "podSecurityContext", "securityContext"}  # given as one: Kubernetes documents their fields
    names = [name for name in leaves(values) if name.partition(".")[0] not in whole] + sorted(whole)

    assert [name for name in names if f"`{name}`" not in readme] == []
    assert set(schema["properties"]) - {"global"} == set(values)
