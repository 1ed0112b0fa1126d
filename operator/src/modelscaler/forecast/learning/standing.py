"""How members of the mix stand to each other before anything is known of a series: their losses on generated load."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from modelscaler.forecast.anchor import judge_stride, judged
from modelscaler.forecast.base import pinball
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.learning.generation import Drawn
from modelscaler.forecast.network import Network
from modelscaler.forecast.panel import Floats32, Floats64
from modelscaler.forecast.pipeline import MEMBERS, OWN, PRETRAINED, TUNED, said

ORIGINS: Final = 24

FLEETS_OWN: Final = (TUNED, OWN)
"""Members that there are in a fleet only."""

TELLING: Final = [number for number, name in enumerate(MEMBERS) if name not in FLEETS_OWN]


def relative_losses(panels: Iterable[Drawn], network: Network) -> dict[str, float]:
    """Return each rule's loss relative to the pretrained network's: geometric means over series, horizons and targets.

    Args:
        panels: Generated load that the network has not learned from.
        network: The pretrained network.
    """
    pairs = [_losses(found, ahead, network) for found in panels for ahead in found.aheads]
    losses = np.concatenate(pairs, axis=1)  # (members, series)
    reference = losses[MEMBERS.index(PRETRAINED)]
    found = {}
    for name, of_member in zip(MEMBERS, losses, strict=True):
        both = (of_member > 0) & (reference > 0)
        if name not in FLEETS_OWN and both.any():
            found[name] = round(float(np.exp(np.log(of_member[both] / reference[both]).mean())), 4)
    return found


def _losses(found: Drawn, ahead: int, network: Network) -> Floats64:
    """Return the mean loss of every member in units of the anchor's scale, shape (members, 2 * series), NaN where it cannot."""
    panel = found.panel
    record = judged(panel, ahead, np.arange(0, panel.columns, judge_stride(panel.step_seconds)), None)
    origins = np.unique(np.linspace(panel.columns // 2, panel.columns - 1 - ahead, ORIGINS).astype(np.int64))
    told = said(panel, origins, ahead, record, Calendar.utc(panel.series), {PRETRAINED: network})
    came: Floats32 = np.stack([panel.value(origins + ahead, 0), panel.peak(origins + ahead, 0, ahead)])
    missed = pinball(came.astype(np.float64), told.quantiles.astype(np.float64))
    loss = (missed / told.scale[..., None]).sum(axis=-1)
    known = np.isfinite(loss[TELLING]).all(axis=0)  # by everyone who can tell: the same outcomes for all
    total = np.where(known, loss, 0.0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
    means: Floats64 = np.where(known.any(axis=-1), total, np.nan).reshape(len(MEMBERS), -1)
    return means
