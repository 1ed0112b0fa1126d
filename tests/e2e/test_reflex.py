"""The reflex: a burst beyond what the planned variant carries is answered by a cheaper one, in the same pods."""

import json
import urllib.request
from typing import Any

import pytest

from modelscaler.planner.savings import MOST_OVERDRAFT
from stage import NAMESPACE, Stage, capacity, cpu, model_deployment, scaling

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

QUIET_RPS = 6.0
BURSTS_RPS = (45.0, 65.0, 95.0, 140.0)
"""0.4 CPU answers 30 to 60 requests a second by full, as the machine is, and twice that by int8: one of these is between."""
NAME = "burst"


def bursty(**slo: str) -> dict[str, Any]:
    """Build a ModelDeployment of one replica that holds int8 beside full, for bursts only."""
    return model_deployment(
        NAME,
        variants=[{"name": "full", "accuracy": "0.95"}, {"name": "int8", "accuracy": "0.9"}],
        capacity=[capacity("cpu", "full"), capacity("cpu", "int8", "14") | {"reflexOnly": True}],
        placements=[cpu(startSeconds=10)],
        slo={"latency": {"percentile": 95, "targetMilliseconds": 500}, "minAccuracy": "0.5", "minMeanAccuracy": "0.92"}
        | slo,
        scaling=scaling(maxReplicas=1),
    )


def test_burst_is_answered_by_the_cheaper_variant_and_status_says_so(stage: Stage) -> None:
    name = stage.apply(bursty())
    stage.until_serving(name, "cpu-full", seconds=90)
    pod = only_pod(stage)
    assert held(stage, pod) == "full,int8"
    with stage.load(name, QUIET_RPS) as quiet:
        stage.until(lambda: stage.status(name).get("degradedShare") == "0", "full answers while it has time", 60)
        assert stage.status(name)["servedAccuracy"] == "0.95"
        quiet.stop_sending()
        assert quiet.wait(40)["lost"] == 0
    summary = burst_that_degrades(stage, name)
    assert summary["lost"] == 0, summary
    assert summary["versions"]["int8"] > 0, "the burst was answered by the rung"
    assert float(stage.status(name)["policy"]["savings"]["answers"]) != 0.0, "what answers saved and spent is counted"
    ladder = stage.get("cm", f"{name}-cpu-full-ladder")["data"]["ladder.json"]
    assert 0.0 <= float(json.loads(ladder)["overdraft"]) <= MOST_OVERDRAFT
    stage.apply(bursty(minAccuracy="0.92"))
    stage.until(lambda: held(stage, pod) == "full", "the rung below the new floor goes, at run time", 60)
    assert only_pod(stage) == pod, "no pod is restarted for another ladder"
    stage.delete(name)


def burst_that_degrades(stage: Stage, name: str) -> dict[str, Any]:
    """Send larger and larger bursts until status tells of cheaper answers; return the summary of that burst's load."""
    for rate_rps in BURSTS_RPS:
        with stage.load(name, rate_rps) as burst:
            degrades = stage.holds_within(lambda: float(stage.status(name).get("degradedShare", "0")) >= 0.1, 40)
            accuracy = float(stage.status(name)["servedAccuracy"])
            burst.stop_sending()
            summary = burst.wait(40)
        if degrades:
            assert 0.9 <= accuracy < 0.95
            return summary
    raise AssertionError(f"status tells of no cheaper answers at {BURSTS_RPS[-1]:g} requests a second")


def only_pod(stage: Stage) -> str:
    """Return the name of the one pod."""
    (pod,) = [child for child in stage.children(NAME) if child.startswith("pod/")]
    return pod.removeprefix("pod/")


def held(stage: Stage, pod: str) -> str:
    """Return the variants that a pod says it holds."""
    address = json.loads(stage.cluster.kubectl("-n", NAMESPACE, "get", "pod", pod, "-o", "json"))["status"]["podIP"]
    with urllib.request.urlopen(f"http://{address}:8080/metrics", timeout=5) as answer:
        lines: list[str] = answer.read().decode().splitlines()
    (line,) = [line for line in lines if line.startswith("modelserver_ladder_info{") and line.endswith(" 1.0")]
    return line.partition('variants="')[2].partition('"')[0]
