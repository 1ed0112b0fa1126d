"""Self-tuning: settings are chosen on older days and adopted when they hold on newer ones."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml

import builders
from manifests import model_deployment
from modelscaler.api.words import TuningReason
from modelscaler.backtest.trace import Trace
from modelscaler.capacity.measured import statement
from modelscaler.cli import main
from modelscaler.domain import LoadWindow, PolicySettings, Schedule
from modelscaler.replay.load import Part
from modelscaler.replay.outcome import Outcome
from modelscaler.replay.selftuning.choosing import Half, choose, in_order
from modelscaler.replay.selftuning.command import as_known
from modelscaler.replay.selftuning.jobs import (
    OUTCOME,
    Recommendation,
    TuningBudget,
    TuningFailed,
    TuningJob,
    TuningRefused,
    read_job,
    read_outcome,
    write_job,
    write_outcome,
)
from modelscaler.replay.selftuning.parts import Extent, Parts, parts_of
from modelscaler.replay.tuning import LADDER_GRID, Goal, Trial
from modelscaler.status.tuning import tuning_status
from modelscaler.workload import parse_resource, workload_from

START = datetime(2026, 3, 2, tzinfo=UTC)
CURRENT = PolicySettings()
CHEAP, SAFE, PLAIN = PolicySettings(0.9), PolicySettings(0.99), PolicySettings(forecaster="Reactive")
GRID_OF_THREE = (CHEAP, SAFE, PLAIN)
PARTS = Parts(Part(0.0, 1.5), Part(1.5, 3.0), 0.0)


def trial(cost: float, violating_share: float = 0.0, accuracy: float = 1.0, wobble: float = 0.0) -> Trial:
    outcome = Outcome(1e6, 1e6 * violating_share, 0.0, 0.0, cost, accuracy, 0.0, 0.0, 10, 4, 0, 0.0, 1.5)
    return Trial(outcome, cost + wobble * np.array([1.0, -1.0, 1.0, -1.0]))


class FakeReplays:
    """Answers what a test says that settings come to, and counts seconds."""

    def __init__(
        self,
        older: Mapping[PolicySettings, Trial],
        newer: Mapping[PolicySettings, Trial],
        preparing_seconds: float = 0.0,
    ) -> None:
        self.told = {"older": older, "newer": newer}
        self.runs: list[tuple[Half, PolicySettings]] = []
        self.prepared: list[Half] = []
        self.preparing_seconds = preparing_seconds
        self.seconds = 0.0

    def prepare(self, half: Half) -> None:
        self.prepared.append(half)
        self.seconds += self.preparing_seconds

    def __call__(self, half: Half, settings: PolicySettings) -> Trial:
        self.runs.append((half, settings))
        self.seconds += 10.0
        return self.told[half][settings]


def chosen(replays: FakeReplays, floor: float | None = None, budget: float = 1e6) -> Recommendation | TuningRefused:
    return choose(CURRENT, GRID_OF_THREE, Goal(floor), PARTS, replays, lambda: budget - replays.seconds)


OLDER = {CURRENT: trial(10.0), CHEAP: trial(8.0), SAFE: trial(12.0), PLAIN: trial(11.0)}


def test_cheaper_settings_are_adopted_when_they_hold_on_the_newer_part() -> None:
    found = chosen(FakeReplays(OLDER, {CURRENT: trial(10.0), CHEAP: trial(8.5), PLAIN: trial(11.0)}))

    assert isinstance(found, Recommendation)
    assert (found.settings, found.reason, found.tried) == (CHEAP, TuningReason.CHEAPER, 4)
    assert found.cost_ratio == pytest.approx(0.85)
    assert "0.85 times the cost on the newer 1.5 of 3 days" in found.message


@pytest.mark.parametrize(
    "newer",
    [trial(9.9), trial(8.0, violating_share=0.01), trial(9.0, wobble=3.0), trial(8.5, accuracy=0.9)],
    ids=["hardly cheaper", "misses the objective", "within luck", "not accurate enough"],
)
def test_settings_stay_when_the_best_of_the_older_part_does_not_hold_on_the_newer(newer: Trial) -> None:
    found = chosen(FakeReplays(OLDER, {CURRENT: trial(10.0), CHEAP: newer, PLAIN: trial(11.0)}), floor=0.95)

    assert isinstance(found, Recommendation)
    assert (found.settings, found.reason, found.cost_ratio) == (CURRENT, TuningReason.KEPT, 1.0)


def test_dearer_settings_are_adopted_when_those_in_use_miss_the_objective() -> None:
    missed = trial(10.0, violating_share=0.01)
    older = {CURRENT: missed, CHEAP: missed, SAFE: trial(12.0), PLAIN: missed}
    found = chosen(FakeReplays(older, {CURRENT: missed, SAFE: trial(12.0), PLAIN: missed}))

    assert isinstance(found, Recommendation)
    assert (found.settings, found.reason) == (SAFE, TuningReason.MENDED)
    assert "where it was 1.00%" in found.message


def test_reactive_rule_is_adopted_when_it_beats_those_in_use_and_the_best_does_not_hold() -> None:
    newer = {CURRENT: trial(10.0), CHEAP: trial(8.0, violating_share=0.01), PLAIN: trial(9.0)}
    found = chosen(FakeReplays(OLDER, newer))

    assert isinstance(found, Recommendation)
    assert found.settings == PLAIN


def test_newer_part_is_replayed_three_times_at_most() -> None:
    replays = FakeReplays(OLDER, {CURRENT: trial(10.0), CHEAP: trial(8.5), PLAIN: trial(11.0)})
    chosen(replays)

    assert [half for half, _ in replays.runs].count("newer") == 3


def test_a_decision_is_made_from_what_was_tried_when_time_ends_early() -> None:
    newer = {CURRENT: trial(10.0), PLAIN: trial(9.0)}
    older = {**OLDER, PLAIN: trial(9.0)}
    replays = FakeReplays(older, newer)
    found = chosen(replays, budget=62.0)

    assert isinstance(found, Recommendation)
    assert (found.settings, found.tried) == (PLAIN, 2)
    assert "the time ended after 2 of 4 settings" in found.message
    assert replays.seconds <= 62.0


def test_all_is_tried_that_time_is_left_for_when_forecasts_take_longer_than_all_runs() -> None:
    replays = FakeReplays(OLDER, {CURRENT: trial(10.0), CHEAP: trial(8.5), PLAIN: trial(11.0)}, preparing_seconds=200.0)
    found = chosen(replays, budget=540.0)

    assert isinstance(found, Recommendation)
    assert (found.settings, found.tried) == (CHEAP, 4)
    assert replays.prepared == ["older", "newer"]
    assert replays.seconds <= 540.0


def test_the_newer_part_is_not_begun_when_there_is_no_time_for_its_forecasts() -> None:
    replays = FakeReplays(OLDER, {CURRENT: trial(10.0), PLAIN: trial(9.0)}, preparing_seconds=200.0)
    found = chosen(replays, budget=440.0)

    assert isinstance(found, TuningRefused)
    assert replays.prepared == ["older"]


@pytest.mark.parametrize("budget", [0.0, 5.0, 49.0])
def test_nothing_is_said_when_time_ends_before_the_reactive_rule_was_compared(budget: float) -> None:
    found = chosen(FakeReplays(OLDER, {CURRENT: trial(10.0), PLAIN: trial(9.0)}), budget=budget)

    assert isinstance(found, TuningRefused)
    assert found.reason == TuningReason.OUT_OF_TIME
    assert "--tuning-seconds" in found.message


def test_those_in_use_and_the_reactive_ones_come_first_and_all_are_tried_once() -> None:
    order = in_order(CURRENT, LADDER_GRID)
    reactive = sum(settings.forecaster == "Reactive" for settings in LADDER_GRID)

    assert order[0] == CURRENT
    assert all(settings.forecaster == "Reactive" for settings in order[1 : 1 + reactive])
    assert sorted(order, key=repr) == sorted({CURRENT, *LADDER_GRID}, key=repr)
    assert PLAIN in in_order(CURRENT, (CHEAP,))


def hours(days: float) -> Trace:
    return Trace("load", 3600.0, START, np.full(round(24 * days), 5.0))


@pytest.mark.parametrize(
    ("days", "spared", "expected"),
    [(2.0, 0.0, 2.0), (3.0, 0.0, 3.0), (10.0, 0.0, 7.0), (8.0, 4.0, 4.0), (5.0, 4.0, 2.0), (14.0, 4.0, 7.0)],
)
def test_newest_days_are_halved_when_there_are_enough(days: float, spared: float, expected: float) -> None:
    parts = parts_of(hours(days), Extent(), spared)

    assert isinstance(parts, Parts)
    assert parts.days == pytest.approx(expected)
    assert parts.newer.last_day == pytest.approx(days)
    assert parts.older.last_day == parts.newer.first_day == pytest.approx(days - expected / 2.0)


def test_history_is_refused_when_it_is_too_short() -> None:
    trace = hours(5.0)
    trace.rps[:90] = np.nan

    for short in (trace, hours(1.9), replace(trace, rps=np.full(200, np.nan))):
        found = parts_of(short, Extent())
        assert isinstance(found, TuningRefused)
        assert found.reason == TuningReason.SHORT_HISTORY


def test_short_gaps_are_told_and_long_ones_refused() -> None:
    trace = hours(4.0)
    trace.rps[60:64] = np.nan
    told = parts_of(trace, Extent())
    trace.rps[60:66] = np.nan
    refused = parts_of(trace, Extent())

    assert isinstance(told, Parts)
    assert told.missing_share == pytest.approx(4 / 96)
    assert isinstance(refused, TuningRefused)
    assert refused.message == "12.5% of the newer 2 days of history are missing, expected 10% at most"


def test_a_gap_is_named_in_the_recommendation() -> None:
    parts = replace(PARTS, missing_share=0.042)
    replays = FakeReplays(OLDER, {CURRENT: trial(10.0), CHEAP: trial(8.5), PLAIN: trial(11.0)})
    found = choose(CURRENT, GRID_OF_THREE, Goal(), parts, replays, lambda: float("inf"))

    assert "4.2% of the history was missing" in found.message


def job() -> TuningJob:
    workload = replace(
        builders.workload(),
        policy=PolicySettings(0.9, None, -0.1, "Reactive", 60.0),
        schedules=(Schedule("0 8 * * *", "0 18 * * *", "Europe/Berlin", 3),),
        forecast=replace(builders.workload().forecast, holidays=(date(2026, 12, 24),)),
    )
    history = LoadWindow(60.0, START, np.array([1.0, np.nan, 3.0]))
    return TuningJob(workload, history, 7, TuningBudget(12.0, 2**20), learned=True)


def test_a_tuning_job_is_the_same_when_it_was_written_and_read(tmp_path: Path) -> None:
    write_job(job(), tmp_path / "job")
    read = read_job(tmp_path / "job")

    assert (tmp_path / "job").stat().st_mode & 0o777 == 0o700
    assert (read.workload, read.seed, read.budget, read.learned) == (job().workload, 7, job().budget, True)
    assert (read.history.step_seconds, read.history.end) == (60.0, START)
    np.testing.assert_array_equal(read.history.rps, job().history.rps)


RECOMMENDED = Recommendation(CHEAP, TuningReason.CHEAPER, "cheaper", 3.0, 0.85, 0.0002, 33)


@pytest.mark.parametrize(
    "outcome", [RECOMMENDED, TuningRefused(TuningReason.GAPS, "gaps"), TuningFailed("it broke")], ids=type
)
def test_what_a_tuning_found_is_the_same_when_it_was_written_and_read(
    outcome: Recommendation | TuningRefused | TuningFailed, tmp_path: Path
) -> None:
    write_outcome(outcome, tmp_path)

    assert read_outcome(tmp_path) == outcome


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:20],
        lambda text: "[]",  # noqa: ARG005
        lambda text: text.replace("CheaperSettings", "Magic"),
        lambda text: text.replace("0.85", '"much"'),
        lambda text: text.replace("0.85", "-1.0"),
        lambda text: text.replace('"Forecast"', '"Tea leaves"'),
        lambda text: text.replace('"quantile"', '"quartile"').replace('"settings"', '"sittings"'),
    ],
    ids=["cut", "no object", "reason", "no number", "below zero", "forecaster", "names"],
)
def test_tuning_has_failed_when_what_it_wrote_cannot_be_used(spoil: Callable[[str], str], tmp_path: Path) -> None:
    write_outcome(RECOMMENDED, tmp_path)
    file = tmp_path / OUTCOME
    file.write_text(spoil(file.read_text()))

    failed = read_outcome(tmp_path)

    assert isinstance(failed, TuningFailed)
    assert "cannot be used" in failed.message


def test_what_an_earlier_tuning_found_is_gone_when_a_new_job_is_written(tmp_path: Path) -> None:
    write_outcome(RECOMMENDED, tmp_path)
    write_job(job(), tmp_path)

    assert isinstance(read_outcome(tmp_path), TuningFailed)


def test_command_knows_measured_speeds_and_settings_when_the_manifest_has_a_status(tmp_path: Path) -> None:
    body = model_deployment({"spec.scaling.maxReplicas": 50})
    stated = workload_from(parse_resource(body), None)
    measured = {
        "placement": "cpu",
        "variant": "full",
        "sustainableRps": "1",
        "source": "Measured",
        "speedFactor": "0.5",
        "speedUncertainty": "0.05",
        "measuredTime": "2026-03-02T00:00:00Z",
        "measuredAgainst": statement(stated.capacities[0]),
    }
    tuning = tuning_status(CHEAP, START, TuningReason.CHEAPER, "why", None).model_dump(by_alias=True, exclude_none=True)
    (tmp_path / "mdep.yaml").write_text(yaml.safe_dump({**body, "status": {"capacity": [measured], "tuning": tuning}}))

    known = as_known(stated, tmp_path / "mdep.yaml")

    assert known.policy == CHEAP
    assert known.capacities[0].per_request_seconds > 1.5 * stated.capacities[0].per_request_seconds


def test_tuning_refuses_to_write_what_only_a_comparison_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path), "--tune", "--html", str(tmp_path / "r.html")]) == 1

    assert "--html with --tune" in capsys.readouterr().err
