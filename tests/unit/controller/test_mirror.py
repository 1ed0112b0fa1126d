"""The mirror: feeds in any order give one truth, and ghosts go."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelscaler.controller.mirror import Mirror
from modelscaler.controller.summaries import observe_pool
from modelscaler.domain import PoolKey, WorkloadKey

KEY = WorkloadKey("shop", "ranker")
POOL = PoolKey("cpu", "int8")


def model_deployment(version: int = 1, generation: int = 1, **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "ranker",
            "namespace": "shop",
            "uid": "u1",
            "generation": generation,
            "resourceVersion": str(version),
            **meta,
        },
        "spec": {
            "model": {"uri": "builtin://search-ranker"},
            "variants": [{"name": "int8", "accuracy": "0.9"}],
            "placements": [{"name": "cpu", "hourlyCost": "1"}],
            "slo": {"latency": {"targetMilliseconds": 100}},
            "capacity": [{"placement": "cpu", "variant": "int8", "perRequestMilliseconds": "5"}],
        },
    }


def child(name: str = "ranker-cpu-int8", version: int = 1, **spec: Any) -> dict[str, Any]:
    labels = {"modelscaler.dev/deployment": "ranker", "modelscaler.dev/pool": "cpu-int8"}
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"u-{name}",
            "resourceVersion": str(version),
            "labels": labels,
        },
        "spec": {"replicas": 2, **spec},
        "status": {"replicas": 1},
    }


def pod(
    version: int = 1, ready_at: str | None = None, restarts: int = 0, name: str = "p1", phase: str = "Running"
) -> dict[str, Any]:
    labels = {"modelscaler.dev/deployment": "ranker", "modelscaler.dev/pool": "cpu-int8"}
    ready = {"type": "Ready", "status": "True" if ready_at else "False", "lastTransitionTime": ready_at}
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"u-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": labels,
        },
        "status": {"phase": phase, "conditions": [ready], "containerStatuses": [{"restartCount": restarts}]},
    }


@pytest.fixture
def touched() -> list[WorkloadKey]:
    return []


@pytest.fixture
def mirror(touched: list[WorkloadKey]) -> Mirror:
    return Mirror(touched.append)


def test_new_generation_touches_when_absorbed(mirror: Mirror, touched: list[WorkloadKey]) -> None:
    mirror.absorb("ModelDeployment", model_deployment(1))
    mirror.absorb("ModelDeployment", model_deployment(2, generation=2))
    assert touched == [KEY, KEY]


def test_own_status_write_does_not_touch_when_absorbed(mirror: Mirror, touched: list[WorkloadKey]) -> None:
    mirror.absorb("ModelDeployment", model_deployment(1))
    mirror.absorb("ModelDeployment", {**model_deployment(2), "status": {"observedGeneration": 1}})
    assert touched == [KEY]
    entry = mirror.entry(KEY)
    assert entry is not None
    assert entry.status.observed_generation == 1


def test_pause_touches_when_the_annotation_appears(mirror: Mirror, touched: list[WorkloadKey]) -> None:
    mirror.absorb("ModelDeployment", model_deployment(1))
    mirror.absorb("ModelDeployment", model_deployment(2, annotations={"modelscaler.dev/paused": "true"}))
    assert len(touched) == 2
    entry = mirror.entry(KEY)
    assert entry is not None
    assert entry.paused


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_pod_that_was_evicted_or_refused_by_its_node_is_gone(mirror: Mirror, phase: str) -> None:
    mirror.absorb("Deployment", child())
    mirror.absorb("Pod", pod(ready_at="2026-01-01T00:00:05Z"))
    mirror.absorb("Pod", pod(name="p2", phase=phase))
    (deployment,) = mirror.deployments(KEY)
    seen = observe_pool(deployment, mirror.pods(KEY), [], datetime(2026, 1, 1, tzinfo=UTC))

    assert (seen.ready, seen.starting, seen.terminating, seen.unready_seconds) == (1, 0, 0, 0.0)


def test_older_version_is_ignored_when_a_newer_is_known(mirror: Mirror) -> None:
    mirror.absorb("Deployment", child(version=5, replicas=7))
    mirror.absorb("Deployment", child(version=4, replicas=1))
    assert [d.replicas for d in mirror.deployments(KEY)] == [7]


def test_deleted_object_stays_gone_when_an_older_list_still_has_it(mirror: Mirror) -> None:
    mirror.absorb("Deployment", child(version=5))
    mirror.drop("Deployment", child(version=6))
    mirror.replace("Deployment", [child(version=5)], list_version=5)
    assert mirror.deployments(KEY) == []


def test_ghosts_are_dropped_when_a_list_lacks_them(mirror: Mirror, touched: list[WorkloadKey]) -> None:
    mirror.absorb("ModelDeployment", model_deployment(1))
    mirror.absorb("Pod", pod(version=2))
    assert mirror.replace("ModelDeployment", [], list_version=9) == 1
    assert mirror.replace("Pod", [], list_version=9) == 1
    assert mirror.keys() == []
    assert mirror.pods(KEY) == []
    assert touched[-1] == KEY


def test_newer_object_survives_when_the_list_is_older(mirror: Mirror) -> None:
    mirror.absorb("Deployment", child(version=12))
    assert mirror.replace("Deployment", [], list_version=9) == 0
    assert len(mirror.deployments(KEY)) == 1


def test_child_that_did_not_change_does_not_touch_when_its_version_moves(
    mirror: Mirror, touched: list[WorkloadKey]
) -> None:
    mirror.absorb("Deployment", child(version=1))
    mirror.absorb("Deployment", child(version=2))
    assert len(touched) == 1


def test_start_is_measured_once_when_a_pod_becomes_ready(mirror: Mirror) -> None:
    mirror.absorb("Pod", pod(version=1))
    mirror.absorb("Pod", pod(version=2, ready_at="2026-01-01T00:00:12Z"))
    mirror.absorb("Pod", pod(version=3, ready_at="2026-01-01T00:00:12Z"))
    assert mirror.starts_seconds(KEY, POOL) == [12.0]


def test_start_counts_for_an_hour_when_a_pod_waited_a_day_for_something_that_was_not_there(mirror: Mirror) -> None:
    mirror.absorb("Pod", pod(version=1))
    mirror.absorb("Pod", pod(version=2, ready_at="2026-01-02T00:00:12Z"))
    assert mirror.starts_seconds(KEY, POOL) == [3600.0]


def test_start_is_not_measured_when_the_pod_restarted(mirror: Mirror) -> None:
    mirror.absorb("Pod", pod(version=1))
    mirror.absorb("Pod", pod(version=2, ready_at="2026-01-01T01:00:00Z", restarts=1))
    assert mirror.starts_seconds(KEY, POOL) == []


def test_start_is_not_measured_again_when_a_pod_lost_its_readiness_and_has_it_back(mirror: Mirror) -> None:
    mirror.absorb("Pod", pod(version=1))
    mirror.absorb("Pod", pod(version=2, ready_at="2026-01-01T00:00:12Z"))
    mirror.absorb("Pod", pod(version=3))
    mirror.absorb("Pod", pod(version=4, ready_at="2026-01-04T00:00:00Z"))
    mirror.absorb("Pod", pod(version=5))
    mirror.absorb("Pod", pod(version=6, ready_at="2026-01-05T00:00:00Z"))
    assert mirror.starts_seconds(KEY, POOL) == [12.0]


def test_start_is_not_measured_when_readiness_came_back_between_two_looks(mirror: Mirror) -> None:
    mirror.absorb("Pod", pod(version=2, ready_at="2026-01-01T00:00:12Z"))
    mirror.absorb("Pod", pod(version=4, ready_at="2026-01-04T00:00:00Z"))
    mirror.absorb("Pod", pod(version=5, ready_at="2026-01-04T00:00:00Z"))
    assert mirror.starts_seconds(KEY, POOL) == [12.0]


def test_nothing_is_kept_of_modeldeployments_that_are_gone(mirror: Mirror) -> None:
    for number in range(5):
        entry = {**model_deployment(), "metadata": {**model_deployment()["metadata"], "name": f"ranker{number}"}}
        mirror.absorb("ModelDeployment", entry)
        found = pod(ready_at="2026-01-01T00:00:12Z")
        found["metadata"]["labels"]["modelscaler.dev/deployment"] = f"ranker{number}"
        mirror.drop("ModelDeployment", entry)
        mirror.absorb("Pod", found)
        mirror.drop("Pod", {"metadata": {**found["metadata"], "resourceVersion": "2"}})
        found["metadata"]["resourceVersion"] = "3"
    assert [table for table in (mirror._pods, mirror._starts) if table] == []


@pytest.mark.parametrize("kind", ["Deployment", "Service", "Pod"])
def test_object_without_our_labels_is_passed_over_when_fed(mirror: Mirror, kind: Any) -> None:
    mirror.absorb(kind, {"metadata": {"name": "x", "namespace": "shop", "uid": "u", "resourceVersion": "1"}})
    assert (mirror.deployments(KEY), mirror.pods(KEY), mirror.service(KEY)) == ([], [], None)


def test_invalid_spec_becomes_the_entrys_error_when_absorbed(mirror: Mirror) -> None:
    body = model_deployment()
    body["spec"]["slo"]["latency"]["targetMilliseconds"] = -5
    mirror.absorb("ModelDeployment", body)
    entry = mirror.entry(KEY)
    assert entry is not None
    assert entry.resource is None
    assert "targetMilliseconds" in str(entry.error)
    assert "-5" in str(entry.error)


def test_list_of_a_restored_api_server_counts_though_its_versions_are_older(mirror: Mirror) -> None:
    mirror.absorb("ModelDeployment", model_deployment(900, generation=4))
    mirror.absorb("Deployment", child(version=950, replicas=9))
    mirror.absorb("Deployment", child("ranker-gpu-full", version=960))
    mirror.drop("Deployment", child("ranker-cpu-full", version=970))

    restored = [child(version=40, replicas=3), child("ranker-cpu-full", version=41)]
    mirror.replace("Deployment", restored, 50, known_before=mirror.newest_version("Deployment"))
    mirror.replace(
        "ModelDeployment", [model_deployment(30, generation=2)], 50, mirror.newest_version("ModelDeployment")
    )

    replicas = {d.name: d.replicas for d in mirror.deployments(KEY)}
    assert replicas == {"ranker-cpu-int8": 3, "ranker-cpu-full": 2}
    entry = mirror.entry(KEY)
    assert entry is not None
    assert entry.generation == 2


def test_what_came_while_a_list_was_read_is_kept(mirror: Mirror) -> None:
    mirror.absorb("Deployment", child(version=10))
    known_before = mirror.newest_version("Deployment")
    mirror.absorb("Deployment", child("ranker-gpu-full", version=12))
    mirror.replace("Deployment", [child(version=10)], 11, known_before)
    assert len(mirror.deployments(KEY)) == 2


def activator(version: int = 1, digest: str = "") -> dict[str, Any]:
    made = child("ranker-activator", version)
    made["metadata"]["labels"] = made["metadata"]["labels"] | {"modelscaler.dev/pool": "activator"}
    made["metadata"]["annotations"] = {"modelscaler.dev/template-digest": digest}
    return made


def test_activator_is_apart_from_the_pools_when_absorbed(mirror: Mirror, touched: list[WorkloadKey]) -> None:
    mirror.absorb("Deployment", child())
    assert mirror.activator(KEY) is None
    mirror.absorb("Deployment", activator())
    assert [deployment.pool for deployment in mirror.deployments(KEY)] == [POOL]
    assert (found := mirror.activator(KEY)) is not None
    assert found.name == "ranker-activator"
    before = len(touched)
    mirror.absorb("Deployment", activator(version=2))
    assert len(touched) == before, "nothing of it has changed"
    mirror.absorb("Deployment", activator(version=3, digest="d"))
    assert len(touched) == before + 1
    mirror.drop("Deployment", activator(version=4))
    assert mirror.activator(KEY) is None
    assert touched[-1] == KEY


def test_a_pool_s_deployment_is_not_taken_for_the_activator_when_it_bears_its_name(mirror: Mirror) -> None:
    mirror.absorb("Deployment", child("ranker-activator"))
    assert mirror.activator(KEY) is None


def test_service_touches_when_it_selects_the_activator(mirror: Mirror, touched: list[WorkloadKey]) -> None:
    for version, pool in ((1, "cpu-int8"), (2, "activator"), (3, "activator"), (4, "cpu-int8")):
        mirror.absorb("Service", child("ranker", version, selector={"modelscaler.dev/pool": pool}))
    assert touched == [KEY] * 3
