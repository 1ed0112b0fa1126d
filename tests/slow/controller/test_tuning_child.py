"""The process that tunes: it answers, keeps to its budget and ends with the operator."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from builders import NOW
from children import assert_child_ends_with_its_parent, until
from modelscaler.api.words import TuningReason
from modelscaler.controller.tuning import ProcessTuner, SelfTuning, Tunable
from modelscaler.domain import LoadWindow, WorkloadKey
from modelscaler.replay.selftuning import jobs
from modelscaler.replay.selftuning.jobs import TuningBudget, TuningFailed, TuningJob, TuningRefused
from modelscaler.replay.standard import standard_workload

STANDARD = standard_workload(60.0, with_rung=True)


def job(days: float = 4.0, seconds: float = 300.0) -> TuningJob:
    rps = 60.0 + 30.0 * np.sin(np.arange(round(144 * days)) / 20.0)
    return TuningJob(STANDARD, LoadWindow(600.0, NOW, rps), 0, TuningBudget(seconds))


@pytest.fixture
def tuner() -> Iterator[ProcessTuner]:
    made = ProcessTuner()
    yield made
    made.close()


def outcome(of: ProcessTuner) -> jobs.Outcome:
    found: list[jobs.Outcome] = []

    def fetched() -> bool:
        answer = of.poll()
        found.extend([answer] if answer is not None else [])
        return bool(found)

    until(fetched)
    return found[0]


def test_a_child_answers(tuner: ProcessTuner) -> None:
    tuner.submit(job(days=1.0))

    assert outcome(tuner) == TuningRefused(TuningReason.SHORT_HISTORY, "there is less than 2 days of history")


def test_tuning_is_ended_when_it_takes_longer_than_its_budget(tuner: ProcessTuner) -> None:
    tuner.submit(job(seconds=0.01))

    assert outcome(tuner) == TuningRefused(
        TuningReason.OUT_OF_TIME, "tuning took longer than 0.01 s; a larger --tuning-seconds gives more"
    )


def test_tuning_fails_and_says_why_when_learning_needs_more_memory_than_allowed(tuner: ProcessTuner) -> None:
    tuner.submit(replace(job(days=9.0), budget=TuningBudget(300.0, 2**26), learned=True))
    found = outcome(tuner)

    assert isinstance(found, TuningFailed)
    assert "64 MiB" in found.message or "emory" in found.message  # a library may give up before we hear of it


def test_no_child_is_left_when_the_operator_stops_while_it_tunes() -> None:
    tuner = ProcessTuner()
    service = SelfTuning(tuner, 300.0, lambda _: job().history, lambda _: False, print)
    service.note(WorkloadKey("shop", "one"), Tunable(STANDARD, STANDARD), None)
    service.advance(NOW)
    until(lambda: tuner.child_pid)
    assert tuner.child_pid is not None
    child = psutil.Process(tuner.child_pid)

    service.close()

    assert not child.is_running()


PARENT = """
import sys, time
import numpy as np
from datetime import UTC, datetime
from modelscaler.controller.tuning import ProcessTuner
from modelscaler.domain import LoadWindow
from modelscaler.replay.selftuning.jobs import TuningJob
from modelscaler.replay.standard import standard_workload

if __name__ == "__main__":
    window = LoadWindow(60.0, datetime(2026, 3, 2, tzinfo=UTC), np.full(7 * 1440, 50.0))
    tuner = ProcessTuner()
    tuner.submit(TuningJob(standard_workload(60.0, True), window))
    while tuner.child_pid is None:
        time.sleep(0.01)
    print(tuner.child_pid, flush=True)
    time.sleep(120.0)
"""


def test_the_tuning_child_ends_when_the_operator_is_killed(tmp_path: Path) -> None:
    assert_child_ends_with_its_parent(PARENT, tmp_path)
