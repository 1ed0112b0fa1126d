"""What a pool looks like from its Deployment and pods."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelscaler.controller.summaries import (
    ActivatorSummary,
    DeploymentSummary,
    PodSummary,
    deployment_from,
    observe_pool,
    pod_from,
    service_from,
)
from modelscaler.domain import PoolKey, Rollout, WorkloadKey
from modelscaler.planner.starts import percentile

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = WorkloadKey("shop", "ranker")
LABELS = {"modelscaler.dev/deployment": "ranker", "modelscaler.dev/pool": "gpu-full"}
DEPLOYMENT = DeploymentSummary("shop", "ranker-gpu-full", "u", 1, OWNER, PoolKey("gpu", "full"), 3, None, "")


def body(
    *,
    conditions: dict[str, tuple[str, str]] | None = None,
    waiting: str = "",
    restarts: int = 0,
    deleting: bool = False,
) -> Any:
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "metadata": {
            "name": "p",
            "namespace": "shop",
            "resourceVersion": "1",
            "creationTimestamp": "2025-12-31T23:59:00Z",
            "labels": LABELS,
            **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {}),
        },
        "status": {
            "conditions": [
                {"type": kind, "status": status, "reason": reason, "lastTransitionTime": "2025-12-31T23:59:30Z"}
                for kind, (status, reason) in (conditions or {}).items()
            ],
            "containerStatuses": [{"restartCount": restarts, "state": state}],
        },
    }


def pod(**options: Any) -> PodSummary:
    summary = pod_from(body(**options))
    assert summary is not None
    return summary


READY = {"Ready": ("True", "")}


def test_ready_pods_count_when_they_are_not_terminating() -> None:
    seen = observe_pool(DEPLOYMENT, [pod(conditions=READY), pod(conditions=READY, deleting=True)], [], NOW)
    assert (seen.ready, seen.terminating, seen.starting, seen.unready_seconds) == (1, 1, 0, 0.0)


def test_pods_that_start_are_as_old_as_they_are_made_whenever_they_lost_their_readiness() -> None:
    fresh, flapped = pod(), pod(conditions={"Ready": ("False", "")})
    crashed, unplaced = pod(waiting="CrashLoopBackOff"), pod(conditions={"PodScheduled": ("False", "Unschedulable")})
    seen = observe_pool(DEPLOYMENT, [fresh, flapped, crashed, unplaced, pod(conditions=READY)], [], NOW)
    assert seen.starting_ages == (60.0, 60.0)


def test_pod_is_unschedulable_when_the_scheduler_says_so() -> None:
    seen = observe_pool(DEPLOYMENT, [pod(conditions={"PodScheduled": ("False", "Unschedulable")})], [], NOW)
    assert (seen.unschedulable, seen.starting, seen.failure) == (1, 0, "Unschedulable")
    assert seen.unready_seconds == 60.0


@pytest.mark.parametrize("waiting", ["CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull"])
def test_pod_is_failing_when_its_container_cannot_run(waiting: str) -> None:
    seen = observe_pool(DEPLOYMENT, [pod(waiting=waiting)], [], NOW)
    assert (seen.failing, seen.starting, seen.failure) == (1, 0, waiting)


def test_pod_is_starting_when_it_is_neither_stuck_nor_failing() -> None:
    seen = observe_pool(DEPLOYMENT, [pod(waiting="ContainerCreating"), pod(restarts=1)], [], NOW)
    assert (seen.starting, seen.failing, seen.failure) == (2, 0, None)


def test_pod_is_failing_when_it_keeps_restarting() -> None:
    seen = observe_pool(DEPLOYMENT, [pod(restarts=2)], [], NOW)
    assert (seen.failing, seen.failure) == (1, "Restarting")


@pytest.mark.parametrize(("status", "refused"), [("True", (2, 90.0, "FailedCreate")), ("False", (0, 0.0, None))])
def test_missing_pods_are_refused_when_the_deployment_says_so(status: str, refused: tuple[int, float, str]) -> None:
    condition = {"type": "ReplicaFailure", "status": status, "lastTransitionTime": "2025-12-31T23:58:30Z"}
    found = deployment_from(
        {
            "metadata": {"name": "ranker-gpu-full", "namespace": "shop", "uid": "u", "labels": LABELS},
            "spec": {"replicas": 3},
            "status": {"conditions": [{"type": "Progressing", "status": "True"}, condition]},
        }
    )
    assert isinstance(found, DeploymentSummary)
    seen = observe_pool(found, [pod(conditions=READY), pod(conditions=READY, deleting=True)], [], NOW)
    assert (seen.refused, seen.refused_seconds, seen.failure) == refused


@pytest.mark.parametrize(
    ("status", "progressing", "rollout"),
    [
        ({"replicas": 3, "updatedReplicas": 3, "observedGeneration": 2}, "True", Rollout.DONE),
        ({"replicas": 4, "updatedReplicas": 1, "observedGeneration": 2}, "True", Rollout.UNDER_WAY),
        ({"replicas": 4, "updatedReplicas": 1, "observedGeneration": 2}, "False", Rollout.FAILED),
        (
            {"replicas": 2, "updatedReplicas": 2, "observedGeneration": 2},
            "False",
            Rollout.DONE,
        ),  # short of pods, all new
    ],
)
def test_rollout_has_failed_when_old_pods_stay_and_new_ones_do_not_get_ready(
    status: dict[str, int], progressing: str, rollout: Rollout
) -> None:
    meta = {"name": "ranker-gpu-full", "namespace": "shop", "uid": "u", "labels": LABELS, "generation": 2}
    conditions = [{"type": "Progressing", "status": progressing}]
    found = deployment_from({"metadata": meta, "spec": {"replicas": 3}, "status": status | {"conditions": conditions}})
    assert isinstance(found, DeploymentSummary)
    assert found.rollout is rollout


def deployment(digest: str, generation: int, observed: int) -> DeploymentSummary:
    annotations = {"modelscaler.dev/template-digest": digest}
    meta = {"name": "ranker-gpu-full", "namespace": "shop", "uid": "u", "labels": LABELS, "generation": generation}
    status = {"replicas": 3, "updatedReplicas": 3, "observedGeneration": observed}
    found = deployment_from(
        {"metadata": meta | {"annotations": annotations}, "spec": {"replicas": 3}, "status": status}
    )
    assert isinstance(found, DeploymentSummary)
    return found


def test_rollout_is_under_way_from_the_new_template_on_and_not_for_another_number_of_replicas() -> None:
    first = deployment("a", 1, 1).after(None)
    scaled = deployment("a", 2, 1).after(first)
    changed = deployment("b", 3, 2).after(scaled)
    rescaled = deployment("b", 4, 2).after(changed)
    done = deployment("b", 4, 4).after(rescaled)
    assert [each.rollout for each in (first, scaled, changed, rescaled, done)] == [
        Rollout.DONE,
        Rollout.DONE,
        Rollout.UNDER_WAY,
        Rollout.UNDER_WAY,
        Rollout.DONE,
    ]


def test_pods_of_other_pools_are_passed_over_when_observing() -> None:
    other = DeploymentSummary("shop", "ranker-cpu-int8", "u", 1, OWNER, PoolKey("cpu", "int8"), 1, None, "")
    assert observe_pool(other, [pod(conditions=READY)], [], NOW).ready == 0


def test_start_is_the_ninetieth_percentile_when_measured() -> None:
    assert observe_pool(DEPLOYMENT, [], [float(s) for s in range(1, 11)], NOW).start_seconds == 10.0
    assert percentile([3.0], 0.9) == 3.0
    assert percentile([], 0.9) is None


def test_cold_start_runs_from_created_to_ready_when_ready() -> None:
    assert pod(conditions=READY).start_seconds == timedelta(seconds=30).total_seconds()
    assert pod(conditions=READY, restarts=1).start_seconds is None


def test_unready_time_runs_from_the_loss_of_readiness_when_a_pod_was_ready_before() -> None:
    seen = observe_pool(DEPLOYMENT, [pod(conditions={"Ready": ("False", "")})], [], NOW)
    assert seen.unready_seconds == 30.0


@pytest.mark.parametrize(("started_at", "measured"), [("2025-12-31T23:59:10Z", True), ("2025-12-31T22:59:10Z", False)])
def test_cold_start_is_known_when_the_pod_was_ready_no_later_than_its_startup_probe_allows(
    started_at: str, measured: bool
) -> None:
    found = body(conditions=READY)
    found["spec"] = {"containers": [{"startupProbe": {"periodSeconds": 1, "failureThreshold": 600}}]}
    found["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": started_at}}
    summary = pod_from(found)
    assert summary is not None
    assert (summary.start_seconds is not None) == measured


ACTIVATOR_LABELS = {"modelscaler.dev/deployment": "ranker", "modelscaler.dev/pool": "activator"}


def test_activator_is_none_of_the_pools_when_it_is_summarised() -> None:
    annotations = {"modelscaler.dev/template-digest": "d"}
    fields = {"manager": "modelscaler", "operation": "Apply", "fieldsV1": {"f:spec": {}}}
    meta = {"name": "ranker-activator", "namespace": "shop", "uid": "u", "labels": ACTIVATOR_LABELS}
    found = deployment_from({"metadata": meta | {"annotations": annotations, "resourceVersion": "7"}})
    owned = deployment_from({"metadata": meta | {"managedFields": [fields]}})
    assert found == ActivatorSummary("shop", "ranker-activator", "u", 7, OWNER, "d")
    assert isinstance(owned, ActivatorSummary)
    assert owned.owned != ""
    assert deployment_from({"metadata": meta | {"labels": {"modelscaler.dev/pool": "activator"}}}) is None


@pytest.mark.parametrize(
    ("pool", "selected", "held"),
    [("gpu-full", PoolKey("gpu", "full"), False), ("activator", None, True), ("mine", None, False), ("", None, False)],
)
def test_service_selects_a_pool_or_the_activator_or_neither(pool: str, selected: PoolKey | None, held: bool) -> None:
    meta = {"name": "ranker", "namespace": "shop", "uid": "u", "labels": LABELS}
    found = service_from({"metadata": meta, "spec": {"selector": {"modelscaler.dev/pool": pool}}})
    assert found is not None
    assert (found.selected_pool, found.held) == (selected, held)


def test_activator_s_pods_are_summarised_and_are_no_replica_of_any_pool() -> None:
    made = body(conditions=READY)
    made["metadata"]["labels"] = ACTIVATOR_LABELS
    found = pod_from(made)
    assert found is not None
    assert (found.pool, found.ready) == ("activator", True)
    assert observe_pool(DEPLOYMENT, [found], [], NOW).alive == 0
