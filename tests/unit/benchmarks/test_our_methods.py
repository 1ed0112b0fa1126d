"""Our methods as the forecast benchmark compares them: one retuning for those that share it, and no trees for one."""

from collections.abc import Sequence

import numpy as np

from backtests import trace_of
from modelscaler.backtest.cases import Case
from modelscaler.backtest.champion import panel_of
from modelscaler.forecast.network import Network
from modelscaler.forecast.own import Own
from modelscaler.forecast.panel import Panel
from modelscaler_benchmarks.forecast.ours import Treeless, TunedOnce

HORIZONS = ((1, 10),)


class Counting:
    """Counts what is learned."""

    def __init__(self) -> None:
        self.tunings = 0
        self.growths = 0

    def tuned(self, panels: Sequence[Panel], cutoffs: Sequence[int], aheads: Sequence[Sequence[int]]) -> Network | None:
        self.tunings += 1
        return Network({"which": np.array([self.tunings], dtype=np.float32)}, {})

    def grown(self, panel: Panel, cutoff: int, ahead: int) -> Own:
        self.growths += 1
        return ()


def panel(level: float = 1.0) -> Panel:
    return panel_of(Case(trace_of(np.full(100, level)), np.arange(60, 90), HORIZONS[0]))


def test_networks_are_tuned_once_when_two_methods_learn_from_the_same() -> None:
    counting = Counting()
    tuner = TunedOnce(counting)

    first = tuner.tuned([panel()], [59], HORIZONS)

    assert Treeless(tuner).tuned([panel()], [59], HORIZONS) is first
    assert counting.tunings == 1


def test_networks_are_tuned_anew_when_load_cutoff_or_horizons_differ() -> None:
    counting = Counting()
    tuner = TunedOnce(counting)

    tuner.tuned([panel()], [59], HORIZONS)
    tuner.tuned([panel()], [69], HORIZONS)
    tuner.tuned([panel(2.0)], [59], HORIZONS)
    tuner.tuned([panel()], [59], ((1,),))

    assert counting.tunings == 4


def test_trees_are_grown_only_by_the_tuner_that_has_them() -> None:
    counting = Counting()
    tuner = TunedOnce(counting)

    assert Treeless(tuner).grown(panel(), 59, 10) == ()
    assert counting.growths == 0
    tuner.grown(panel(), 59, 10)
    assert counting.growths == 1
