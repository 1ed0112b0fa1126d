"""Forecasts that wait for what they forecast to happen, so that their makers can be judged."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from modelscaler.domain import Floats, QuantileForecast
from modelscaler.forecast.base import TARGETS, ladder
from modelscaler.forecast.series import KNOWN_SHARE_OF_PEAK

Cells: TypeAlias = Callable[[int, int], Floats]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came at one rung: `actual` of shape (targets,), NaN where unknown; forecasts of shape (targets, quantiles)."""

    rung: int
    actual: Floats
    served: Floats
    members: Mapping[str, Floats]


@dataclass(slots=True)
class _Pending:
    cell: int
    served: Floats
    members: Mapping[str, Floats]
    matured: int = 0


class Maturing:
    """The forecasts of one series that have not fully matured, one per cell of its grid at most."""

    def __init__(self) -> None:
        self._pending: deque[_Pending] = deque()

    def add(self, cell: int, served: QuantileForecast, members: Mapping[str, QuantileForecast]) -> None:
        """Remember what was forecast when `cell` was the newest; a second forecast in the same cell is passed over."""
        if self._pending and self._pending[-1].cell >= cell:
            return
        by_name = {name: _at_rungs(forecast) for name, forecast in members.items()}
        self._pending.append(_Pending(cell, _at_rungs(served), by_name))

    def matured(self, complete_cell: int, cells: Cells) -> list[Outcome]:
        """Return what has become known by `complete_cell`, each once. `cells(first, last)` reads the history."""
        outcomes = []
        for pending in self._pending:
            rungs = pending.served.shape[1]
            while pending.matured < rungs and pending.cell + 2**pending.matured <= complete_cell:
                outcomes.append(_outcome(pending, pending.matured, cells))
                pending.matured += 1
        while self._pending and self._pending[0].matured == self._pending[0].served.shape[1]:
            self._pending.popleft()
        return [outcome for outcome in outcomes if np.isfinite(outcome.actual).any()]


def _outcome(pending: _Pending, rung: int, cells: Cells) -> Outcome:
    came = cells(pending.cell + 1, pending.cell + 2**rung)
    known = np.isfinite(came)
    peak = came[known].max() if known.mean() >= KNOWN_SHARE_OF_PEAK else np.nan
    members = {name: quantiles[:, rung] for name, quantiles in pending.members.items()}
    return Outcome(rung, np.array([came[-1], peak]), pending.served[:, rung], members)


def _at_rungs(forecast: QuantileForecast) -> Floats:
    """Return a forecast at the rungs it reaches, shape (targets, rungs, quantiles)."""
    steps = len(forecast.rps)
    rows = [rung - 1 for rung in ladder(steps) if rung <= steps]
    rungs: Floats = np.stack([forecast.rps[rows], forecast.peak_rps[rows]])
    assert rungs.shape[0] == TARGETS  # noqa: S101 - stacked above
    return rungs
