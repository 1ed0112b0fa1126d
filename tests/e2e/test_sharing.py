"""Two ModelDeployments and one accelerator: the more important one has it, and the other loses no request for that."""

import pytest

from stage import Stage, capacity, cpu, gpu, model_deployment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BOTH = {"placements": [gpu(), cpu()], "capacity": [capacity("gpu", "int8"), capacity("cpu", "int8")]}


def test_accelerator_goes_to_the_more_important_and_back_without_a_lost_request(stage: Stage) -> None:
    stage.cluster.set_accelerators("gpu-node", {"nvidia.com/gpu": 1})
    try:
        common = stage.apply(model_deployment("common", **BOTH))
        stage.until_serving(common, "gpu-int8")
        with stage.load(common, 8.0) as load:
            urgent = stage.apply(model_deployment("urgent", **BOTH, priority=10))
            stage.until_serving(urgent, "gpu-int8", seconds=120)
            stage.until_serving(common, "cpu-int8", seconds=10)
            available = stage.condition(common, "AcceleratorAvailable")
            assert (available["status"], available["reason"]) == ("False", "HigherPriority")
            for name in (common, urgent):
                assert not stage.status(name).get("unavailable"), "what is not free is not asked for"
            stage.delete(urgent)
            stage.until_serving(common, "gpu-int8", seconds=120)
            load.stop_sending()
            summary = load.wait(40)
        assert summary["ok"] > 0
        assert (summary["lost"], summary["resets"]) == (0, 0), summary
        stage.delete(common)
    finally:
        stage.cluster.set_accelerators("gpu-node", {"nvidia.com/gpu": 2})
