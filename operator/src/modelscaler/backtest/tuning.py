"""Retunes the shared network for a backtest, in this process: what the operator does in a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.jobs import History, Trained, TrainingBudget, TrainingJob
from modelscaler.forecast.learning.own import own_trees
from modelscaler.forecast.learning.parts import part_of
from modelscaler.forecast.learning.retuning import train
from modelscaler.forecast.network import Network
from modelscaler.forecast.own import Own
from modelscaler.forecast.panel import Panel

SEED: Final = 0
BUDGET: Final = TrainingBudget(seconds=1_800.0, max_rows=600_000, max_rows_per_series=45_000)


@dataclass(frozen=True, slots=True)
class FleetTuner:
    """Learns from all panels together, beginning with the network that ships with the package."""

    pretrained: Network | None

    def tuned(self, panels: Sequence[Panel], cutoffs: Sequence[int], aheads: Sequence[Sequence[int]]) -> Network | None:
        """Learn from all panels, of each only up to its cutoff; None where there is too little."""
        histories = tuple(
            History(part_of(panel, slice(None), cutoff), Calendar.utc(panel.series), tuple(ahead))
            for panel, cutoff, ahead in zip(panels, cutoffs, aheads, strict=True)
        )
        outcome = train(TrainingJob(histories, SEED, self.pretrained, self.pretrained, BUDGET))
        return outcome.network if isinstance(outcome, Trained) else None

    def grown(self, panel: Panel, cutoff: int, ahead: int) -> Own:
        """Fit trees to each series of a panel for itself, only up to a cutoff."""
        found = []
        for row in range(panel.series):
            trees = own_trees(part_of(panel, slice(row, row + 1), cutoff), Calendar.utc(1), ahead, SEED)
            if trees is not None:
                found.append((row, trees))
        return found
