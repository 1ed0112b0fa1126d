"""A split model in real processes: the same answers as the whole, stages that overlap, and losses that stay where they are."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import worker_models as models
from modelscaler_benchmarks.split.example import write_example
from modelserver.compute.executor import Batch, ExecutorLostError, Outcome
from modelserver.engine import stage_worker
from modelserver.engine.pipeline_executor import PipelineExecutor
from modelserver.engine.process_executor import ProcessExecutor
from modelserver.errors import InferenceFailedError, InvalidRequestError, LoadError, WorkerHungError, WorkerLostError
from modelserver.models.inception.recipe import InceptionShape
from modelserver.tensors import InferRequest, Tensor
from modelserver_process import ServerProcess, serving
from worker_models import request

URI = "python:worker_models:Split"
STARTED_STAGES = 3


@pytest.fixture(autouse=True)
def _models_importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(models.__file__).parent))
    monkeypatch.setenv(models.DIRECTORY_VARIABLE, str(tmp_path))


@pytest.fixture
def always_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a stage start again however soon it is lost."""
    monkeypatch.setattr(stage_worker, "AGAIN_AFTER_SECONDS", 0.0)


@asynccontextmanager
async def running(*variants: str, **options: Any) -> AsyncIterator[PipelineExecutor]:
    executor = PipelineExecutor(URI, variants or ("full",), device="cpu", **options)
    await executor.start()
    try:
        yield executor
    finally:
        await executor.stop()


async def computed(executor: Any, *requests: InferRequest, variant: str = "full") -> list[Outcome]:
    return list((await executor.run(Batch(variant, requests))).outcomes)


def values(outcome: Outcome) -> list[float]:
    assert isinstance(outcome, list), outcome
    return [float(row[0]) for row in outcome[0].array]


async def test_the_split_answers_as_the_whole_does() -> None:
    requests = [request(3, 4), request(5), request(6, 7, 8)]
    whole = ProcessExecutor(URI, ("full", "triple"), device="cpu")
    await whole.start()
    expected = [await computed(whole, *requests, variant=variant) for variant in ("full", "triple")]
    await whole.stop()
    async with running("full", "triple") as split:
        got = [await computed(split, *requests, variant=variant) for variant in ("full", "triple")]
    assert [list(map(values, one)) for one in got] == [list(map(values, one)) for one in expected]
    assert values(got[1][1]) == [(5 + 1) * 3 / 2 - 5]


async def test_the_inception_example_answers_in_stages_as_the_whole_does(tmp_path: Path) -> None:
    write_example(tmp_path / "model", InceptionShape(stem=8, branch=4))
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 40, 3), dtype=np.uint8)
    asked = InferRequest({"images": Tensor("images", "UINT8", images)}, ("label", "probabilities"))
    answers = []
    for kind in (ProcessExecutor, PipelineExecutor):
        executor = kind(str(tmp_path / "model"), ("full",), device="cpu")
        await executor.start()
        (outcome,) = await computed(executor, asked)
        await executor.stop()
        assert isinstance(outcome, list), outcome
        answers.append(outcome)
    (whole_label, whole), (label, probabilities) = answers
    assert label.array.tolist() == whole_label.array.tolist()
    np.testing.assert_allclose(probabilities.array, whole.array, atol=1e-5)


async def test_says_what_is_loaded_when_started() -> None:
    executor = PipelineExecutor(URI, ("full", "triple"), device="cpu")
    loaded = await executor.start()
    processes = executor.process_ids
    await executor.stop()
    assert loaded.contract.name == "split"
    assert [one.variant for one in loaded.variants] == ["full", "triple"]
    assert all(one.cost.seconds(1) > 0 and one.max_batch_rows >= 1 for one in loaded.variants)
    assert len(set(processes)) == STARTED_STAGES


async def test_a_stage_computes_the_next_batch_while_the_one_after_it_computes_the_last() -> None:
    # The last stage waits, within the first batch, for the first stage to have begun with the second batch.
    async with running() as executor:
        first, second = await asyncio.gather(
            computed(executor, request(models.STAGE_WAITS)), computed(executor, request(models.STAGE_MARKS))
        )
    assert (values(first[0]), values(second[0])) == ([1], [1])


async def test_many_batches_at_once_get_their_own_answers() -> None:
    async with running() as executor:
        outcomes = await asyncio.gather(*(computed(executor, request(*range(5, 5 + n))) for n in range(1, 40)))
    assert [values(one[0]) for one in outcomes] == [[value + 1 - 5 for value in range(5, 5 + n)] for n in range(1, 40)]


@pytest.mark.parametrize(("bad", "error"), [(models.RAISE, InferenceFailedError), (models.REFUSE, InvalidRequestError)])
async def test_neighbours_are_answered_when_a_request_fails(bad: int, error: type[Exception]) -> None:
    async with running() as executor:
        first, failed, last = await computed(executor, request(3), request(bad), request(4))
        (alone,) = await computed(executor, request(bad))
    assert (values(first), values(last)) == ([1], [1])
    assert isinstance(failed, error)
    assert isinstance(alone, error)


@pytest.mark.usefixtures("always_again")
@pytest.mark.parametrize("stage", range(STARTED_STAGES))
async def test_a_stage_is_started_again_when_it_is_killed(stage: int) -> None:
    reasons: list[str] = []
    async with running(on_stage_lost=reasons.append) as executor:
        before = executor.process_ids
        os.kill(before[stage], signal.SIGKILL)
        await asyncio.sleep(0.2)  # that it is gone is noticed between batches
        outcomes = await computed(executor, request(3))
        after = executor.process_ids
    assert values(outcomes[0]) == [1]
    assert [old == new for old, new in zip(before, after, strict=True)] == [at != stage for at in range(STARTED_STAGES)]
    assert reasons == ["crash"]


@pytest.mark.usefixtures("always_again")
async def test_only_what_it_held_is_lost_when_a_stage_crashes() -> None:
    # The first batch is in the last stage, where it waits for the third; the second takes the first stage with it.
    async with running() as executor:
        held = asyncio.create_task(computed(executor, request(models.STAGE_WAITS)))
        await asyncio.to_thread(models.wait_for, "last-waits")
        lost = await computed(executor, request(3), request(models.EXIT))
        after = await computed(executor, request(models.STAGE_MARKS))
        survived = await held
    assert [type(one) for one in lost] == [WorkerLostError, WorkerLostError]
    assert (values(after[0]), values(survived[0])) == ([1], [1])


@pytest.mark.usefixtures("always_again")
async def test_the_batch_is_answered_504_when_a_stage_hangs() -> None:
    async with running(wedged_after_seconds=0.5) as executor:
        (hung,) = await computed(executor, request(models.HANG))
        (after,) = await computed(executor, request(3))
    assert isinstance(hung, WorkerHungError)
    assert values(after) == [1]


async def test_the_executor_is_lost_when_a_stage_crashes_soon_again() -> None:
    async with running() as executor:
        await computed(executor, request(models.EXIT))
        error = await asyncio.wait_for(executor.lost(), 10)
        with pytest.raises(ExecutorLostError, match="exit code 3"):
            await computed(executor, request(3))
        await executor.start()
        (again,) = await computed(executor, request(3))
    assert error.reason == "crash"
    assert values(again) == [1]


async def test_a_rung_is_added_to_all_stages_when_asked_at_run_time() -> None:
    async with running() as executor:
        added = await executor.load("triple")
        outcomes = await computed(executor, request(5), variant="triple")
        await executor.unload("triple")
        (gone,) = await computed(executor, request(5), variant="triple")
    assert added.variant == "triple"
    assert values(outcomes[0]) == [4]
    assert isinstance(gone, Exception)


async def test_nothing_is_left_behind_when_stopped() -> None:
    async with running():
        pass
    before, processes = len(os.listdir("/proc/self/fd")), psutil.Process().children(recursive=True)
    for _ in range(3):
        async with running() as executor:
            await computed(executor, request(3))
    assert len(os.listdir("/proc/self/fd")) == before
    assert psutil.Process().children(recursive=True) == processes


async def test_start_fails_when_the_model_is_not_split() -> None:
    with pytest.raises(LoadError, match="no stages"):
        await PipelineExecutor("python:worker_models:Doubling", ("full",), device="cpu").start()


@asynccontextmanager
async def served_stage(stage: str, log: Path) -> AsyncIterator[tuple[str, ServerProcess]]:
    """Serve a stage as another pod would; yield its address, and the server."""
    with serving(URI, "full", log, "--stage", stage, "--ladder", "full,triple") as server:
        await asyncio.to_thread(server.wait_until_ready)
        yield f"http://127.0.0.1:{server.port}", server


@pytest.mark.parametrize("stage", ["first", "middle", "last"])
async def test_the_split_answers_as_the_whole_does_when_a_stage_is_elsewhere(stage: str, tmp_path: Path) -> None:
    async with (
        served_stage(stage, tmp_path / "log") as (address, _),
        running("full", "triple", addresses={stage: address}) as split,
    ):
        outcomes = await computed(split, request(3, 4), request(models.REFUSE), request(5), variant="triple")
        many = await asyncio.gather(*(computed(split, request(value)) for value in range(5, 30)))
    assert [values(outcomes[at]) for at in (0, 2)] == [[3, 4.5], [4]]
    assert isinstance(outcomes[1], InvalidRequestError)
    assert all(values(one[0]) == [1] for one in many)


async def test_batches_are_answered_503_while_the_other_pod_is_gone(tmp_path: Path) -> None:
    async with (
        served_stage("middle", tmp_path / "log") as (address, server),
        running(addresses={"middle": address}) as split,
    ):
        server.process.kill()
        await asyncio.to_thread(server.process.wait)
        lost = await computed(split, request(3), request(4))
    assert [type(one) for one in lost] == [WorkerLostError, WorkerLostError]


async def test_start_fails_when_the_other_pod_does_not_get_ready() -> None:
    executor = PipelineExecutor(
        URI, ("full",), addresses={"middle": "http://127.0.0.1:9"}, device="cpu", load_within_seconds=3.0
    )
    with pytest.raises(LoadError, match="models/split-middle: not ready within 3 s"):
        await executor.start()
