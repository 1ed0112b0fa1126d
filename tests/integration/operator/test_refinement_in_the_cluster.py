"""What loaded replicas show corrects the stated speed, in status and in the plan, and lasts through a restart."""

import json
from itertools import pairwise
from typing import Any

import pytest

from kubectl import Kubectl
from manifests import model_deployment
from modelscaler.capacity.measured import STEP
from modelscaler.capacity.refine import LARGEST_DROP, LARGEST_STEP, LEAST_KEPT, SMALLEST_FACTOR
from modelserver_metrics import Fleet
from operator_process import SHOP, Machine, condition

pytestmark = pytest.mark.integration

QUICK = {
    "intervalSeconds": 0.5,
    "rateWindowSeconds": 2,
    "staleAfterSeconds": 4,
    "statusRefreshSeconds": 1,
    "tuningSeconds": 0,
}
RPS = 700.0

STATED_FASTER = model_deployment(
    {
        "metadata.name": "slow",
        "metadata.namespace": SHOP,
        "spec.variants": [{"name": "full", "accuracy": "0.9"}],
        "spec.slo": {"latency": {"percentile": 95, "targetMilliseconds": 300}},
        "spec.placements.0.startSeconds": 2,
        "spec.capacity": [{"placement": "cpu", "variant": "full", "perRequestMilliseconds": "1", "maxBatch": 8}],
        "spec.scaling": {"maxReplicas": 1},
    }
)


def speed(status: dict[str, Any]) -> dict[str, Any]:
    """Return what status says of the one capacity entry; nothing before it was measured."""
    entry: dict[str, Any] = next(iter(status.get("capacity", ())), {})
    return entry if "speedFactor" in entry else {}


def carries_less_than_the_load(status: dict[str, Any]) -> bool:
    """Tell whether status says that a replica carries less than is asked of it."""
    return bool(speed(status)) and float(speed(status)["sustainableRps"]) < RPS


def test_plan_follows_what_replicas_show_within_its_bounds_and_after_a_restart(
    machine: Machine, kubectl: Kubectl, fleet: Fleet, prometheus_url: str
) -> None:
    """One replica is stated to carry the load, and its answers take twice as long as they may."""
    fleet.serve("slow", "cpu-full", RPS, 0.02)
    kubectl("apply", "-f", "-", stdin=json.dumps(STATED_FASTER))

    with machine.operator(prometheus_url, **QUICK):
        stated = machine.until("slow", lambda status: (status.get("active") or {}).get("readyReplicas") == 1, 60.0)
        assert float(stated["capacity"][0]["sustainableRps"]) > RPS
        fleet.serve("slow", "cpu-full", RPS, 0.6)
        seen = machine.statuses("slow", carries_less_than_the_load, 60.0)

    found, factors = speed(seen[-1]), [1.0, *(float(speed(status)["speedFactor"]) for status in seen if speed(status))]
    assert found["source"] == "Measured"
    assert float(found["speedFactor"]) >= SMALLEST_FACTOR
    assert float(found["sustainableRps"]) >= LEAST_KEPT * float(found["statedRps"])
    assert all(later >= earlier * (1.0 - LARGEST_STEP - 2 * STEP) for earlier, later in pairwise(factors))
    assert seen[-1]["desired"]["replicas"] == 1
    assert condition(seen[-1], "ScalingLimited") == ("True", "MaxReplicas")

    kubectl("-n", SHOP, "patch", "mdep", "slow", "--type=merge", "-p", '{"spec":{"scaling":{"maxReplicas":4}}}')
    with machine.operator(prometheus_url, **QUICK):
        after = machine.until("slow", lambda status: status.get("observedGeneration") == 2, 60.0)

    assert speed(after)["speedFactor"] == found["speedFactor"], "what was measured lasts"
    assert after["desired"]["replicas"] == 2


def test_replica_that_does_not_keep_up_is_counted_on_at_once_for_what_it_answers(
    machine: Machine, kubectl: Kubectl, fleet: Fleet, prometheus_url: str
) -> None:
    """One replica is stated to carry the load, and answers a little more than half of it while the rest waits."""
    fleet.serve("behind", "cpu-full", RPS, 0.02)
    body = {**STATED_FASTER, "metadata": {**STATED_FASTER["metadata"], "name": "behind"}}
    kubectl("apply", "-f", "-", stdin=json.dumps(body))

    with machine.operator(prometheus_url, **QUICK):
        machine.until("behind", lambda status: (status.get("active") or {}).get("readyReplicas") == 1, 60.0)
        fleet.serve("behind", "cpu-full", RPS, 4.0, answered_rps=400.0)
        seen = machine.statuses("behind", carries_less_than_the_load, 60.0)

    factors = [1.0, *(float(speed(status)["speedFactor"]) for status in seen if speed(status))]
    steps = [later / earlier for earlier, later in pairwise(factors)]
    assert 1.0 - LARGEST_DROP - 2 * STEP <= min(steps) < 1.0 - 2.0 * LARGEST_STEP, "at once, but not all of it"
