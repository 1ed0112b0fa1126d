import asyncio
from pathlib import Path

import pytest

import modelserver
import worker_models as models
from modelserver.errors import WorkerLostError

MODEL = "python:worker_models:Doubling"


@pytest.fixture(autouse=True)
def _importable_by_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(models.__file__).parent))
    monkeypatch.setenv(models.DIRECTORY_VARIABLE, str(tmp_path))


async def test_requests_are_answered_when_the_model_runs_in_processes() -> None:
    async with modelserver.Engine.open(MODEL, workers=2) as engine:
        answers = await asyncio.gather(*(engine.ask({"x": [[number] * models.WIDTH]}) for number in range(1, 40)))

        assert len(answers) == 39
        assert all(answer["y"].shape[0] == 1 for answer in answers)
        async with asyncio.timeout(60.0):
            while engine.workers_ready < 2:
                await asyncio.sleep(0.02)


async def test_only_one_request_fails_when_it_ends_its_process() -> None:
    async with modelserver.Engine.open(MODEL) as engine:
        with pytest.raises(WorkerLostError, match="crash"):
            await engine.ask({"x": [[models.EXIT] * models.WIDTH]})

        assert (await _ask_until_answered(engine))["y"].shape[0] == 1


async def _ask_until_answered(engine: modelserver.Engine) -> modelserver.Answered:
    """Ask as a client does that tries again when it is told to."""
    for _ in range(20):
        try:
            return await engine.ask({"x": [[1] * models.WIDTH]})
        except WorkerLostError:
            continue
    raise AssertionError("not answered")


def test_threads_are_answered_when_the_model_runs_in_a_process() -> None:
    with modelserver.open_engine(MODEL) as engine:
        assert engine.ask({"x": [[2] * models.WIDTH]})["y"].shape[0] == 1
