"""The activator's Deployment, and the Service that selects it."""

from typing import Any

import pytest

from modelscaler.cli import parser_for
from modelscaler.domain import PolicyState, PoolKey, PoolTarget, Step
from modelscaler.render import TEMPLATE_DIGEST_ANNOTATION, RenderDefaults, Rendering, activator_name, digest, render
from modelscaler.workload import workload_from
from resources import UID, model_deployment

CPU = PoolKey("cpu", "full")
DEFAULTS = RenderDefaults("server:1", "operator:2", "http://{name}.{namespace}.svc.example", "Always")
ZERO = {"spec.scaling.minReplicas": 0}
SELECTOR = {"modelscaler.dev/deployment": "ranker", "modelscaler.dev/pool": "activator"}


def rendering(changes: dict[str, Any] | None = None, defaults: RenderDefaults = DEFAULTS, **fields: Any) -> Rendering:
    resource = model_deployment({**ZERO, **(changes or {})})
    step = Step((PoolTarget(CPU, 1),), CPU, PolicyState(active=CPU), **({"activator": True} | fields))
    return render(resource, workload_from(resource, None), step, defaults)


def activator(changes: dict[str, Any] | None = None, defaults: RenderDefaults = DEFAULTS) -> Any:
    found = rendering(changes, defaults).activator
    assert found is not None
    return found


def pod(changes: dict[str, Any] | None = None) -> Any:
    return activator(changes)["spec"]["template"]["spec"]


def command(changes: dict[str, Any] | None = None) -> list[str]:
    (container,) = pod(changes)["containers"]
    found: list[str] = container["command"]
    return found


def test_there_is_none_when_the_step_wants_none() -> None:
    assert rendering(activator=False).activator is None


def test_it_is_a_child_that_is_selected_by_its_own_labels_and_not_by_those_of_a_pool() -> None:
    made = activator()
    meta, template = made["metadata"], made["spec"]["template"]["metadata"]
    assert (meta["name"], meta["namespace"]) == (activator_name("ranker"), "default") == ("ranker-activator", "default")
    assert [owner["uid"] for owner in meta["ownerReferences"]] == [UID]
    assert made["spec"]["selector"]["matchLabels"] == SELECTOR
    assert SELECTOR.items() <= template["labels"].items()
    assert meta["labels"] == template["labels"]
    assert template["labels"]["app.kubernetes.io/managed-by"] == "modelscaler"
    assert "replicas" in made["spec"], "somebody who scales it is corrected"
    assert made["spec"]["replicas"] == 1


def test_one_is_ready_at_any_time_of_a_rollout() -> None:
    assert activator()["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_its_pod_is_restricted_and_has_no_rights() -> None:
    made = pod()
    (container,) = made["containers"]
    assert made["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in made
    assert made["securityContext"]["runAsNonRoot"] is True
    assert made["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert not set(made) & {"volumes", "hostNetwork", "hostPID", "nodeSelector", "tolerations", "runtimeClassName"}


def test_its_image_is_the_operator_s_and_comes_as_the_servers_do() -> None:
    changes = {"spec.serving": {"image": "mine:3", "imagePullSecrets": ["registry"], "priorityClassName": "serving"}}
    made = pod(changes)
    (container,) = made["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("operator:2", "Always")
    assert (made["imagePullSecrets"], made["priorityClassName"]) == ([{"name": "registry"}], "serving")
    assert not {"imagePullSecrets", "priorityClassName"} & set(pod())


def test_its_command_is_understood_by_the_program_and_says_what_the_spec_does() -> None:
    asked = {"spec.scaling.scaleToZero": {"holdSeconds": 77, "maxHeldRequests": 5}}
    program, verb, *arguments = command(asked)
    assert (program, verb) == ("modelscaler", "activator")
    told = parser_for([verb]).parse_args([verb, *arguments])
    assert str(told.upstream) == "http://ranker.default.svc.example"
    assert (told.host, told.port, told.status_port) == ("$(POD_IP)", 8080, 8081)
    assert (told.hold_seconds, told.most_held, told.shutdown_seconds) == (77.0, 5, 77.0)


def test_its_settings_are_the_defaults_of_the_spec_when_that_says_nothing() -> None:
    told = parser_for(["activator"]).parse_args(command()[1:])
    assert (told.hold_seconds, told.most_held) == (600.0, 1000)


def test_it_may_hold_to_the_end_what_it_holds_when_it_is_told_to_go() -> None:
    asked = {"spec.scaling.scaleToZero": {"holdSeconds": 77}}
    assert pod(asked)["terminationGracePeriodSeconds"] > 77


def test_its_series_bear_the_labels_of_the_modeldeployment() -> None:
    (container,) = pod()["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert variables["MODELSERVER_METRIC_LABELS"] == (
        "modeldeployment_namespace=default,modeldeployment=ranker,pool=activator"
    )
    assert "POD_IP" in variables


def test_it_is_asked_after_its_health_where_no_request_goes() -> None:
    (container,) = pod()["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8080, "status": 8081}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "status"


@pytest.mark.parametrize(
    "changes",
    [{"spec.scaling.scaleToZero": {"holdSeconds": 77}}, {"spec.serving": {"priorityClassName": "serving"}}],
)
def test_its_digest_tells_that_something_has_changed(changes: dict[str, Any]) -> None:
    def digest_of(manifest: Any) -> str:
        return str(manifest["metadata"]["annotations"][TEMPLATE_DIGEST_ANNOTATION])

    made = activator()
    assert digest_of(made) == digest_of(activator()) != digest_of(activator(changes))
    assert digest_of(made) != digest_of(activator(defaults=RenderDefaults("server:1", "operator:3")))
    bare = {**made, "metadata": {**made["metadata"], "annotations": {}}}
    assert digest_of(made) == digest(bare)


@pytest.mark.parametrize("held", [True, False])
def test_service_selects_the_activator_exactly_when_requests_are_held(held: bool) -> None:
    service = rendering(held=held).service
    assert service is not None
    assert service["spec"]["selector"]["modelscaler.dev/pool"] == ("activator" if held else "cpu-full")
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]


def test_service_of_the_pool_beside_never_selects_the_activator() -> None:
    made = rendering()
    assert made.beside is None
    assert [scale.replicas for scale in made.scales] == [1]


def test_its_pod_bears_what_is_asked_for_all_pods_and_what_is_ours_wins() -> None:
    asked = {
        "spec.serving.podLabels": {"team": "search", "tier": "front"},
        "spec.serving.podAnnotations": {"example.com/note": "x"},
    }
    template = activator(asked)["spec"]["template"]["metadata"]
    assert {"team": "search", "tier": "front"}.items() <= template["labels"].items()
    assert SELECTOR.items() <= template["labels"].items()
    assert template["annotations"]["example.com/note"] == "x"
    assert template["annotations"]["prometheus.io/port"] == "8080"
    assert "team" not in activator(asked)["metadata"]["labels"]


def test_a_pod_that_is_told_to_stop_goes_on_as_long_as_endpoints_may_lag_however_short_it_holds() -> None:
    short = {"spec.scaling": {"minReplicas": 0, "scaleToZero": {"holdSeconds": 1}}, "spec.placements.0.startSeconds": 1}
    asked = command(short)
    assert asked[asked.index("--hold-seconds") + 1] == "1"
    assert asked[asked.index("--shutdown-seconds") + 1] == "10"
    assert pod(short)["terminationGracePeriodSeconds"] > 10
