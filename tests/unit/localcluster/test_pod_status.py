"""A pod's status from its containers."""

from dataclasses import replace
from typing import Any

import pytest

from localcluster.node.recovery import initial_record
from localcluster.node.status import ContainerRecord, PodRecord, phase, pod_status

NOW, EARLIER = "2026-01-01T00:00:10Z", "2026-01-01T00:00:00Z"
WAITING = ContainerRecord("main", "image")
RUNNING = replace(
    WAITING, state={"running": {"startedAt": EARLIER}}, ready=True, started=True, container_id="local://1"
)


def _ended(code: int) -> ContainerRecord:
    return replace(WAITING, state={"terminated": {"exitCode": code}}, container_id="local://1")


def _pod(policy: str = "Always", **spec: Any) -> dict[str, Any]:
    return {"metadata": {}, "spec": {"restartPolicy": policy, "containers": [{"name": "main"}], **spec}}


def _record(*containers: ContainerRecord, init: tuple[ContainerRecord, ...] = ()) -> PodRecord:
    return PodRecord("127.64.0.1", EARLIER, init, containers)


def _conditions(pod: dict[str, Any], record: PodRecord) -> dict[str, dict[str, Any]]:
    return {one["type"]: one for one in pod_status(pod, record, NOW)["conditions"]}


CRASHING = replace(_ended(1), state={"waiting": {"reason": "CrashLoopBackOff"}}, last_state=_ended(1).state)


@pytest.mark.parametrize(
    ("policy", "container", "expected"),
    [
        ("Always", WAITING, "Pending"),
        ("Always", RUNNING, "Running"),
        ("Always", _ended(0), "Running"),
        ("Always", CRASHING, "Running"),
        ("Never", _ended(0), "Succeeded"),
        ("Never", _ended(3), "Failed"),
        ("OnFailure", _ended(0), "Succeeded"),
        ("OnFailure", _ended(3), "Running"),
    ],
)
def test_phase_follows_container_and_restart_policy(policy: str, container: ContainerRecord, expected: str) -> None:
    assert phase(_pod(policy), _record(container)) == expected


def test_phase_is_failed_when_an_init_container_failed_for_good() -> None:
    pod = _pod("Never", initContainers=[{"name": "init"}])
    assert phase(pod, _record(WAITING, init=(_ended(1),))) == "Failed"
    assert phase(_pod("Always", initContainers=[{"name": "init"}]), _record(WAITING, init=(_ended(1),))) == "Pending"


def test_pod_is_initialized_when_a_sidecar_has_started() -> None:
    pod = _pod(initContainers=[{"name": "side", "restartPolicy": "Always"}])
    assert _conditions(pod, _record(WAITING, init=(WAITING,)))["Initialized"]["status"] == "False"
    assert _conditions(pod, _record(RUNNING, init=(RUNNING,)))["Initialized"]["status"] == "True"


def test_unready_containers_are_named_when_the_pod_is_not_ready() -> None:
    ready = _conditions(_pod(), _record(replace(RUNNING, ready=False)))["Ready"]
    assert (ready["status"], ready["reason"], ready["message"]) == (
        "False",
        "ContainersNotReady",
        "containers with unready status: [main]",
    )


def test_pod_waits_for_its_readiness_gates_when_containers_are_ready() -> None:
    pod = _pod(readinessGates=[{"conditionType": "gate"}])
    conditions = _conditions(pod, _record(RUNNING))
    assert conditions["ContainersReady"]["status"] == "True"
    assert conditions["Ready"]["reason"] == "ReadinessGatesNotReady"
    pod["status"] = {"conditions": [{"type": "gate", "status": "True"}]}
    assert _conditions(pod, _record(RUNNING))["Ready"]["status"] == "True"


def test_transition_time_stays_when_a_condition_does_not_change() -> None:
    pod = _pod()
    pod["status"] = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": EARLIER}]}
    assert _conditions(pod, _record(RUNNING))["Ready"]["lastTransitionTime"] == EARLIER
    assert _conditions(pod, _record(WAITING))["Ready"]["lastTransitionTime"] == NOW


def test_restarts_are_counted_on_when_a_dead_node_had_run_the_container() -> None:
    before = {"name": "main", "restartCount": 2, "containerID": "local://1", "state": {"running": {}}}
    record = initial_record({"name": "main", "image": "i"}, {"status": {"containerStatuses": [before]}})
    assert record.restart_count == 3
    assert record.last_state["terminated"]["reason"] == "ContainerStatusUnknown"
