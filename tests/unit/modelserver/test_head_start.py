import subprocess
import sys
from typing import Any

import pytest

from modelserver.cgroups import cpu_limit_cores, whole_cores
from modelserver.serving.head_start import begin_first_worker, own_share
from modelserver.serving.place import Place
from modelserver.serving.settings import ServeSettings

LARGE = ("numpy", "asyncio", "torch", "onnxruntime", "modelserver.engine.engine")


def settings_with(**changes: Any) -> ServeSettings:
    return ServeSettings(model_uri="m", variant="full", host="h", port=1, **changes)


@pytest.mark.parametrize("changes", [{"fronts": 2}, {"pipeline": True}, {"stage_addresses": {"stem": "http://h"}}])
def test_no_worker_is_begun_when_others_start_theirs(changes: dict[str, Any]) -> None:
    assert begin_first_worker(settings_with(**changes)) is None


def test_nothing_large_is_imported_when_the_first_worker_is_begun() -> None:
    code = (
        f"import sys, modelserver.cli, modelserver.serving.head_start; print([n for n in {LARGE} if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(("changes", "workers"), [({}, 1), ({"workers": 3}, 3), ({"fronts": 2}, 1)])
def test_an_accelerator_gets_one_worker_when_nobody_says_how_many(changes: dict[str, Any], workers: int) -> None:
    assert own_share(settings_with(device="cuda:0", **changes), Place()).workers == workers


def test_a_processor_gets_a_worker_per_core_when_nobody_says_how_many() -> None:
    assert own_share(settings_with(device="cpu"), Place()).workers == whole_cores(cpu_limit_cores())
