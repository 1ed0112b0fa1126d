"""Switches of pools: a GPU that cannot be had, an operator that dies half-way, and never a lost request."""

import os
import signal
import time
from pathlib import Path

import pytest

from stage import NAMESPACE, OPERATOR, Stage, capacity, cpu, gpu, model_deployment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

BOTH = {"placements": [gpu(), cpu()], "capacity": [capacity("gpu", "int8"), capacity("cpu", "int8")]}


def test_runner_up_serves_when_the_gpu_node_fails_and_the_gpu_serves_again_when_it_is_back(stage: Stage) -> None:
    name = stage.apply(model_deployment("stockout", **BOTH))
    stage.until_serving(name, "gpu-int8")
    with stage.load(name, 8.0, "--deadline", "8") as load:
        stage.cluster.fail_node("gpu-node")
        try:
            stage.until_serving(name, "cpu-int8", seconds=90)
            stage.until(
                lambda: _unavailable(stage, name) == ["gpu"], "status says that the gpu pool is unavailable", 10
            )
            assert stage.condition(name, "AcceleratorAvailable")["status"] == "False"
            time.sleep(10.0)  # by now every request that the dead node took with it has been given up
        finally:
            stage.cluster.recover_node("gpu-node")
        lost_with_the_node = sum(second.lost for second in load.seconds)
        stage.until_serving(name, "gpu-int8", seconds=120)
        stage.until(
            lambda: not any(n.startswith("pod/stockout-cpu") for n in stage.children(name)), "the cpu pool is gone", 60
        )
        lost_by_us = sum(second.lost for second in load.seconds) - lost_with_the_node
    assert lost_by_us == 0, "the switch back is ours, and loses nothing"
    reasons = stage.cluster.kubectl("-n", "shop", "get", "events", "-o", "jsonpath={.items[*].reason}").split()
    assert "CandidateUnavailable" in reasons
    stage.delete(name)


def test_runner_up_serves_when_no_accelerator_is_free(stage: Stage) -> None:
    stage.cluster.set_accelerators("gpu-node", {"nvidia.com/gpu": 0})
    try:
        name = stage.apply(model_deployment("nogpu", **BOTH))
        stage.until_serving(name, "cpu-int8", seconds=90)
        # A pod that serves before its metrics were read has an unknown load: nothing is asked for then for a saving.
        stage.until(
            lambda: stage.condition(name, "AcceleratorAvailable")["status"] == "False", "accelerators are missed", 60
        )
        available = stage.condition(name, "AcceleratorAvailable")
        noticed_first = {
            "TooFewAccelerators": "accelerators.supply",
            "Unschedulable": "no node has room",
        }  # count or scheduler
        assert noticed_first[available["reason"]] in available["message"]
    finally:
        stage.cluster.set_accelerators("gpu-node", {"nvidia.com/gpu": 2})
    stage.until_serving(name, "gpu-int8", seconds=120)
    stage.delete(name)


def test_runner_up_serves_when_a_quota_lets_no_pod_of_the_better_pool_be_made(stage: Stage) -> None:
    quota = {"metadata": {"name": "memory", "namespace": NAMESPACE}, "spec": {"hard": {"limits.memory": "2Gi"}}}
    large = {"cpu": "400m", "memory": "3Gi"}
    stage.apply({"apiVersion": "v1", "kind": "ResourceQuota"} | quota)
    try:
        placements = [gpu(resources={"requests": large, "limits": large}), cpu()]
        name = stage.apply(model_deployment("quota", **BOTH | {"placements": placements}))
        stage.until_serving(name, "cpu-int8", seconds=90)
        assert [entry["reason"] for entry in stage.status(name)["unavailable"]] == ["FailedCreate"]
    finally:
        stage.cluster.kubectl("-n", NAMESPACE, "delete", "resourcequota", "memory")
    stage.until_serving(name, "gpu-int8", seconds=120)
    stage.delete(name)


def test_switch_converges_without_a_lost_request_when_the_operator_is_killed_half_way(stage: Stage) -> None:
    name = stage.apply(model_deployment("midswitch", **BOTH))
    stage.until_serving(name, "gpu-int8")
    with stage.load(name, 10.0) as load:
        stage.apply(model_deployment("midswitch"))  # the gpu placement leaves the spec
        stage.until(lambda: stage.status(name).get("transition"), "a switch is under way", 20)
        old = stage.leader()
        _kill_pod_processes(stage, old)
        stage.until(lambda: stage.leader() not in ("", old) or _restarted(stage, old), "somebody leads again", 40)
        stage.until_serving(name, "cpu-int8", seconds=60)
        stage.until(lambda: _pools(stage, name) == ["cpu-int8"], "one pool is left", 60)
        load.stop_sending()
        summary = load.wait(40)
    assert summary["ok"] > 0
    assert (summary["lost"], summary["resets"]) == (0, 0), summary
    assert "transition" not in stage.status(name)
    stage.delete(name)


def _unavailable(stage: Stage, name: str) -> list[str]:
    return [entry["placement"] for entry in stage.status(name).get("unavailable", ())]


def _pools(stage: Stage, name: str) -> list[str]:
    return [
        child.removeprefix(f"deployment.apps/{name}-")
        for child in stage.children(name)
        if child.startswith("deployment")
    ]


def _restarted(stage: Stage, pod: str) -> bool:
    statuses = stage.get("pod", pod, OPERATOR).get("status", {}).get("containerStatuses", ())
    return any(status["restartCount"] and status["ready"] for status in statuses)


def _kill_pod_processes(stage: Stage, pod: str) -> None:
    """Kill every process of an operator pod, as the kernel would on a dying machine."""
    killed = 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"POD_NAME={pod}".encode() in environment:
            os.kill(int(process.name), signal.SIGKILL)
            killed += 1
    assert killed, f"no process of {pod} was found"
