"""Workers are real processes here; what their models do to them must cost nobody else anything."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import uvloop

import worker_models as models
from modelserver.compute.executor import Batch, ExecutorLostError, NotHandedOverError, Outcome
from modelserver.engine.process_executor import ProcessExecutor
from modelserver.engine.spawning import Begun, Orders, begin
from modelserver.errors import InferenceFailedError, InvalidRequestError, LoadError, UnavailableError
from modelserver.tensors import InferRequest, Tensor
from modelserver.worker.orders import Open, Start
from worker_models import request


@pytest.fixture(autouse=True)
def _models_importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(models.__file__).parent))
    monkeypatch.setenv(models.DIRECTORY_VARIABLE, str(tmp_path))


@asynccontextmanager
async def running(model: str = "Doubling", *variants: str, **options: Any) -> AsyncIterator[ProcessExecutor]:
    executor = ProcessExecutor(f"python:worker_models:{model}", variants or ("full",), device="cpu", **options)
    await executor.start()
    try:
        yield executor
    finally:
        await executor.stop()


def values(outcome: Outcome) -> list[float]:
    assert isinstance(outcome, list), outcome
    return [float(row[0]) for row in outcome[0].array]


async def computed(executor: ProcessExecutor, *requests: InferRequest, variant: str = "full") -> list[Outcome]:
    return list((await executor.run(Batch(variant, requests))).outcomes)


def is_gone(process_id: int) -> bool:
    return not psutil.pid_exists(process_id) or psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE


async def eventually(condition: Callable[[], bool], within_seconds: float = 10.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.02)


async def test_each_request_gets_its_own_rows_when_computed_together() -> None:
    async with running() as executor:
        outcomes = await computed(executor, request(1, 2), request(3), request(4, 5, 6))
    assert [values(one) for one in outcomes] == [[2, 4], [6], [8, 10, 12]]


async def test_says_what_is_loaded_when_started() -> None:
    executor = ProcessExecutor("python:worker_models:Doubling", ("full", "triple"), device="cpu")
    loaded = await executor.start()
    outcomes = await computed(executor, request(1), variant="triple")
    await executor.stop()
    assert loaded.contract.name == "doubling"
    assert loaded.contract.inputs == models.Doubling.inputs
    assert [one.variant for one in loaded.variants] == ["full", "triple"]
    assert all(one.max_batch_rows >= 1 and one.cost.seconds(1) > 0 for one in loaded.variants)
    assert (loaded.device, loaded.left_out) == ("cpu", {})
    assert values(outcomes[0]) == [3]


async def test_answers_stay_as_they_are_when_later_batches_are_computed() -> None:
    async with running() as executor:
        (first,) = await computed(executor, request(1))
        for value in range(2, 8):
            await computed(executor, request(value))
        assert values(first) == [2]


async def test_requests_stay_as_they_are_when_the_model_keeps_them() -> None:
    async with running("Remembering") as executor:
        outcomes = [(await computed(executor, request(value)))[0] for value in range(2, 9)]
    assert [values(one) for one in outcomes[1:]] == [[value] for value in range(2, 8)]


async def test_words_and_optional_outputs_cross_when_asked_for() -> None:
    word = np.empty(2, dtype=np.object_)
    word[:] = [b"abc", b""]
    async with running("Words") as executor:
        (outcome,) = await computed(
            executor, InferRequest({"word": Tensor("word", "BYTES", word)}, ("length", "turned"))
        )
    assert isinstance(outcome, list)
    assert [tensor.name for tensor in outcome] == ["length", "turned"]
    assert outcome[0].array.tolist() == [3, 0]
    assert outcome[1].array.tolist() == [b"cba", b""]


async def test_large_batches_cross_when_they_are_larger_than_the_arena() -> None:
    rows = np.arange(300_000, dtype=np.float32)[:, None].repeat(models.WIDTH, axis=1)
    big = InferRequest({"x": Tensor("x", "FP32", rows + 1)}, ("y",))
    async with running() as executor:
        (outcome,) = await computed(executor, big)
        (small,) = await computed(executor, request(1))
    assert isinstance(outcome, list)
    np.testing.assert_array_equal(outcome[0].array, 2 * (rows + 1))
    assert values(small) == [2]


@pytest.mark.parametrize("bad", [models.RAISE, models.LEAVE, models.OUT_OF_MEMORY])
async def test_neighbours_are_answered_when_a_request_fails_the_batch(bad: int) -> None:
    async with running() as executor:
        first, failed, last = await computed(executor, request(1), request(bad), request(3))
        again = await computed(executor, request(4))
    assert (values(first), values(last)) == ([2], [6])
    assert isinstance(failed, InferenceFailedError)
    assert values(again[0]) == [8]


async def test_the_request_fails_alone_when_the_answer_is_not_of_the_contracts_datatype() -> None:
    async with running() as executor:
        (failed,) = await computed(executor, request(models.WRONG))
        again = await computed(executor, request(4))
    assert isinstance(failed, InferenceFailedError)
    assert "float64, expected float32" in str(failed)
    assert values(again[0]) == [8]


async def test_the_error_keeps_its_class_and_message_when_decode_refuses() -> None:
    async with running() as executor:
        refused, answered = await computed(executor, request(models.REFUSE), request(1))
    assert isinstance(refused, InvalidRequestError)
    assert "told to refuse it" in str(refused)
    assert values(answered) == [2]


async def test_the_batch_is_refused_when_its_variant_is_not_loaded() -> None:
    async with running() as executor:
        outcomes = await computed(executor, request(1), request(2), variant="triple")
        again = await computed(executor, request(1))
    assert [type(one) for one in outcomes] == [UnavailableError, UnavailableError]
    assert values(again[0]) == [2]


async def test_prints_do_no_harm_when_the_model_prints(capfd: pytest.CaptureFixture[str]) -> None:
    async with running() as executor:
        outcomes = await computed(executor, request(models.PRINT))
    assert values(outcomes[0]) == [2 * models.PRINT]
    printed = capfd.readouterr().out
    assert "printed by the model" in printed
    assert "written by the model" in printed


@pytest.mark.parametrize(
    ("what", "how"), [(models.EXIT, "exit code 3"), (models.CRASH, "SIGSEGV")], ids=["exit", "segmentation fault"]
)
async def test_the_executor_is_lost_and_says_how_when_the_worker_crashes(what: int, how: str) -> None:
    async with running() as executor:
        with pytest.raises(ExecutorLostError, match=how) as lost:
            await computed(executor, request(1), request(what))
        assert lost.value.reason == "crash"
        with pytest.raises(ExecutorLostError):
            await computed(executor, request(1))
        await executor.start()
        assert values((await computed(executor, request(1)))[0]) == [2]


async def test_the_loss_is_noticed_when_the_worker_is_killed_between_batches() -> None:
    async with running() as executor:
        process_id = executor.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGKILL)
        error = await asyncio.wait_for(executor.lost(), 10)
    assert error.reason == "crash"
    assert "SIGKILL" in str(error)


async def test_the_batch_is_not_handed_over_when_the_worker_has_just_been_killed() -> None:
    async with running() as executor:
        process_id = executor.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGKILL)
        os.waitid(os.P_PID, process_id, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - no turn of the loop may notice
        with pytest.raises(NotHandedOverError, match="SIGKILL"):
            await computed(executor, request(1))


def begun_worker(model: str, *, threads: int = 1) -> Begun:
    begun = begin(Orders(Open(f"python:worker_models:{model}", "cpu", []), Start(["full"]), threads))
    select.select([begun.spawned.connection], [], [], 60.0)  # it answers before anybody listens
    return begun


async def test_a_worker_that_is_on_its_way_is_taken_once_when_the_executor_starts() -> None:
    begun = begun_worker("Doubling")
    async with running(begun=begun) as executor:
        assert executor.process_id == begun.spawned.process.pid
        assert [values(one) for one in await computed(executor, request(3))] == [[6]]
        await executor.start()
        assert executor.process_id != begun.spawned.process.pid
    assert is_gone(begun.spawned.process.pid)


async def test_start_fails_and_says_why_when_the_worker_that_is_on_its_way_cannot_load() -> None:
    begun = begun_worker("NoSuchModel")
    with pytest.raises(LoadError, match="NoSuchModel"):
        async with running("NoSuchModel", begun=begun):
            pass
    assert is_gone(begun.spawned.process.pid)


async def test_the_executor_is_lost_when_it_is_stopped() -> None:
    async with running() as executor:
        waiting = asyncio.create_task(executor.lost())
        computing = asyncio.create_task(computed(executor, request(models.HANG)))
        await asyncio.sleep(0)
    assert "told to end" in str(await waiting)
    with pytest.raises(ExecutorLostError, match="told to end"):
        await computing
    assert "not started" in str(await executor.lost())
    with pytest.raises(ExecutorLostError, match="not started"):
        await computed(executor, request(1))


async def test_the_worker_is_killed_when_a_batch_hangs() -> None:
    async with running(wedged_after_seconds=0.5) as executor:
        process_id = executor.process_id
        with pytest.raises(ExecutorLostError, match=r"no answer within 0\.5 s") as lost:
            await computed(executor, request(models.HANG))
        assert lost.value.reason == "hang"
        assert process_id is not None
        await eventually(lambda: is_gone(process_id))


async def test_the_worker_is_killed_when_a_batch_eats_memory() -> None:
    async with running(memory_limit_bytes=250 << 20) as executor:
        with pytest.raises(ExecutorLostError, match="expected at most 250") as lost:
            await computed(executor, request(models.EAT))
    assert lost.value.reason == "memory"


def words(count: int, word: bytes) -> InferRequest:
    array = np.empty(count, dtype=np.object_)
    array[:] = [word] * count
    return InferRequest({"word": Tensor("word", "BYTES", array)}, ("turned",))


async def test_nothing_is_mixed_up_when_who_waits_for_a_batch_is_cancelled() -> None:
    # The worker still reads the first batch: writing the second over it would show it words of the wrong lengths.
    async with running("Words") as executor:
        for size in range(1, 20):
            given_up = asyncio.create_task(computed(executor, words(400, b"x" * size)))
            await asyncio.sleep(0)
            given_up.cancel()
            (outcome,) = await computed(executor, words(300, b"ab" * size))
            assert isinstance(outcome, list)
            assert set(outcome[0].array.tolist()) == {b"ba" * size}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("RaisesLoading", "RuntimeError: told not to load"),
        ("DiesLoading", "exit code 7"),
        ("NotThere", "NotThere"),
    ],
)
async def test_start_fails_and_says_why_when_the_model_does_not_load(model: str, message: str) -> None:
    executor = ProcessExecutor(f"python:worker_models:{model}", ("full",), device="cpu")
    with pytest.raises(LoadError, match=message):
        await executor.start()
    assert executor.process_id is None


async def test_start_fails_when_loading_takes_too_long() -> None:
    executor = ProcessExecutor("python:worker_models:NeverReady", ("full",), device="cpu", load_within_seconds=0.7)
    with pytest.raises(LoadError, match=r"no answer within 0\.7 s"):
        await executor.start()


async def test_a_rung_is_left_out_with_its_reason_when_memory_does_not_allow_it() -> None:
    executor = ProcessExecutor(
        "python:worker_models:Doubling", ("full", "hoarder", "triple"), device="cpu", memory_limit_bytes=300 << 20
    )
    loaded = await executor.start()
    outcomes = await computed(executor, request(1), variant="triple")
    with pytest.raises(LoadError, match="memory"):
        await executor.load("hoarder")
    await executor.stop()
    assert [one.variant for one in loaded.variants] == ["full", "triple"]
    assert "memory" in loaded.left_out["hoarder"]
    assert values(outcomes[0]) == [3]


async def test_rungs_change_when_asked_at_run_time() -> None:
    async with running() as executor:
        added = await executor.load("triple")
        tripled = await computed(executor, request(1), variant="triple")
        with pytest.raises(LoadError, match="told not to load"):
            await executor.load("broken")
        still = await computed(executor, request(1))
        loaded = await executor.start()
        await executor.unload("triple")
        await executor.unload("never-loaded")
        without = await computed(executor, request(1), variant="triple")
    assert added.variant == "triple"
    assert [values(one[0]) for one in (tripled, still)] == [[3], [2]]
    assert [one.variant for one in loaded.variants] == ["full", "triple"]
    assert isinstance(without[0], UnavailableError)


async def test_the_worker_ignores_signals_that_are_for_the_front() -> None:
    async with running() as executor:
        assert executor.process_id is not None
        os.kill(executor.process_id, signal.SIGTERM)
        os.kill(executor.process_id, signal.SIGINT)
        assert values((await computed(executor, request(1)))[0]) == [2]


async def test_the_kernel_prefers_the_worker_when_memory_runs_out() -> None:
    def score(process: int | None) -> int:
        return int(Path(f"/proc/{process}/oom_score_adj").read_text())

    async with running() as executor:
        assert score(executor.process_id) == min(1000, score(os.getpid()) + 500)


FRONT = """
import asyncio
from modelserver.engine.process_executor import ProcessExecutor
from modelserver.engine.spawning import Begun, Orders, begin
async def main():
    executor = ProcessExecutor("python:worker_models:Marking", ("full",), device="cpu")
    await executor.start()
    print("started", flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


def test_the_worker_ends_when_its_front_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", FRONT], stdout=subprocess.PIPE) as front:
        assert front.stdout is not None
        started = front.stdout.readline()
        marks = list(tmp_path.glob("worker-*"))
        front.kill()
    assert started == b"started\n"
    (worker,) = [int(marked.name.removeprefix("worker-")) for marked in marks]
    asyncio.run(eventually(lambda: is_gone(worker)))


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_nothing_is_left_behind_when_started_fifty_times() -> None:
    executor = ProcessExecutor("python:worker_models:Doubling", ("full",), device="cpu")
    await executor.start()
    before, children = open_descriptors(), len(psutil.Process().children(recursive=True))
    for turn in range(50):
        if turn % 2:
            with pytest.raises(ExecutorLostError):
                await computed(executor, request(models.EXIT))
        await executor.start()
    assert values((await computed(executor, request(1)))[0]) == [2]
    assert open_descriptors() == before
    assert len(psutil.Process().children(recursive=True)) == children
    await executor.stop()
    assert len(psutil.Process().children(recursive=True)) == children - 1


def test_works_when_the_loop_is_uvloop() -> None:
    async def main() -> list[float]:
        async with running() as executor:
            with pytest.raises(ExecutorLostError, match="exit code 3"):
                await computed(executor, request(models.EXIT))
            await executor.start()
            return values((await computed(executor, request(1)))[0])

    assert uvloop.run(main()) == [2]
