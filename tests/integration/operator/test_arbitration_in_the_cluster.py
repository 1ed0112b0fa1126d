"""One accelerator and two ModelDeployments that want it, told apart by their priority."""

import json
from typing import Any

import pytest

from children import until
from kubectl import Kubectl
from manifests import model_deployment
from modelserver_metrics import Fleet
from operator_process import GPU, SHOP, Machine, condition

pytestmark = pytest.mark.integration

TICKS = 6


def wanting(name: str, priority: int) -> dict[str, Any]:
    """Return a ModelDeployment that is served for half the price on the accelerator."""
    return model_deployment(
        {
            "metadata.name": name,
            "metadata.namespace": SHOP,
            "spec.priority": priority,
            "spec.variants": [{"name": "full", "accuracy": "0.9"}],
            "spec.placements": [
                {"name": "gpu", "hourlyCost": "0.1", "startSeconds": 5, "accelerator": {"resourceName": GPU}},
                {"name": "cpu", "hourlyCost": "0.2", "startSeconds": 5},
            ],
            "spec.capacity": [
                {"placement": placement, "variant": "full", "perRequestMilliseconds": "8"}
                for placement in ("gpu", "cpu")
            ],
            "spec.scaling": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 2}}},
            "spec.serving": {"terminationGracePeriodSeconds": 5},
        }
    )


def serves_from(placement: str, *accelerator: str) -> Any:
    """Return what tells whether a status says that a placement serves, with a ready replica, and this of accelerators."""
    return lambda status: (
        (active := status.get("active") or {}).get("placement") == placement
        and active["readyReplicas"] > 0
        and condition(status, "AcceleratorAvailable")[: len(accelerator)] == accelerator
    )


def test_accelerator_is_the_higher_priority_s_and_the_other_s_once_that_is_gone(
    machine: Machine, kubectl: Kubectl, fleet: Fleet, prometheus_url: str
) -> None:
    for name in ("common", "urgent"):
        fleet.serve(name, "gpu-full", 5.0, 0.02)
    both = {"apiVersion": "v1", "kind": "List", "items": [wanting("common", 0), wanting("urgent", 10)]}
    kubectl("apply", "-f", "-", stdin=json.dumps(both))

    with machine.operator(prometheus_url, intervalSeconds=1, rateWindowSeconds=2, staleAfterSeconds=4, tuningSeconds=0):
        # A pod may serve before its load is known, and as long as it is not nobody asks for an accelerator.
        machine.until("urgent", serves_from("gpu", "True", "Schedulable"), 60.0)
        common = machine.until("common", serves_from("cpu", "False", "HigherPriority"), 30.0)
        assert not common.get("unavailable"), "what is not free is not asked for"
        assert "higher priority elsewhere" in json.dumps(common["lastDecision"])

        written, ticks = machine.status_writes(), machine.ticks()
        until(lambda: machine.ticks() >= ticks + TICKS)
        assert machine.status_writes() - written <= TICKS // 2, "nothing changes, so few figures are written anew"

        kubectl("-n", SHOP, "delete", "modeldeployment", "urgent")
        freed = machine.until("common", serves_from("gpu", "True"), 90.0)
        assert not freed.get("unavailable"), "it was not asked for while the other's pods were leaving"
