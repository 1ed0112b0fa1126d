import asyncio
import os
from pathlib import Path

import pytest
import torch

import accelerator_models as models
import modelserver
import worker_models
from modelserver.errors import InferenceFailedError, WorkerLostError

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@pytest.fixture(autouse=True)
def _importable_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(models.__file__).parent), prepend=os.pathsep)


def row(value: int) -> dict[str, list[list[int]]]:
    return {"x": [[value] * worker_models.WIDTH]}


async def _ask_until_answered(engine: modelserver.Engine, value: int) -> modelserver.Answered:
    """Ask as a client does that tries again when it is told to."""
    for _ in range(20):
        try:
            return await engine.ask(row(value))
        except WorkerLostError:
            continue
    raise AssertionError("not answered")


async def test_a_worker_begins_anew_when_its_device_is_lost() -> None:
    async with modelserver.Engine.open("python:accelerator_models:OutOfOrder") as engine:
        with pytest.raises(WorkerLostError, match="exit code 74"):
            await engine.ask(row(worker_models.RAISE))

        assert (await _ask_until_answered(engine, 2))["y"][0, 0] == 4


async def test_a_worker_stays_when_a_request_failed_and_its_device_did_not() -> None:
    async with modelserver.Engine.open("python:worker_models:Doubling") as engine:
        for _ in range(3):
            with pytest.raises(InferenceFailedError):
                await engine.ask(row(worker_models.RAISE))

        assert (await engine.ask(row(2)))["y"][0, 0] == 4


@needs_cuda
async def test_later_requests_are_answered_when_an_index_out_of_range_took_cuda_down() -> None:
    async with modelserver.Engine.open("python:accelerator_models:Lookup", device="cuda:0") as engine:
        assert (await engine.ask(row(3)))["y"][0, 0] == 3
        with pytest.raises(WorkerLostError, match="exit code 74"):
            await engine.ask(row(models.ROWS + 5))

        assert (await _ask_until_answered(engine, 2))["y"][0, 0] == 2
        answers = await asyncio.gather(*(engine.ask(row(value)) for value in (0, 1, 2, 3)))
        assert [answer["y"][0, 0] for answer in answers] == [0, 1, 2, 3]
