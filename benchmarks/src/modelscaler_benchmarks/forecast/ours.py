"""Our own methods, as the benchmark compares them."""

import hashlib
from collections.abc import Sequence

import numpy as np

from modelscaler.backtest.champion import ZERO_SHOT, Champion, Tuner, learner_from
from modelscaler.backtest.method import CHAMPION, Method
from modelscaler.forecast.network import Network
from modelscaler.forecast.networks import shipped_network
from modelscaler.forecast.own import NONE, Own
from modelscaler.forecast.panel import Panel

WITHOUT_TREES = f"{CHAMPION} without trees"


class TunedOnce:
    """A tuner that learns once from the same, whoever asks."""

    def __init__(self, tuner: Tuner) -> None:
        """Remember what `tuner` makes."""
        self._tuner = tuner
        self._known: dict[str, Network | None] = {}

    def tuned(self, panels: Sequence[Panel], cutoffs: Sequence[int], aheads: Sequence[Sequence[int]]) -> Network | None:
        """Return the network that was learned from these panels up to these cutoffs."""
        asked = _digest(panels, cutoffs, aheads)
        if asked not in self._known:
            self._known[asked] = self._tuner.tuned(panels, cutoffs, aheads)
        return self._known[asked]

    def grown(self, panel: Panel, cutoff: int, ahead: int) -> Own:
        """Fit trees, each time anew."""
        return self._tuner.grown(panel, cutoff, ahead)


class Treeless:
    """A tuner that grows no trees, as in service where there are too many series."""

    def __init__(self, tuner: Tuner) -> None:
        """Tune as `tuner` does."""
        self._tuner = tuner

    def tuned(self, panels: Sequence[Panel], cutoffs: Sequence[int], aheads: Sequence[Sequence[int]]) -> Network | None:
        """Return the other tuner's network."""
        return self._tuner.tuned(panels, cutoffs, aheads)

    def grown(self, panel: Panel, cutoff: int, ahead: int) -> Own:  # noqa: ARG002 - asked like the other
        """Return none."""
        return NONE


def our_methods() -> list[Method]:
    """Return our method; the same without trees, which shares its networks; and without anything that it learned here."""
    shipped = shipped_network()
    tuner = TunedOnce(learner_from(shipped))
    return [
        Champion(CHAMPION, shipped, tuner),
        Champion(WITHOUT_TREES, shipped, Treeless(tuner)),
        Champion(ZERO_SHOT, shipped, None),
    ]


def _digest(panels: Sequence[Panel], cutoffs: Sequence[int], aheads: Sequence[Sequence[int]]) -> str:
    found = hashlib.sha256(repr((list(cutoffs), [tuple(ahead) for ahead in aheads])).encode())
    for panel in panels:
        found.update(repr((panel.step_seconds, panel.first_cell, panel.fine.values.shape)).encode())
        found.update(np.ascontiguousarray(panel.fine.values).tobytes())
    return found.hexdigest()
