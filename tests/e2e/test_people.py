"""What people meet: clear refusals, conditions that name the trouble, pausing, recommending, deleting."""

import json
from typing import Any

import pytest

from localcluster.errors import LocalClusterError
from stage import NAMESPACE, Stage, capacity, model_deployment, scaling

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"scaling": scaling(minReplicas=5, maxReplicas=2)}, ["minReplicas", "maxReplicas"]),
        (
            {"slo": {"latency": {"percentile": 0, "targetMilliseconds": 100}}},
            ["percentile", "greater than or equal to 1"],
        ),
        ({"slo": {"latency": {"targetMilliseconds": 100}, "minAccuracy": "0.99"}}, ["minAccuracy", "every variant"]),
        ({"placements": []}, ["placements", "at least 1"]),
        ({"capacity": [capacity("tpu", "int8")]}, ["capacity", "placement"]),
        ({"colour": "blue"}, ["colour", "unknown field"]),
    ],
)
def test_bad_spec_is_refused_when_applied(stage: Stage, changes: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(LocalClusterError) as refusal:
        stage.apply(model_deployment("bad", **changes))
    assert all(word in str(refusal.value) for word in named), refusal.value


def test_condition_names_the_trouble_when_the_profile_is_missing_and_clears_when_it_comes(stage: Stage) -> None:
    manifest = model_deployment("unprofiled", capacity=[], capacityProfile={"configMapName": "profile"})
    name = stage.apply(manifest)
    stage.until(lambda: stage.condition(name, "Accepted").get("status") == "False", "the condition says so", 20)
    condition = stage.condition(name, "Accepted")
    assert condition["reason"] == "ProfileUnavailable"
    assert "profile.json" in condition["message"]
    profile = {"entries": [{"placement": "cpu", "variant": "int8", "perRequestMilliseconds": "30", "maxBatch": 4}]}
    stage.cluster.kubectl(
        "-n", NAMESPACE, "create", "configmap", "profile", f"--from-literal=profile.json={json.dumps(profile)}"
    )
    stage.until_serving(name, "cpu-int8")
    stage.delete(name)


def test_running_pool_is_not_disturbed_when_an_edit_brings_a_model_that_does_not_load(stage: Stage) -> None:
    name = stage.apply(model_deployment("badmodel"))
    stage.until_serving(name, "cpu-int8")
    with stage.load(name, 5.0) as load:
        stage.apply(model_deployment("badmodel", model={"uri": "builtin://no-such-model"}))
        stage.until(lambda: _failing_pods(stage, name), "the new pod fails", 40)
        stage.until(lambda: "no-such-model" in _said(stage, name), "its log names the model", 20)
        assert stage.ready(name) >= 1
        load.stop_sending()
        summary = load.wait(40)
    assert summary["ok"] > 0
    assert (summary["lost"], summary["resets"]) == (0, 0), summary
    stage.delete(name)


def test_nothing_changes_when_paused_and_it_goes_on_when_resumed(stage: Stage) -> None:
    name = stage.apply(model_deployment("paused"))
    stage.until_serving(name, "cpu-int8")
    stage.cluster.kubectl("-n", NAMESPACE, "annotate", "mdep", name, "modelscaler.dev/paused=true")
    stage.until(lambda: stage.condition(name, "Paused").get("status") == "True", "paused", 20)
    stage.apply(model_deployment("paused", scaling=scaling(minReplicas=2)))
    stage.until(lambda: stage.status(name).get("desired", {}).get("replicas") == 2, "it says what it would do", 20)
    assert stage.asked(name) == 1
    stage.cluster.kubectl("-n", NAMESPACE, "annotate", "mdep", name, "modelscaler.dev/paused-")
    stage.until(lambda: stage.asked(name) == 2, "it goes on", 20)
    stage.delete(name)


def test_nothing_is_created_when_only_recommending(stage: Stage) -> None:
    name = stage.apply(model_deployment("advice", scaling=scaling(mode="Recommend", minReplicas=2)))
    stage.until(lambda: stage.status(name).get("desired", {}).get("replicas") == 2, "it recommends", 20)
    assert stage.children(name) == []
    stage.delete(name)


def test_nothing_is_left_when_a_modeldeployment_is_deleted(stage: Stage) -> None:
    name = stage.apply(model_deployment("gone"))
    stage.until_serving(name, "cpu-int8")
    assert len(stage.children(name)) >= 4
    stage.delete(name)
    assert stage.get("mdep", name) == {}


def test_people_see_what_serves_when_they_get_and_describe(stage: Stage) -> None:
    name = stage.apply(model_deployment("shown"))
    stage.until_serving(name, "cpu-int8")
    stage.until(lambda: stage.condition(name, "Ready").get("status") == "True", "ready", 20)
    table = stage.cluster.kubectl("-n", NAMESPACE, "get", "mdep", name)
    described = stage.cluster.kubectl("-n", NAMESPACE, "describe", "mdep", name)
    print(table, described, sep="\n")
    assert table.split("\n")[0].split() == ["NAME", "PLACEMENT", "VARIANT", "DESIRED", "READY", "LOAD", "PAUSED", "AGE"]
    assert "cpu" in table
    assert "FirstPlan" in described
    stage.delete(name)


def _failing_pods(stage: Stage, name: str) -> bool:
    text = stage.cluster.kubectl(
        "-n", NAMESPACE, "get", "pods", "-l", f"modelscaler.dev/deployment={name}", "-o", "json"
    )
    statuses = [s for pod in json.loads(text)["items"] for s in pod["status"].get("containerStatuses", ())]
    return any(status["restartCount"] > 0 for status in statuses)


def _said(stage: Stage, name: str) -> str:
    pods = [child for child in stage.children(name) if child.startswith("pod/")]
    return "\n".join(stage.cluster.kubectl("-n", NAMESPACE, "logs", pod, "--tail=20", check=False) for pod in pods)
