"""Self-tuning in service: one ModelDeployment at a time is replayed in the background, the longest untuned first.

What is found goes into status with the next decision, and counts from then on. Nothing here waits.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from modelscaler.api.v1alpha1 import TuningStatus
from modelscaler.api.words import TuningReason
from modelscaler.background import ChildProcess, Work, Worker
from modelscaler.backtest.trace import DAY_SECONDS
from modelscaler.domain import LoadWindow, PoolKey, Workload, WorkloadKey
from modelscaler.planner.starts import slowest_start
from modelscaler.replay.selftuning.jobs import (
    Outcome,
    Recommendation,
    TuningBudget,
    TuningFailed,
    TuningJob,
    TuningRefused,
    read_outcome,
    write_job,
)
from modelscaler.replay.selftuning.parts import USUAL_EXTENT, Extent
from modelscaler.status.tuning import digest_of, latest, tuning_status
from modelscaler.status.wording import moment

log = logging.getLogger(__name__)

EVERY: Final = timedelta(days=1)
AFTER_FAILURE: Final = timedelta(hours=1)
TOO_YOUNG_FOR: Final = timedelta(hours=1)
LOOKED_AT_ONCE: Final = 16
NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tunable:
    """What may be replayed.

    Attributes:
        workload: As it is planned for, the settings in use among it.
        stated: As spec and profile state it.
        starts: How many seconds replicas took to start, of the pools that were measured.
    """

    workload: Workload
    stated: Workload
    starts: Mapping[PoolKey, float] = field(default_factory=dict)

    @property
    def replayed(self) -> Workload:
        """The workload as it is replayed: scaled by the plan, its placements starting as fast as was measured."""
        placements = []
        for placement in self.workload.placements:
            measured = slowest_start(self.starts, placement.name)
            seconds = float(math.ceil(measured)) if measured else placement.start_seconds
            placements.append(replace(placement, start_seconds=seconds))
        return replace(self.workload, placements=tuple(placements), paused=False, recommend_only=False)


Tuner: TypeAlias = Worker[TuningJob, Outcome]
"""Does one tuning at a time without blocking its caller."""


class ProcessTuner(ChildProcess[TuningJob, Outcome]):
    """Tunes in a child process, behind all others."""

    def __init__(self) -> None:
        """Start nothing yet."""
        super().__init__(TUNING)


TUNING: Final[Work[TuningJob, Outcome]] = Work(
    name="tuning",
    module="modelscaler.replay.selftuning",
    seconds=lambda job: job.budget.seconds,
    write=write_job,
    read=lambda _, folder: read_outcome(folder),
    failed=TuningFailed,
    late=lambda message: TuningRefused(TuningReason.OUT_OF_TIME, f"{message}; a larger --tuning-seconds gives more"),
)


class SelfTuning:
    """Who is tuned next, and what was found."""

    def __init__(
        self,
        tuner: Tuner | None,
        budget_seconds: float,
        window: Callable[[WorkloadKey], LoadWindow | None],
        learned: Callable[[WorkloadKey], bool],
        ended: Callable[[str], None],
        extent: Extent = USUAL_EXTENT,
    ) -> None:
        """Start nothing yet.

        Args:
            tuner: Does the work; None: nobody is tuned.
            budget_seconds: Of one tuning.
            window: Returns the load of a ModelDeployment; None when nothing is known of it.
            learned: Tells whether models serve it that learned its own days.
            ended: Is told the reason of every tuning that ended.
            extent: How much history there must be.
        """
        self._tuner, self._window, self._learned, self._ended = tuner, window, learned, ended
        self._extent = extent
        self._budget = TuningBudget(budget_seconds)
        self._known: dict[WorkloadKey, tuple[Tunable, TuningStatus | None]] = {}
        self._young_until: dict[WorkloadKey, datetime] = {}
        self._found: dict[WorkloadKey, TuningStatus] = {}
        self._under_way: tuple[WorkloadKey, Tunable] | None = None

    def note(self, key: WorkloadKey, tunable: Tunable | None, tuning: TuningStatus | None) -> None:
        """Remember a ModelDeployment as it was last decided on; None: it is not to be tuned."""
        if tunable is None:
            self._known.pop(key, None)
        else:
            self._known[key] = tunable, tuning

    def forget(self, key: WorkloadKey) -> None:
        """Drop what is known of a ModelDeployment that is gone."""
        for known in (self._known, self._young_until, self._found):
            known.pop(key, None)

    def found(self, key: WorkloadKey) -> TuningStatus | None:
        """Return what the last tuning of a ModelDeployment found; None before one ended."""
        return self._found.get(key)

    def advance(self, now: datetime) -> None:
        """Fetch what ended, and start what is due; never waits."""
        if self._tuner is None:
            return
        outcome = self._tuner.poll()
        if outcome is not None and self._under_way is not None:
            self._settle(*self._under_way, outcome, now)
            self._under_way = None
        if not self._tuner.busy:
            self._start_next(now)

    def close(self) -> None:
        """End a tuning under way; nothing is left behind."""
        if self._tuner is not None:
            self._tuner.close()

    def _settle(self, key: WorkloadKey, tunable: Tunable, outcome: Outcome, now: datetime) -> None:
        status = status_of(outcome, tunable, now)
        self._ended(status.reason)
        log.info("%s: %s: %s", key, status.reason, status.message)
        if key in self._known:
            self._found[key] = status

    def _start_next(self, now: datetime) -> None:
        due = [
            (last, key)
            for key, (_, tuning) in self._known.items()
            if (last := last_tuned(newest := latest(self._found.get(key), tuning))) + _wait(newest) <= now
            and self._young_until.get(key, NEVER) <= now
        ]
        for _, key in sorted(due)[:LOOKED_AT_ONCE]:
            window = self._window(key)
            if window is None or window.span_seconds < self._extent.least_days * DAY_SECONDS:
                self._young_until[key] = now + TOO_YOUNG_FOR
                continue
            self._start(key, window)
            return

    def _start(self, key: WorkloadKey, window: LoadWindow) -> None:
        assert self._tuner is not None  # noqa: S101 - the caller checked
        tunable, _ = self._known[key]
        self._under_way = key, tunable
        self._tuner.submit(TuningJob(tunable.replayed, window, budget=self._budget, learned=self._learned(key)))


def last_tuned(tuning: TuningStatus | None) -> datetime:
    """Return when a ModelDeployment was tuned last; `NEVER` also when what it was tuned for has changed."""
    if tuning is None or tuning.reason == TuningReason.SPEC_CHANGED:
        return NEVER
    return moment(tuning.time) or NEVER


def _wait(tuning: TuningStatus | None) -> timedelta:
    return AFTER_FAILURE if tuning is not None and tuning.reason == TuningReason.FAILED else EVERY


def status_of(outcome: Outcome, tunable: Tunable, now: datetime) -> TuningStatus:
    """Return what a tuning found as status holds it: where nothing was found, the settings in use stay."""
    in_use, promised = tunable.workload.policy, digest_of(tunable.stated)
    match outcome:
        case Recommendation(settings, reason, message, days, cost_ratio, violating_share):
            figures = days, cost_ratio, violating_share
            return tuning_status(settings, now, reason, message, promised, figures)
        case TuningRefused(reason, message):
            return tuning_status(in_use, now, reason, message, promised)
        case TuningFailed(message):
            return tuning_status(in_use, now, TuningReason.FAILED, message, promised)
