"""What the network is tuned on: the history of the fleet, or of another part of it at each training."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from modelscaler.forecast.cohort import Cohort
from modelscaler.forecast.fleet import Fleet
from modelscaler.forecast.jobs import BOOSTED, GROWN, History, TrainingBudget, TrainingJob
from modelscaler.forecast.network import Network
from modelscaler.forecast.panel import Ints
from modelscaler.forecast.pipeline import PRETRAINED, TUNED

MOST_GROWN: Final = 50
"""More series get no trees of their own: one takes about a second for each horizon."""


def job_of(
    fleet: Fleet,
    networks: Mapping[str, Network],
    kind: str,
    budget: TrainingBudget,
    most_series: int,
    seed: int,
) -> TrainingJob | None:
    """Return the next training; None when nobody wants what it trains.

    Args:
        fleet: The series.
        networks: The learned members that there are.
        kind: What is trained: `NETWORK`, `BOOSTED` for the series that ask for it, or `GROWN`, which takes seconds for each
            series and so is for fleets of up to `MOST_GROWN`.
        budget: Bounds of the training.
        most_series: How many series are learned from at most, since all of a large fleet costs memory and time.
        seed: What chance decides, such as whom to learn from.
    """
    rng = np.random.default_rng(seed)
    mine = [cohort for cohort in fleet.in_use() if cohort.boosted == (kind == BOOSTED)]
    if kind == GROWN and sum(int(cohort.table["learned"].sum()) for cohort in mine) > MOST_GROWN:
        return None
    found = [(cohort, _chosen(cohort, most_series, rng)) for cohort in mine]
    histories = tuple(_history(fleet, cohort, rows) for cohort, rows in found if len(rows))
    if not histories:
        return None
    start, pretrained = _networks_for(kind, networks)
    return TrainingJob(histories, seed, start, pretrained, budget, kind)


def _networks_for(kind: str, networks: Mapping[str, Network]) -> tuple[Network | None, Network | None]:
    """Return the network that a training goes on from, and the one that what it makes is compared with."""
    if kind == GROWN:
        return None, None
    return (None if kind == BOOSTED else networks.get(TUNED)), networks.get(PRETRAINED)


def _chosen(cohort: Cohort, most_series: int, rng: np.random.Generator) -> Ints:
    wanting = np.flatnonzero(cohort.table["learned"])
    found: Ints = np.sort(rng.permutation(wanting)[:most_series])
    return found


def _history(fleet: Fleet, cohort: Cohort, rows: Ints) -> History:
    keys = tuple(cohort.keys[row] for row in rows)
    return History(cohort.panel(fleet.store, rows), cohort.calendar(rows), cohort.rungs, keys)
