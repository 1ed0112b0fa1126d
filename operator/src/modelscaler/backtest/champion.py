"""The method that is ours: the operator's own forecasting, driven over recorded load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np

from modelscaler.backtest.cases import REFIT_SHARES, Case
from modelscaler.backtest.method import CHAMPION, Method, Progress, Quantiles
from modelscaler.forecast.anchor import Judgements, judge_stride, judged
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.network import Network
from modelscaler.forecast.networks import shipped_network
from modelscaler.forecast.online import Online, memory_of
from modelscaler.forecast.own import NONE, Own
from modelscaler.forecast.panel import Floats32, Ints, Panel
from modelscaler.forecast.pipeline import PRETRAINED, TUNED, Said, said

Networked: TypeAlias = Sequence[tuple[float, Mapping[str, Network]]]
"""Networks by name, and the share of a trace from which on there are those."""

Grown: TypeAlias = Sequence[Own]
"""For each of `Networked` the trees that a panel's series have of their own at a horizon."""

ZERO_SHOT: Final = f"{CHAMPION} zero-shot"
WARM_UP_SECONDS: Final = 2 * 86_400.0
BLOCK: Final = 4_096


class Tuner(Protocol):
    """Retunes the shared network."""

    def tuned(self, panels: Sequence[Panel], cutoffs: Sequence[int], aheads: Sequence[Sequence[int]]) -> Network | None:
        """Learn from all panels, of each only up to its cutoff; None where there is too little."""
        ...

    def grown(self, panel: Panel, cutoff: int, ahead: int) -> Own:
        """Fit trees to each series of a panel for itself, only up to a cutoff."""
        ...


@dataclass(frozen=True, slots=True)
class Champion:
    """The networks, the anchor and the naive rules, mixed and corrected online.

    `tuner` None: the network stays as it ships, which is called zero-shot.
    """

    name: str
    pretrained: Network | None
    tuner: Tuner | None

    def forecast(self, cases: Sequence[Case], progress: Progress) -> list[Quantiles]:
        """Forecast every case; see `Method.forecast`."""
        panels = [panel_of(case) for case in cases]
        networks = self._networks(cases, panels, progress)
        answers = []
        for done, (case, panel) in enumerate(zip(cases, panels, strict=True)):
            progress(f"{self.name} {case.trace.name}", done, len(cases))
            answers.append(np.stack([self._one(case, panel, ahead, networks) for ahead in case.horizons]))
        return answers

    def _one(self, case: Case, panel: Panel, ahead: int, networks: Networked) -> Floats32:
        """Return quantiles for one horizon, (2, origins, quantiles)."""
        warm_up = min(panel.steps(WARM_UP_SECONDS), case.split // 2)
        first = case.split - warm_up
        cutoffs = [int(share * panel.columns) - 1 for share, _ in networks]
        grown = [self.tuner.grown(panel, cutoff, ahead) if self.tuner and cutoff > 0 else NONE for cutoff in cutoffs]
        return served_from(panel, first, ahead, networks, grown)[:, case.origins - first]

    def _networks(
        self, cases: Sequence[Case], panels: Sequence[Panel], progress: Progress
    ) -> list[tuple[float, dict[str, Network]]]:
        """Return which networks there are from which share of a trace on."""
        shipped = {} if self.pretrained is None else {PRETRAINED: self.pretrained}
        found: list[tuple[float, dict[str, Network]]] = [(0.0, shipped)]
        if self.tuner is None:
            return found
        for done, share in enumerate(REFIT_SHARES):
            progress(f"{self.name}: retuning", done, len(REFIT_SHARES))
            cutoffs = [int(share * panel.columns) - 1 for panel in panels]
            network = self.tuner.tuned(panels, cutoffs, [case.horizons for case in cases])
            if network is not None:
                found.append((share, {**shipped, TUNED: network}))
        return found


def panel_of(case: Case) -> Panel:
    """Return a trace as a panel of one series."""
    trace = case.trace
    return Panel.of(trace.rps[None], trace.step_seconds, round(trace.start.timestamp() / trace.step_seconds))


def served_from(panel: Panel, first: int, ahead: int, networks: Networked, grown: Grown | None = None) -> Floats32:
    """Forecast from every column on, as the operator would: members are mixed and corrected by what has come of them so far.

    Args:
        panel: One series.
        first: The first column to forecast from; the mix begins there, so the first days of forecasts are a warm-up.
        ahead: The horizon in steps.
        networks: Which there are, from which share of the panel on.
        grown: For each of those, the series' own trees. None: they have none.

    Returns:
        Quantiles of the value and of the peak, shape (2, columns - first, quantiles).
    """
    dense = np.arange(first, panel.columns)
    record = judged(panel, ahead, np.arange(0, panel.columns, judge_stride(panel.step_seconds)), None)
    heard = _heard(panel, dense, ahead, record, networks, grown or [NONE] * len(networks))
    return _served(panel, dense, ahead, heard)


def _heard(panel: Panel, origins: Ints, ahead: int, record: Judgements, networks: Networked, grown: Grown) -> Said:
    """Ask every member at each origin, with the networks and trees that there were then."""
    calendar, parts = Calendar.utc(panel.series), []
    ends = [share * panel.columns for share, _ in networks[1:]] + [float(panel.columns)]
    for (share, known), own, end in zip(networks, grown, ends, strict=True):
        mine = origins[(origins >= share * panel.columns) & (origins < end)]
        for start in range(0, len(mine), BLOCK):
            parts.append(said(panel, mine[start : start + BLOCK], ahead, record, calendar, known, own))
    return Said(
        np.concatenate([part.quantiles for part in parts], axis=3),
        np.concatenate([part.scale for part in parts], axis=2),
    )


def _served(panel: Panel, origins: Ints, ahead: int, heard: Said) -> Floats32:
    """Mix and correct from origin to origin, learning from each outcome when it is known; shape (2, origins, quantiles)."""
    online = Online.of(panel.series, 1, memory_of(panel.step_seconds))
    came = np.stack([panel.value(origins, 0), panel.peak(origins, 0, ahead)])
    served = np.empty((*heard.scale.shape, heard.quantiles.shape[-1]), dtype=np.float32)
    for place in range(len(origins)):
        due = place - ahead
        if due >= 0:
            online.learn(0, came[..., place], heard.quantiles[:, :, :, due], served[:, :, due], heard.scale[:, :, due])
        served[:, :, place] = online.serve(0, heard.quantiles[:, :, :, place], heard.scale[:, :, place])
    return served[:, 0]


def champions() -> list[Method]:
    """Return our method, under the name CHAMPION, and the same without retuning."""
    network = shipped_network()
    return [Champion(CHAMPION, network, learner_from(network)), Champion(ZERO_SHOT, network, None)]


def learner_from(shipped: Network | None) -> Tuner:
    """Return who retunes the network that ships with the package, and grows trees."""
    from modelscaler.backtest.tuning import FleetTuner  # noqa: PLC0415 - torch, and only when something is learned

    return FleetTuner(shipped)
