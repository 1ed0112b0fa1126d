"""Another autoscaler in the way is found and named."""

from typing import Any

from modelscaler.controller.conflicts import conflict, scaled_elsewhere


def hpa(target: str, kind: str = "Deployment", namespace: str = "shop") -> dict[str, Any]:
    return {
        "metadata": {"name": "my-hpa", "namespace": namespace},
        "spec": {"scaleTargetRef": {"kind": kind, "name": target}},
    }


def test_conflict_names_the_autoscaler_when_it_scales_one_of_our_pools() -> None:
    trouble = conflict([("shop", "ranker-cpu-int8")], scaled_elsewhere([hpa("ranker-cpu-int8")]))
    assert trouble is not None
    assert trouble.reason == "WorkloadConflict"
    assert "my-hpa" in trouble.message
    assert "shop/ranker-cpu-int8" in trouble.message


def test_no_conflict_when_the_autoscaler_scales_something_else() -> None:
    others = [hpa("web"), hpa("ranker-cpu-int8", kind="StatefulSet"), hpa("ranker-cpu-int8", namespace="other")]
    assert conflict([("shop", "ranker-cpu-int8")], scaled_elsewhere(others)) is None
