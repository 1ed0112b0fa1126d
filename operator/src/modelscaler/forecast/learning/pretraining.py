"""Makes the network that ships with the package, from generated load alone: the first day is not naive."""

import logging
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from modelscaler.forecast.learning.examples import Examples, joined
from modelscaler.forecast.learning.fitting import Epoch, Fitting, Plan, losses_of, new_network, one_thread
from modelscaler.forecast.learning.generation import Making, Progress, drawn, ensure_made, examples_in
from modelscaler.forecast.learning.hiding import Hiding
from modelscaler.forecast.learning.standing import relative_losses
from modelscaler.forecast.learning.weights import serving
from modelscaler.forecast.network import Network, facts_of
from modelscaler.forecast.panel import Floats64

log = logging.getLogger(__name__)

PANELS_PER_MINUTE: Final = 14.8  # 222 in 15 minutes, of which making and learning take 11 on two usual cores
LEAST_PANELS: Final = 2
EVERY_HELD_OUT: Final = 10  # one panel in ten is not learned from
STANDING_PANELS: Final = 4
PRETRAINING: Final = Plan(epochs=4, rate=1.5e-3, dropout=0.1, hiding=Hiding(0.1, 0.1, 0.1))


@dataclass(frozen=True, slots=True)
class Pretraining:
    """What to make and how to fit it; `extra` are examples of other load, which are learned from as well."""

    making: Making
    plan: Plan = PRETRAINING
    extra: tuple[Examples, ...] = field(default_factory=tuple)


def pretraining_of(minutes: float, seed: int) -> Pretraining:
    """Return a pretraining that takes about so long on two cores; what comes of it follows from these two numbers."""
    return Pretraining(Making(seed, max(round(PANELS_PER_MINUTE * minutes), LEAST_PANELS)))


def pretrained(wanted: Pretraining, folder: Path | None, progress: Progress) -> Network:
    """Generate load, fit a network to it, and say how well it does on load that it has not seen.

    Args:
        wanted: What to make.
        folder: Keeps the examples, so that a second run makes only what is missing. None: they are not kept.
        progress: Told how far it is.
    """
    with ExitStack() as stack:
        kept = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelscaler-")))
        kept.mkdir(parents=True, exist_ok=True)
        ensure_made(wanted.making, kept, progress)
        held_out = range(EVERY_HELD_OUT - 1, wanted.making.panels, EVERY_HELD_OUT) or range(1)
        learned = [number for number in range(wanted.making.panels) if number not in held_out]
        examples = joined([examples_in(kept, learned), *wanted.extra])
        unseen = examples_in(kept, held_out)
    return _fitted(wanted, examples, unseen, list(held_out), progress)


def _fitted(
    wanted: Pretraining, examples: Examples, unseen: Examples, held_out: list[int], progress: Progress
) -> Network:
    with one_thread():
        module = new_network(examples.features.shape[1], wanted.making.seed, wanted.plan.dropout)
        for epoch in Fitting(module, examples, wanted.plan, wanted.making.seed).epochs():
            _tell(epoch, wanted.plan, progress)
    bare = serving(module, {})
    losses = losses_of(bare, unseen)
    standing = relative_losses((drawn(wanted.making, number) for number in held_out[:STANDING_PANELS]), bare)
    return Network(bare.weights, _facts(wanted, examples.rows, losses, standing))


def _tell(epoch: Epoch, plan: Plan, progress: Progress) -> None:
    log.info("epoch %d of %d: loss %.4f", epoch.number + 1, plan.epochs, epoch.loss)
    progress("epochs", epoch.number + 1, plan.epochs)


def asked_of(wanted: Pretraining) -> dict[str, int]:
    """Return what a network says of how it was made that is known before it is."""
    making = wanted.making
    return {
        "seed": making.seed,
        "panels": making.panels,
        "series": making.panels * making.series,
        "other_rows": sum(part.rows for part in wanted.extra),
    }


def _facts(wanted: Pretraining, rows: int, losses: Floats64, standing: dict[str, float]) -> dict[str, str]:
    return facts_of(
        {
            **asked_of(wanted),
            "rows": rows,
            "versions": {name: version(name) for name in ("modelscaler", "numpy", "scipy", "torch")},
            "validation_losses": np.round(losses, 5).tolist(),
            "relative_losses": standing,
        }
    )
