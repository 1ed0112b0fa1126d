import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from children import assert_child_ends_with_its_parent, until
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.jobs import (
    OUTCOME,
    TUNED,
    History,
    Outcome,
    Trained,
    TrainingBudget,
    TrainingFailed,
    TrainingJob,
    TrainingRefused,
    read_job,
    read_outcome,
    write_job,
    write_outcome,
)
from modelscaler.forecast.learning.fitting import new_network
from modelscaler.forecast.learning.hiding import FEATURES
from modelscaler.forecast.learning.retuning import train
from modelscaler.forecast.learning.weights import serving
from modelscaler.forecast.network import Network
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.training import DirectTrainer, ProcessTrainer


def job(columns: int = 800, step_seconds: float = 600.0) -> TrainingJob:
    load = 10.0 + np.random.default_rng(0).standard_normal((2, columns))
    clocks = Calendar(np.array([0.0, 3_600.0]), {1: np.array([20_000, 20_001])})
    return TrainingJob((History(Panel.of(load, step_seconds, 2_900_000), clocks, (1, 2)),), 0, untaught(), untaught())


def untaught() -> Network:
    return serving(new_network(FEATURES, 0, 0.0), {"seed": "0"})


@pytest.fixture
def trainer() -> Iterator[ProcessTrainer]:
    made = ProcessTrainer()
    yield made
    made.close()


def outcome(of: ProcessTrainer) -> Outcome:
    found: list[Outcome] = []

    def fetched() -> bool:
        answer = of.poll()
        if answer is not None:
            found.append(answer)
        return bool(found)

    until(fetched)
    return found[0]


@pytest.mark.parametrize("step_seconds", [60.0, 600.0])
def test_a_job_is_the_same_when_it_was_written_and_read(step_seconds: float, tmp_path: Path) -> None:
    wanted = job(step_seconds=step_seconds)
    write_job(wanted, tmp_path / "job")

    read = read_job(tmp_path / "job")

    (ours,), (theirs,) = wanted.histories, read.histories
    for one, other in ((ours.panel.fine, theirs.panel.fine), (ours.panel.coarse, theirs.panel.coarse)):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.maxima, other.maxima)
    assert (ours.panel.factor, ours.panel.first_coarse) == (theirs.panel.factor, theirs.panel.first_coarse)
    assert (ours.panel.first_cell, ours.panel.step_seconds) == (theirs.panel.first_cell, theirs.panel.step_seconds)
    assert ours.aheads == theirs.aheads
    assert theirs.calendar.offset_seconds.tolist() == [0.0, 3_600.0]
    assert theirs.calendar.holidays[1].tolist() == [20_000, 20_001]
    assert (read.seed, read.budget) == (wanted.seed, wanted.budget)
    assert read.start is not None
    np.testing.assert_array_equal(read.start.weights["entry.weight"], untaught().weights["entry.weight"])


def test_only_the_owner_can_read_a_job(tmp_path: Path) -> None:
    write_job(job(), tmp_path / "job")

    assert (tmp_path / "job").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("answer", [TrainingRefused("too little"), TrainingFailed("it broke")])
def test_an_outcome_without_a_network_is_the_same_when_it_was_written_and_read(answer: Outcome, tmp_path: Path) -> None:
    write_outcome(answer, tmp_path)

    assert read_outcome(tmp_path, FEATURES) == answer


def spoil_weights(folder: Path) -> None:
    (folder / TUNED).write_bytes(b"not weights")


def spoil_outcome(folder: Path) -> None:
    (folder / OUTCOME).write_text('{"relative_loss": ')


def lose_weights(folder: Path) -> None:
    (folder / TUNED).unlink()


@pytest.mark.parametrize("spoil", [spoil_weights, spoil_outcome, lose_weights])
def test_training_has_failed_when_what_it_wrote_cannot_be_used(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    write_outcome(Trained(untaught(), 0.9, 1_000), tmp_path)
    spoil(tmp_path)

    failed = read_outcome(tmp_path, FEATURES)

    assert isinstance(failed, TrainingFailed)
    assert "cannot be used" in failed.reason


def test_training_has_failed_when_its_network_is_for_other_features(tmp_path: Path) -> None:
    write_outcome(Trained(untaught(), 0.9, 1_000), tmp_path)

    failed = read_outcome(tmp_path, FEATURES + 1)

    assert isinstance(failed, TrainingFailed)
    assert "other features" in failed.reason


def test_what_came_of_an_earlier_job_is_gone_when_a_new_one_is_written(tmp_path: Path) -> None:
    write_outcome(Trained(untaught(), 0.9, 1_000), tmp_path)

    write_job(job(), tmp_path)

    assert isinstance(read_outcome(tmp_path, FEATURES), TrainingFailed)


def test_a_child_trains_the_network_that_training_here_does(trainer: ProcessTrainer) -> None:
    trainer.submit(job())
    with pytest.raises(RuntimeError, match="under way"):
        trainer.submit(job())

    there, here = outcome(trainer), train(job())

    assert isinstance(there, Trained)
    assert isinstance(here, Trained)
    assert there.rows == here.rows
    assert there.relative_loss == pytest.approx(here.relative_loss, rel=1e-3)
    assert trainer.poll() is None
    assert not trainer.busy
    assert trainer.child_pid is None


def test_the_reason_is_told_when_training_is_refused(trainer: ProcessTrainer) -> None:
    trainer.submit(job(columns=20))

    assert outcome(trainer) == TrainingRefused("no series has 24 hours of known history yet")


def test_training_fails_and_can_start_again_when_the_child_is_killed(trainer: ProcessTrainer) -> None:
    trainer.submit(job())
    until(lambda: trainer.child_pid)
    assert trainer.child_pid is not None
    os.kill(trainer.child_pid, signal.SIGKILL)

    assert outcome(trainer) == TrainingFailed("the training process ended by signal 9")

    trainer.submit(job(columns=20))
    assert isinstance(outcome(trainer), TrainingRefused)


def test_no_child_is_left_when_the_trainer_is_closed_while_it_trains() -> None:
    trainer = ProcessTrainer()
    trainer.submit(job())
    until(lambda: trainer.child_pid)
    assert trainer.child_pid is not None
    child = psutil.Process(trainer.child_pid)

    trainer.close()

    assert not child.is_running()
    with pytest.raises(RuntimeError, match="closed"):
        trainer.submit(job())


PARENT = """
import sys, time
import numpy as np
from modelscaler.forecast.training import *
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.panel import Panel

if __name__ == "__main__":
    load = np.random.default_rng(0).uniform(5.0, 10.0, (64, 20_000))
    trainer = ProcessTrainer()
    trainer.submit(TrainingJob((History(Panel.of(load, 60.0, 0), Calendar.utc(64), (1, 10)),), 0))
    while trainer.child_pid is None:
        time.sleep(0.01)
    print(trainer.child_pid, flush=True)
    time.sleep(60.0)
"""


def test_the_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    assert_child_ends_with_its_parent(PARENT, tmp_path)


def test_training_is_ended_when_it_takes_longer_than_allowed(trainer: ProcessTrainer) -> None:
    trainer.submit(replace(job(), budget=TrainingBudget(seconds=0.01)))

    assert outcome(trainer) == TrainingFailed("training took longer than 0.01 s")


def test_training_fails_and_says_why_when_it_needs_more_memory_than_allowed(trainer: ProcessTrainer) -> None:
    trainer.submit(replace(job(columns=3_000), budget=TrainingBudget(memory_bytes=2**20)))

    failed = outcome(trainer)

    assert isinstance(failed, TrainingFailed)
    assert "1 MiB" in failed.reason


def test_training_fails_and_says_why_when_the_job_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder belongs")
    trainer = ProcessTrainer(tmp_path / "state")
    trainer.submit(job())

    failed = outcome(trainer)

    assert isinstance(failed, TrainingFailed)
    assert "could not be started" in failed.reason


def test_nothing_is_left_in_the_temporary_folder_when_training_has_ended(
    trainer: ProcessTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    trainer.submit(job(columns=20))
    outcome(trainer)

    assert list(tmp_path.iterdir()) == []


def test_a_direct_trainer_answers_at_once_and_only_once() -> None:
    answer = TrainingRefused("too little")
    trainer = DirectTrainer(lambda _: answer)
    trainer.submit(job(columns=20))

    assert trainer.busy
    assert trainer.poll() == answer
    assert trainer.poll() is None
    assert not trainer.busy
