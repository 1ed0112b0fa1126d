"""Self-tuning in service: who is tuned when, what becomes of it, and the process that does it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

import builders
from builders import NOW
from manifests import model_deployment
from modelscaler.api.v1alpha1 import ModelDeploymentStatus, TuningStatus
from modelscaler.api.words import ConditionReason, TuningReason
from modelscaler.controller.decide import Inputs, Outcome, Settings, decide
from modelscaler.controller.events import announcements
from modelscaler.controller.summaries import Entry
from modelscaler.controller.tuning import SelfTuning, Tunable
from modelscaler.domain import LoadWindow, PolicySettings, PoolKey, Value, WorkloadKey
from modelscaler.explain import explain
from modelscaler.render import RenderDefaults
from modelscaler.replay.selftuning import jobs
from modelscaler.replay.selftuning.jobs import Recommendation, TuningFailed, TuningJob, TuningRefused
from modelscaler.replay.standard import standard_workload
from modelscaler.status import ForecastHealth, settle
from modelscaler.status.tuning import digest_of, policy_from, tuning_status
from modelscaler.workload import parse_resource, parse_status

ONE, TWO, YOUNG = (WorkloadKey("shop", name) for name in ("one", "two", "young"))
TUNED = PolicySettings(0.9, 0.5, 0.15, "Forecast", 60.0)
RECOMMENDED = Recommendation(TUNED, TuningReason.CHEAPER, "cheaper", 3.0, 0.85, 0.0002, 33)
STANDARD = standard_workload(60.0, with_rung=True)
TUNABLE = Tunable(STANDARD, STANDARD)


class FakeTuner:
    """Has the outcome that a test sets at the next poll."""

    def __init__(self, outcome: jobs.Outcome = RECOMMENDED) -> None:
        self.outcome = outcome
        self.jobs: list[TuningJob] = []
        self.closed = False
        self._ended = False

    @property
    def busy(self) -> bool:
        return self._ended

    def submit(self, job: TuningJob) -> None:
        assert not self.busy
        self.jobs.append(job)
        self._ended = True

    def poll(self) -> jobs.Outcome | None:
        ended, self._ended = self._ended, False
        return self.outcome if ended else None

    def close(self) -> None:
        self.closed = True


def window(key: WorkloadKey) -> LoadWindow:
    """Return three days of hours; of the young one a day."""
    return LoadWindow(3600.0, NOW, np.full(24 if key == YOUNG else 72, 5.0 if key == ONE else 7.0))


class Service:
    """Self-tuning that is told of ModelDeployments as the loop tells it."""

    def __init__(self, tuner: FakeTuner, *keys: WorkloadKey) -> None:
        self.reasons: list[str] = []
        self.tuner = tuner
        self.service = SelfTuning(tuner, 60.0, window, lambda key: key == TWO, self.reasons.append)
        self.now = NOW
        for key in keys:
            self.service.note(key, TUNABLE, None)

    def after(self, **time: float) -> "Service":
        self.now += timedelta(**time)
        self.service.advance(self.now)
        return self

    @property
    def loads(self) -> list[float]:
        """Whose load was submitted, in order."""
        return [float(job.history.rps[0]) for job in self.tuner.jobs]


def test_one_is_tuned_after_another_and_each_once_a_day() -> None:
    told = Service(FakeTuner(), ONE, TWO)
    for _ in range(4):
        told.after(minutes=1)
    assert told.loads == [5.0, 7.0]
    assert [job.learned for job in told.tuner.jobs] == [False, True]  # as the models that serve have learned

    told.after(hours=23, minutes=50)
    assert told.loads == [5.0, 7.0]
    for _ in range(4):
        told.after(minutes=6)
    assert told.loads == [5.0, 7.0, 5.0, 7.0]
    assert told.reasons == ["CheaperSettings"] * 4


def test_longest_untuned_comes_first() -> None:
    told = Service(FakeTuner())
    for key, days in ((ONE, 2), (TWO, 3)):
        at = NOW - timedelta(days=days)
        told.service.note(key, TUNABLE, tuning_status(TUNED, at, TuningReason.KEPT, "kept", None))
    told.after(minutes=1)

    assert told.loads == [7.0]


def test_a_young_one_waits_and_holds_nobody_up() -> None:
    told = Service(FakeTuner(), YOUNG, TWO)
    for _ in range(3):
        told.after(minutes=1)

    assert told.loads == [7.0]
    assert told.service.found(YOUNG) is None


def test_what_failed_is_tried_again_after_an_hour_and_changes_nothing() -> None:
    told = Service(FakeTuner(TuningFailed("killed")))
    told.service.note(ONE, Tunable(replace(STANDARD, policy=TUNED), STANDARD), None)
    told.after(minutes=1).after(minutes=1)
    found = told.service.found(ONE)

    assert found is not None
    assert (found.reason, found.message, policy_from(found)) == ("TuningFailed", "killed", TUNED)
    assert len(told.after(minutes=50).tuner.jobs) == 1
    assert len(told.after(minutes=15).tuner.jobs) == 2


def test_settings_in_use_stay_when_nothing_can_be_said() -> None:
    told = Service(FakeTuner(TuningRefused(TuningReason.GAPS, "gaps")))
    told.service.note(ONE, Tunable(replace(STANDARD, policy=TUNED), STANDARD), None)
    told.after(minutes=1).after(minutes=1)
    found = told.service.found(ONE)

    assert found is not None
    assert (found.reason, policy_from(found)) == ("HistoryHasGaps", TUNED)


@pytest.mark.parametrize("gone", [True, False])
def test_nothing_is_found_for_one_that_is_gone_or_turned_off(gone: bool) -> None:
    told = Service(FakeTuner(), ONE).after(minutes=1)
    if gone:
        told.service.forget(ONE)
    else:
        told.service.note(ONE, None, None)
    told.after(minutes=1).after(days=2)

    assert told.service.found(ONE) is None
    assert len(told.tuner.jobs) == 1


def test_nobody_is_tuned_without_a_budget() -> None:
    service = SelfTuning(None, 0.0, window, lambda _: False, print)
    service.note(ONE, TUNABLE, None)
    service.advance(NOW)
    service.close()

    assert service.found(ONE) is None


def test_start_as_measured_counts_where_it_is_known() -> None:
    paused = replace(STANDARD, paused=True, recommend_only=True)
    starts = {PoolKey("cpu", "full"): 22.3, PoolKey("cpu", "fast"): 9.0, PoolKey("gpu", "full"): 90.0}
    found = Tunable(paused, STANDARD, starts).replayed

    assert found.placements[0].start_seconds == 23.0
    assert not found.paused
    assert not found.recommend_only
    assert TUNABLE.replayed == STANDARD


# --- what a decision makes of it ---------------------------------------------------------------------------------------

SETTINGS = Settings(15.0, 15.0, 30.0, RenderDefaults(server_image="server"), 60.0)
HEALTHY = ForecastHealth(True, ConditionReason.LEARNED, "the learned model serves")
POOL = PoolKey("cpu", "full")


class Scene:
    """One ModelDeployment under a steady load."""

    def __init__(self, **changes: Any) -> None:
        self.status = ModelDeploymentStatus()
        self.now, self.generation = NOW, 1
        self.edit(**changes)

    def edit(self, **changes: Any) -> None:
        self.resource = parse_resource(model_deployment({"spec.scaling.maxReplicas": 50, **changes}))

    def decide(self, tuned: TuningStatus | None = None) -> Outcome:
        """Decide once and store the status as the API server would."""
        self.now += timedelta(seconds=15)
        seen = builders.observation(
            Value(300.0, self.now), builders.pool(POOL, 4), now=self.now, latency=Value(0.02, self.now), selected=POOL
        )
        entry = Entry(WorkloadKey("default", "ranker"), "u", 1, 1, self.resource, None, self.status, False)
        inputs = Inputs(self.now, entry, None, None, seen, None, HEALTHY, tuned=tuned)
        outcome = decide(inputs, SETTINGS)
        self.announced = announcements(self.status, outcome)
        stored = settle(self.status, outcome.status, self.now, 30.0) or self.status
        self.status = parse_status(stored.model_dump(mode="json", by_alias=True, exclude_none=True))
        return outcome

    def tuning(self, settings: PolicySettings, reason: TuningReason = TuningReason.CHEAPER) -> TuningStatus:
        tunable = self.decide().tunable
        assert tunable is not None
        return tuning_status(settings, self.now, reason, "because", digest_of(tunable.stated), (3.0, 0.85, 0.0002))


GENEROUS = PolicySettings(headroom=1.0)


def test_next_plan_weighs_by_what_was_found_and_a_restart_keeps_it() -> None:
    scene = Scene()
    found = scene.tuning(GENEROUS)
    before = scene.status.desired
    scene.decide(found)
    assert [a.reason for a in scene.announced if a.note == "because"] == ["CheaperSettings"]

    restarted = scene.decide()
    assert restarted.plan is not None
    assert before is not None
    assert restarted.plan.demand.planned_rps == pytest.approx(600.0)
    assert restarted.plan.target.replicas > before.replicas
    assert restarted.tunable is not None
    assert restarted.tunable.workload.policy == GENEROUS
    assert scene.status.tuning == found
    assert not any(a.note == "because" for a in scene.announced)


def test_failure_is_announced_once_and_the_settings_stay_when_it_goes_on_failing() -> None:
    scene = Scene()
    scene.decide(scene.tuning(GENEROUS))
    told = []
    for _ in range(2):
        scene.decide(scene.tuning(GENEROUS, TuningReason.FAILED))
        told += [(a.kind, a.reason) for a in scene.announced if a.note == "because"]

    assert told == [("Warning", "TuningFailed")]
    assert policy_from(scene.status.tuning) == GENEROUS


def test_explanation_says_what_was_tuned_and_why() -> None:
    scene = Scene()
    assert "tuned" not in explain("ranker", scene.decide().status)

    scene.decide(scene.tuning(GENEROUS))

    assert "CheaperSettings: because" in explain("ranker", scene.status)


def test_status_does_not_change_when_the_same_was_found_again_and_again() -> None:
    scene = Scene()
    found = scene.tuning(GENEROUS)
    for _ in range(3):
        scene.decide(found)
    status = scene.status

    assert scene.decide(found).status.tuning == status.tuning


def test_defaults_count_when_tuning_is_turned_off() -> None:
    scene = Scene()
    scene.decide(scene.tuning(GENEROUS))
    scene.edit(**{"spec.scaling.selfTuning": "Off"})
    outcome = scene.decide()

    assert outcome.plan is not None
    assert outcome.plan.demand.planned_rps == pytest.approx(300.0)
    assert outcome.tunable is None
    assert scene.status.tuning is not None
    assert (scene.status.tuning.reason, policy_from(scene.status.tuning)) == ("TuningOff", PolicySettings())
    assert "TuningOff" in [a.reason for a in scene.announced]


def test_nothing_is_said_of_tuning_when_it_was_never_on() -> None:
    scene = Scene(**{"spec.scaling.selfTuning": "Off"})
    scene.decide()

    assert scene.status.tuning is None


def test_defaults_count_when_the_objective_changes() -> None:
    scene = Scene()
    found = scene.tuning(GENEROUS)
    scene.decide(found)
    scene.edit(**{"spec.slo.latency.targetMilliseconds": 700})
    outcome = scene.decide(found)
    dropped = scene.status.tuning

    assert outcome.plan is not None
    assert outcome.plan.demand.planned_rps == pytest.approx(300.0)
    assert dropped is not None
    assert dropped.reason == "SpecChanged"
    scene.decide(found)
    assert scene.status.tuning == dropped


def test_settings_stay_when_something_else_of_the_spec_changes() -> None:
    scene = Scene()
    scene.decide(scene.tuning(GENEROUS))
    scene.edit(**{"spec.scaling.maxReplicas": 40})
    scene.decide()

    assert policy_from(scene.status.tuning) == GENEROUS


@pytest.mark.parametrize(
    "settings", [PolicySettings(), TUNED, PolicySettings(None, None, -0.1, "Reactive", 300.0), GENEROUS]
)
def test_settings_are_the_same_when_they_were_written_into_a_status_and_read(settings: PolicySettings) -> None:
    written = tuning_status(settings, NOW, TuningReason.KEPT, "why", "digest", (3.0, 0.85, 0.0002))
    read = parse_status({"tuning": written.model_dump(mode="json", by_alias=True, exclude_none=True)})

    assert read.tuning == written
    assert policy_from(read.tuning) == settings


@pytest.mark.parametrize(
    "edited",
    [{"quantile": "2"}, {"quantile": "nan"}, {"headroom": "much"}, {"headroom": "-0.9"}, {"scale_down_seconds": 10**6}],
)
def test_defaults_count_when_somebody_wrote_nonsense_into_the_status(edited: dict[str, Any]) -> None:
    good = tuning_status(TUNED, NOW, TuningReason.KEPT, "why", None)

    assert policy_from(good.model_copy(update=edited)) == PolicySettings()
