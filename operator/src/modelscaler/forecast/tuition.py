"""The models that learn from this fleet: trained in turns in the background, adopted when ready, kept in a folder."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from modelscaler.forecast.fleet import Fleet
from modelscaler.forecast.grove import Grove
from modelscaler.forecast.jobs import (
    BOOSTED,
    GROWN,
    NETWORK,
    Grown,
    Trained,
    TrainingBudget,
    TrainingFailed,
    TrainingRefused,
)
from modelscaler.forecast.lessons import job_of
from modelscaler.forecast.network import Network
from modelscaler.forecast.networks import Networks
from modelscaler.forecast.schedule import TrainingSchedule
from modelscaler.forecast.training import Trainer

log = logging.getLogger(__name__)

KINDS: Final = (NETWORK, BOOSTED, GROWN)


@dataclass(frozen=True, slots=True)
class Lessons:
    """How the fleet is learned from.

    A model is trained every `retrain_seconds`, from `seed`, on `max_series` at most, within `budget`.
    """

    retrain_seconds: float = 6 * 3600.0
    max_series: int = 200
    seed: int = 0
    budget: TrainingBudget = field(default_factory=TrainingBudget)


class Tuition:
    """Trains one at a time: the shared network, the boosted rival where one is asked for, and trees of single series."""

    def __init__(self, lessons: Lessons, trainer: Trainer, weights: Path | None, state: Path | None) -> None:
        """Read what there is; see `Networks`."""
        self._lessons = lessons
        self._trainer = trainer
        self._networks = Networks(weights, state)
        self._schedules = {kind: TrainingSchedule(lessons.retrain_seconds) for kind in KINDS}
        self._under_way = NETWORK

    def networks(self, boosted: bool) -> Mapping[str, Network]:
        """Return the learned members for series that ask for the boosted rival, or for those that do not."""
        return self._networks.known(boosted)

    @property
    def grove(self) -> Grove:
        """The trees that series have of their own."""
        return self._networks.grove

    @property
    def trouble(self) -> str | None:
        """Why weights cannot be used; None when nothing is wrong with any."""
        return self._networks.trouble

    def failure(self, boosted: bool) -> str | None:
        """Return why the last training of a kind failed; None when it did not."""
        return self._schedules[BOOSTED if boosted else NETWORK].failure

    def poll(self, fleet: Fleet) -> None:
        """Adopt what was trained, if anything; never waits."""
        outcome = self._trainer.poll()
        if outcome is None:
            return
        kind = self._under_way
        self._schedules[kind].ended(outcome)
        match outcome:
            case Trained(network=network, rows=rows):
                log.info("adopted a %s that learned from %d rows", kind, rows)
                self._networks.adopt(network, boosted=kind == BOOSTED)
            case Grown(grove):
                log.info("adopted %d trees of single series", len(grove.trees))
                wanting = [key for cohort in fleet.in_use() for key in cohort.keys]
                self._networks.adopt_grove(self.grove.renewed(grove, wanting))
            case TrainingFailed(reason):
                log.warning("training of the %s failed, what there was goes on serving: %s", kind, reason)
            case TrainingRefused(reason):
                log.info("no %s was trained: %s", kind, reason)

    def train_when_due(self, fleet: Fleet, now: datetime) -> None:
        """Start the next training when one is due, wanted and none is under way."""
        for kind in KINDS if not self._trainer.busy else ():
            schedule, boosted = self._schedules[kind], kind == BOOSTED
            if not schedule.due(now):
                continue
            seed = self._lessons.seed + schedule.trainings
            job = job_of(fleet, self.networks(boosted), kind, self._lessons.budget, self._lessons.max_series, seed)
            if job is not None:
                schedule.started(now)
                self._under_way = kind
                self._trainer.submit(job)
                return

    def close(self) -> None:
        """End a training under way."""
        self._trainer.close()
