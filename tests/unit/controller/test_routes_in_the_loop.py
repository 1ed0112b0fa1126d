"""ModelDeployments behind a gateway, on a fake cluster: their route, and the second pool that it shares requests with."""

from copy import deepcopy

import pytest

from loop_rig import (
    START,
    Harness,
    run_all_pods,
    running,
)
from modelscaler.domain import (
    Value,
)

GATEWAY = {"parentRefs": [{"name": "edge"}]}


async def test_route_is_written_and_told_of_when_a_gateway_is_asked_for() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.serving.gateway": GATEWAY})
        await harness.tick()
        route = harness.cluster.objects["HTTPRoute", "ranker"]
        assert [b["name"] for b in route["spec"]["rules"][0]["backendRefs"]] == ["ranker"]
        assert harness.condition("Routed")["reason"] == "RouteNotAccepted"

        accepted = [{"type": "Accepted", "status": "True", "observedGeneration": 1}]
        harness.cluster.put(route | {"status": {"parents": [{"parentRef": {"name": "edge"}, "conditions": accepted}]}})
        await harness.tick()
        assert harness.condition("Routed")["status"] == "True"


async def test_nothing_is_written_when_nothing_changes_behind_a_gateway() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.serving.gateway": GATEWAY})
        for _ in range(3):
            await harness.tick()
        before = len(harness.cluster.writes)
        for _ in range(5):
            await harness.tick()
        assert harness.cluster.writes[before:] == []


async def test_route_is_deleted_when_the_gateway_leaves_the_spec() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.serving.gateway": GATEWAY})
        await harness.tick()
        harness.deploy(**{"metadata.generation": 2})
        await harness.tick()
        assert ("HTTPRoute", "ranker") not in harness.cluster.objects


async def test_no_route_is_written_when_the_cluster_does_not_serve_gateway_api() -> None:
    async with running(Harness()) as harness:
        harness.cluster.serves_routes = False
        harness.deploy(**{"spec.serving.gateway": GATEWAY})
        await harness.tick()
        assert ("HTTPRoute", "ranker") not in harness.cluster.objects
        assert harness.condition("Routed")["reason"] == "GatewayAPINotServed"
        assert harness.failed == []


def backends(harness: Harness) -> dict[str, int]:
    (rule,) = harness.cluster.objects["HTTPRoute", "ranker"]["spec"]["rules"]
    return {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}


async def test_second_pool_gets_its_share_when_it_is_ready_and_no_request_when_it_is_no_longer_needed() -> None:
    async with running(Harness()) as harness:
        cpu = {"placement": "cpu", "variant": "full", "perRequestMilliseconds": "20"}
        harness.deploy(
            **{
                "spec.serving.gateway": GATEWAY,
                "spec.placements": [{"name": "cpu", "hourlyCost": "0.25"}, {"name": "gpu", "hourlyCost": "1"}],
                "spec.capacity": [cpu, {"placement": "gpu", "variant": "full", "perRequestMilliseconds": "4"}],
                "spec.scaling": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}},
            }
        )
        harness.source.offered = Value(100.0, START)
        for _ in range(3):
            await harness.tick()
            run_all_pods(harness)
        assert backends(harness) == {"ranker": 1000}

        harness.source.offered = Value(240.0, START)
        await harness.tick()
        starting = backends(harness)
        both, *alone = harness.status["lastDecision"]["candidates"]
        assert (both["placement"], both["side"]["placement"]) == ("gpu", "cpu")
        assert both["hourlyCost"] == harness.status["desired"]["hourlyCost"]
        assert [(one["placement"], "whyNot" in one) for one in alone] == [("gpu", True), ("cpu", True)]
        run_all_pods(harness)
        await harness.tick()
        side = harness.status["side"]
        assert (starting, side["placement"], side["readyReplicas"] > 0) == ({"ranker": 1000}, "cpu", True)
        assert set(backends(harness)) == {"ranker", "ranker-beside"}
        assert float(side["share"]) == pytest.approx(backends(harness)["ranker-beside"] / 1000.0, abs=1e-3)
        assert (
            harness.cluster.objects["Service", "ranker-beside"]["spec"]["selector"]["modelscaler.dev/pool"]
            == "cpu-full"
        )

        harness.source.offered = Value(150.0, START)
        for _ in range(3):
            await harness.tick()
            run_all_pods(harness)
        assert backends(harness) == {"ranker": 1000}
        assert harness.cluster.objects["Deployment", "ranker-cpu-full"]["spec"]["replicas"] == 0
        assert harness.cluster.objects["Deployment", "ranker-gpu-full"]["spec"]["replicas"] == 1
        assert harness.failed == []


async def test_service_of_somebody_else_is_left_alone_when_it_has_the_name_of_the_second_pool_s() -> None:
    async with running(Harness()) as harness:
        cpu = {"placement": "cpu", "variant": "full", "perRequestMilliseconds": "20"}
        harness.deploy(
            **{
                "spec.serving.gateway": GATEWAY,
                "spec.placements": [{"name": "cpu", "hourlyCost": "0.25"}, {"name": "gpu", "hourlyCost": "1"}],
                "spec.capacity": [cpu, {"placement": "gpu", "variant": "full", "perRequestMilliseconds": "4"}],
            }
        )
        theirs = {
            "name": "ranker-beside",
            "namespace": "shop",
            "labels": {"modelscaler.dev/deployment": "ranker-beside"},
        }
        before = harness.cluster.put({"kind": "Service", "metadata": theirs, "spec": {"selector": {}}})
        harness.source.offered = Value(100.0, START)
        for _ in range(3):
            await harness.tick()
            run_all_pods(harness)
        harness.source.offered = Value(240.0, START)
        for _ in range(3):
            await harness.tick()
            run_all_pods(harness)
        assert harness.cluster.objects["Service", "ranker-beside"] == before
        assert harness.condition("Applied")["reason"] == "WorkloadConflict"
        assert backends(harness) == {"ranker": 1000}


async def test_route_is_mended_when_somebody_changes_it() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.serving.gateway": GATEWAY})
        for _ in range(2):
            await harness.tick()
        as_applied = harness.cluster.objects["HTTPRoute", "ranker"]
        theirs = deepcopy(as_applied) | {"spec": {"rules": []}}
        theirs["metadata"]["managedFields"] = [{"manager": "modelscaler", "operation": "Apply", "fieldsV1": {}}]
        harness.cluster.put(theirs)
        for _ in range(2):
            await harness.tick()
        assert harness.cluster.objects["HTTPRoute", "ranker"]["spec"] == as_applied["spec"]
