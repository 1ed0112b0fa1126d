import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from loads import HORIZON_SECONDS, KEY, SEASON_SECONDS, SMALL_BUDGET, seasonal_load, time_of, window_of
from modelscaler.domain import Floats
from modelscaler.forecast.learned import LearnedModel
from modelscaler.forecast.rows import TrainingWindow
from modelscaler.forecast.training import Outcome, ProcessTrainer, TrainingFailed, TrainingJob, run_job

PATIENCE_SECONDS = 60.0


def job(load: Floats) -> TrainingJob:
    window = TrainingWindow(window_of(load), SEASON_SECONDS, HORIZON_SECONDS)
    return TrainingJob({KEY: window}, time_of(len(load) - 1), seed=0, budget=SMALL_BUDGET)


@pytest.fixture
def trainer() -> Iterator[ProcessTrainer]:
    made = ProcessTrainer(limit_seconds=PATIENCE_SECONDS)
    yield made
    made.close()


def until(answer: Callable[[], object]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    waiting = threading.Event()
    while not answer():
        assert time.monotonic() < deadline
        waiting.wait(0.01)


def outcome(of: ProcessTrainer) -> Outcome:
    found: list[Outcome] = []

    def fetched() -> bool:
        answer = of.poll()
        if answer is not None:
            found.append(answer)
        return bool(found)

    until(fetched)
    return found[0]


def test_baselines_are_told_and_training_can_start_again_when_the_child_is_killed(trainer: ProcessTrainer) -> None:
    load = seasonal_load(400)
    trainer.submit(job(load))
    until(lambda: trainer.child_pid)
    assert trainer.child_pid is not None
    os.kill(trainer.child_pid, signal.SIGKILL)

    failed = outcome(trainer)
    assert isinstance(failed, TrainingFailed)
    assert "ended early" in failed.reason

    trainer.submit(job(load))
    model = outcome(trainer)
    assert isinstance(model, LearnedModel)
    assert trainer.child_pid is None
    here = run_job(job(load))
    assert isinstance(here, LearnedModel)
    np.testing.assert_array_equal(model.shift, here.shift)


def test_no_child_is_left_when_the_trainer_is_closed_while_it_trains() -> None:
    trainer = ProcessTrainer(limit_seconds=PATIENCE_SECONDS)
    trainer.submit(job(seasonal_load(2000)))
    until(lambda: trainer.child_pid)
    assert trainer.child_pid is not None
    child = psutil.Process(trainer.child_pid)

    trainer.close()

    assert not child.is_running()
    with pytest.raises(RuntimeError, match="closed"):
        trainer.submit(job(seasonal_load(400)))


PARENT = """
import sys, time
from loads import HORIZON_SECONDS, KEY, SEASON_SECONDS, seasonal_load, time_of, window_of
from modelscaler.forecast.fitting import TrainingBudget
from modelscaler.forecast.rows import TrainingWindow
from modelscaler.forecast.training import ProcessTrainer, TrainingJob

if __name__ == "__main__":
    window = TrainingWindow(window_of(seasonal_load(2000)), SEASON_SECONDS, HORIZON_SECONDS)
    trainer = ProcessTrainer(60.0)
    trainer.submit(TrainingJob({KEY: window}, time_of(1999), 0, TrainingBudget(max_iterations=100_000)))
    while trainer.child_pid is None:
        time.sleep(0.01)
    print(trainer.child_pid, flush=True)
    time.sleep(60.0)
"""


def test_the_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    tests = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": tests}
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        until(lambda: child.nice() > os.getpriority(os.PRIO_PROCESS, 0))  # it has begun, so it has asked the kernel
        parent.kill()

    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_training_is_ended_when_it_takes_longer_than_allowed() -> None:
    trainer = ProcessTrainer(limit_seconds=0.01)
    trainer.submit(job(seasonal_load(2000)))

    failed = outcome(trainer)

    assert failed == TrainingFailed("training took longer than 0.01 s")


def test_an_error_becomes_an_outcome_when_training_raises() -> None:
    broken = TrainingWindow(window_of(seasonal_load(400)), season_seconds=0.0, horizon_seconds=HORIZON_SECONDS)

    failed = run_job(TrainingJob({KEY: broken}, time_of(399), seed=0, budget=SMALL_BUDGET))

    assert isinstance(failed, TrainingFailed)
