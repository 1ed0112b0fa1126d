"""The command that makes the network that ships with the package."""

import logging
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.learning.examples import Examples, examples_of
from modelscaler.forecast.learning.generation import HORIZON_SECONDS, Progress
from modelscaler.forecast.learning.pretraining import Pretraining, pretrained, pretraining_of
from modelscaler.forecast.panel import Panel

log = logging.getLogger(__name__)

Recorded: TypeAlias = tuple[Floats, float, datetime]
"""A recorded load: rps of shape (T,), NaN where missing; seconds between two values; time of the first, UTC."""

SHIPPED: Final = Path(__file__).parents[1] / "pretrained.safetensors"
READABLE: Final = 0o644  # by whoever the package is installed for
ORIGINS_OF_A_TRACE: Final = 4_000  # for each horizon


def pretrain(
    minutes: float, seed: int, out: Path | None, examples: Path | None, recorded: Iterable[Recorded], progress: Progress
) -> Path:
    """Make the network and write it.

    Args:
        minutes: About how much work, on two usual cores.
        seed: What everything random follows from: the same seed, code and versions make the same network.
        out: Where it is written. None: into the package.
        examples: Keeps what is generated. None: it is not kept.
        recorded: Load to learn from besides.
        progress: Told how far it is.

    Returns:
        Where it was written.

    Raises:
        OSError: it cannot be written.
    """
    path = out or SHIPPED
    if not os.access(path.parent, os.W_OK):
        raise OSError(f"{path}: its folder cannot be written to; give another one by --out")
    wanted = pretraining_of(minutes, seed)
    rng = np.random.default_rng([seed, 1])
    others = tuple(_examples(load, rng) for load in recorded)
    network = pretrained(Pretraining(wanted.making, wanted.plan, others), examples, progress)
    network.save(path)
    path.chmod(READABLE)
    for name, fact in network.facts.items():
        log.info("%s: %s", name, fact)
    log.info("wrote %s", path)
    return path


def _examples(recorded: Recorded, rng: np.random.Generator) -> Examples:
    rps, step_seconds, start = recorded
    panel = Panel.of(rps[None], step_seconds, round(start.timestamp() / step_seconds))
    aheads = sorted({max(round(seconds / step_seconds), 1) for seconds in HORIZON_SECONDS})
    return examples_of(panel, Calendar.utc(1), aheads, panel.columns - 1, ORIGINS_OF_A_TRACE, rng)
