"""Tunes the network that all series share on the fleet's own history: what no generated load can teach."""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from modelscaler.domain import WorkloadKey
from modelscaler.forecast.grove import Grove
from modelscaler.forecast.jobs import (
    BOOSTED,
    GROWN,
    Grown,
    History,
    Outcome,
    Trained,
    TrainingBudget,
    TrainingFailed,
    TrainingJob,
    TrainingRefused,
)
from modelscaler.forecast.learning.boosting import OutOfTimeError, boosted
from modelscaler.forecast.learning.checkpoints import Checkpoint
from modelscaler.forecast.learning.examples import Examples, Span, examples_between, joined
from modelscaler.forecast.learning.fitting import Fitting, Plan, losses_of, new_network, one_thread
from modelscaler.forecast.learning.own import own_trees, rows_of_trees
from modelscaler.forecast.learning.parts import clocks_of, part_of
from modelscaler.forecast.learning.torch_network import QuantileNetwork
from modelscaler.forecast.learning.weights import learning, serving
from modelscaler.forecast.network import Network, facts_of
from modelscaler.forecast.panel import Floats32
from modelscaler.forecast.trees import Trees

EPOCHS: Final = 3
RATE: Final = 7e-4
DROPOUT: Final = 0.15
NEWEST_SHARE: Final = 0.1  # of the columns: what a network that has not learned from them is judged on
LEAST_ROWS: Final = 500
LEAST_KNOWN_SECONDS: Final = 86_400.0
FIRST_ORIGIN: Final = 64
BATCH: Final = 256
MOST_WEIGHT: Final = 4.0  # of a row of a short history, next to one of a long one
FITTING_SHARE: Final = 0.8  # of the time that is left when the examples are there
JUDGING_TIME_SHARE: Final = 0.2
# So many networks are tuned from the same weights, each under a seed of its own, and the mean of their weights serves. It does
# better than they do on average, at the price of one in service (model soups: Wortsman et al., ICML 2022).
COPIES: Final = 4

Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Material:
    """What there is to learn from: `old` and `newest` examples; nothing in `old` looks at the time that `newest` is of."""

    old: Examples
    newest: Examples


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where and until when a training works: its checkpoint's folder, who is told how far it is, and the clock in seconds."""

    folder: Path | None = None
    tell: Tell = lambda _: None
    clock: Callable[[], float] = time.monotonic


def train(job: TrainingJob, at: Workplace | None = None) -> Outcome:
    """Tune a network on histories, or say why there is too little to learn from.

    Args:
        job: The histories, the networks to begin with, the seed and the bounds.
        at: Where it works. None: nowhere, unheard, by the monotonic clock.
    """
    at = at or Workplace()
    started = at.clock()
    if not any(_long_enough(history) for history in job.histories):
        return TrainingRefused(f"no series has {LEAST_KNOWN_SECONDS / 3600:g} hours of known history yet")
    with one_thread():
        if job.kind == GROWN:
            return _grown(job, started + FITTING_SHARE * job.budget.seconds, at)
        material = material_of(job)
        at.tell(f"{material.old.rows} rows and {material.newest.rows} newest ones")
        if material.old.rows < LEAST_ROWS:
            return TrainingRefused(f"{material.old.rows} rows to learn from, expected at least {LEAST_ROWS}")
        seconds = FITTING_SHARE * (job.budget.seconds - (at.clock() - started))
        fit = _boosted if job.kind == BOOSTED else _tuned
        return fit(job, material, max(seconds, 0.0), at)


def material_of(job: TrainingJob) -> Material:
    """Draw examples from all histories, as many of each series."""
    rng = np.random.default_rng(job.seed)
    series = sum(history.panel.series for history in job.histories)
    most = rows_of_each(series, job.budget)
    found = [_examples(history, most, rng.spawn(1)[0]) for history in job.histories]
    return Material(joined([pair.old for pair in found]), joined([pair.newest for pair in found]))


def rows_of_each(series: int, budget: TrainingBudget) -> int:
    """Return how many rows may be learned from each of so many series."""
    return max(min(budget.max_rows // max(series, 1), budget.max_rows_per_series), 1)


def _examples(history: History, most: int, rng: np.random.Generator) -> Material:
    panel = history.panel
    cutoff = panel.columns - 1
    split = cutoff - math.ceil(NEWEST_SHARE * panel.columns)
    count = max(most // len(history.aheads), 1)
    spans = [Span(FIRST_ORIGIN, split, count), Span(split + 1, cutoff, math.ceil(NEWEST_SHARE * count))]
    old, newest = examples_between(panel, history.calendar, history.aheads, spans, rng)
    weight = _weight(old.rows / panel.series, most)
    return Material(old.weighted(weight), newest.weighted(weight))


def _weight(rows: float, most: int) -> float:
    """Return how much the rows of a history count: more when it has few, yet not in proportion."""
    return min(math.sqrt(most / max(rows, 1.0)), MOST_WEIGHT)


def _long_enough(history: History) -> bool:
    known = np.isfinite(history.panel.fine.values).sum(axis=1)
    return bool(known.max(initial=0) * history.panel.step_seconds >= LEAST_KNOWN_SECONDS)


def _tuned(job: TrainingJob, material: Material, seconds: float, at: Workplace) -> Outcome:
    """Fit copies to everything; and, to tell how much tuning helps, fit one to the old part alone and judge it on the newest.

    That one begins with the pretrained network: the last tuned one has seen most of the newest part.
    """
    everything = joined([material.old, material.newest])
    begin = _begin(job)
    count = COPIES if begin else 1  # the mean of networks that began apart is no network
    checkpoints = [Checkpoint(at.folder, _mark(begin), copy) if at.folder else None for copy in range(count)]
    each = seconds * (1.0 - JUDGING_TIME_SHARE if job.pretrained else 1.0) / count
    copies = []
    for copy, checkpoint in enumerate(checkpoints):
        at.tell(f"copy {copy + 1} of {count}")
        copies.append(serving(_fitted(begin, everything, job.seed + copy, each, at, checkpoint), {}))
    relative = 1.0
    if job.pretrained:
        at.tell("another on the old part alone, to be judged on the newest")
        judged = _fitted(job.pretrained, material.old, job.seed, seconds * JUDGING_TIME_SHARE, at, None)
        relative = relative_loss(serving(judged, {}), job.pretrained, material.newest)
    for checkpoint in checkpoints:
        if checkpoint:
            checkpoint.remove()
    facts = facts_of({"seed": job.seed, "rows": everything.rows, "relative_loss": round(relative, 4)})
    return Trained(Network(mean_weights(copies), facts), relative, everything.rows)


def mean_weights(networks: Sequence[Network]) -> dict[str, Floats32]:
    """Return the mean of the weights of networks of one shape, by name."""
    return {
        name: np.mean([network.weights[name] for network in networks], axis=0, dtype=np.float32)
        for name in networks[0].weights
    }


def _boosted(job: TrainingJob, material: Material, seconds: float, at: Workplace) -> Outcome:
    """As `_tuned`, with trees."""
    everything = joined([material.old, material.newest])
    until = at.clock() + seconds

    def fitted(examples: Examples) -> Trees:
        return boosted(examples, job.seed, lambda: at.clock() < until, at.tell)

    try:
        relative = relative_loss(fitted(material.old), job.pretrained, material.newest) if job.pretrained else 1.0
        trees = fitted(everything)
    except OutOfTimeError:
        return TrainingFailed(f"boosting takes longer than {seconds:g} s; lower the rows or raise the budget")
    facts = facts_of({"seed": job.seed, "rows": everything.rows, "relative_loss": round(relative, 4)})
    return Trained(Trees(trees.weights, {**trees.facts, **facts}), relative, everything.rows)


def _grown(job: TrainingJob, until: float, at: Workplace) -> Outcome:
    """Fit trees to every series for itself: all for the shortest horizon first, then for the next, until time is out."""
    asked = sorted({ahead for history in job.histories for ahead in history.aheads})
    found: dict[tuple[WorkloadKey, int], Trees] = {}
    most_rows = rows_of_trees(sum(len(history.keys) * len(history.aheads) for history in job.histories))
    for ahead, history in product(asked, job.histories):
        for row, key in enumerate(history.keys if ahead in history.aheads else ()):
            if at.clock() >= until:
                return Grown(Grove(found))
            mine = slice(row, row + 1)
            part, clock = part_of(history.panel, mine, history.panel.columns - 1), clocks_of(history.calendar, mine)
            trees = own_trees(part, clock, ahead, job.seed, most_rows)
            if trees is not None:
                found[key, ahead] = trees
        at.tell(f"trees of single series: {len(found)}")
    return Grown(Grove(found)) if found else TrainingRefused("no series has enough known history for trees of its own")


def _fitted(
    begin: Network | None, examples: Examples, seed: int, seconds: float, at: Workplace, checkpoint: Checkpoint | None
) -> QuantileNetwork:
    module = learning(begin, DROPOUT) if begin else new_network(examples.features.shape[1], seed, DROPOUT)
    fitting = Fitting(
        module, examples, Plan(EPOCHS, RATE, dropout=DROPOUT, batch=BATCH, seconds=seconds), seed, at.clock
    )
    if checkpoint and checkpoint.restore(fitting):
        at.tell(f"goes on after epoch {fitting.epochs_done}")
    for epoch in fitting.epochs():
        at.tell(f"epoch {epoch.number + 1} of {EPOCHS}: loss {epoch.loss:.4f}")
        if checkpoint:
            checkpoint.save(fitting)
    return fitting.module


def _begin(job: TrainingJob) -> Network | None:
    """Return what to go on from: half-way between the last tuned and the pretrained network.

    Going on from the last tuned one alone, hundreds of trainings on much the same two weeks would add up to learning them by
    heart. Trees cannot be gone on from.
    """
    there = [of for of in (job.start, job.pretrained) if of is not None and not isinstance(of, Trees)]
    if len(there) < 2 or not _alike(*there):
        return there[0] if there else None
    return Network(mean_weights(there), {})


def _alike(one: Network, other: Network) -> bool:
    return {n: w.shape for n, w in one.weights.items()} == {n: w.shape for n, w in other.weights.items()}


def relative_loss(ours: Network, theirs: Network, newest: Examples) -> float:
    """Return the loss on what neither has learned from, divided by the other network's; 1 with nothing to compare."""
    if newest.rows == 0:
        return 1.0
    losses = [losses_of(of, newest).sum() for of in (ours, theirs)]
    return float(losses[0] / losses[1]) if losses[1] > 0 else 1.0


def _mark(begin: Network | None) -> str:
    """Return what a fit follows from, apart from examples and seed: there may have come more since it was killed."""
    digest = hashlib.sha256(f"{EPOCHS} {RATE} {DROPOUT}".encode())
    for name, weight in sorted(begin.weights.items()) if begin else ():
        digest.update(name.encode() + weight.tobytes())
    return digest.hexdigest()
