"""Replay a ModelDeployment's own recent history over the grid of settings, and recommend some."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from modelscaler.backtest.champion import Tuner
from modelscaler.backtest.trace import Trace
from modelscaler.domain import Floats, PolicySettings, Workload
from modelscaler.forecast.network import Network
from modelscaler.replay.case import Case, Cluster, usual_pool
from modelscaler.replay.comparison import PartName, Setting, first_replicas
from modelscaler.replay.foresight import Foresight
from modelscaler.replay.load import Arrivals
from modelscaler.replay.offered import foresight_of
from modelscaler.replay.outcome import outcome_of
from modelscaler.replay.policies.ours import Modelscaler
from modelscaler.replay.run import replay
from modelscaler.replay.selftuning.choosing import Half, choose
from modelscaler.replay.selftuning.jobs import Recommendation, TuningRefused
from modelscaler.replay.selftuning.parts import USUAL_EXTENT, Extent, parts_of
from modelscaler.replay.timeline import Timeline
from modelscaler.replay.tuning import Trial, goal_of, grid_for

BLOCK_SECONDS: Final = 6 * 3600.0
"""Costs are compared in blocks of this length: whether a saving is more than luck shows in how it differs between them."""

LEARNED_DAYS: Final = 4.5
"""So many days before both parts are left to learn from, where there are more than the parts need at least: three for what is
learned first, one for the mix to hear it, and what a replay runs before a part counts."""

NAMES: Final[Mapping[Half, PartName]] = {"older": "tuning", "newer": "test"}


def recommend(
    workload: Workload,
    trace: Trace,
    arrivals: Arrivals,
    shipped: Network | None,
    tuner: Tuner | None,
    left_seconds: Callable[[], float],
    extent: Extent = USUAL_EXTENT,
    grid: Sequence[PolicySettings] | None = None,
) -> Recommendation | TuningRefused:
    """Return which settings a recorded load recommends.

    Forecasts are made with what was known by then, also by those who learn: a network that was tuned on all of this history
    would know what came.

    Args:
        workload: What is scaled; its `policy` are the settings in use.
        trace: The recorded load, NaN where missing.
        arrivals: How requests are drawn from it.
        shipped: The network that ships with the package; None: rules alone forecast.
        tuner: Retunes it, and grows trees, on what came before either part. None: it stays as it ships.
        left_seconds: Returns how much time is left; asked between replays.
        extent: How much of the load is replayed.
        grid: The settings to try. None: `grid_for` the workload.

    Raises:
        NoPoolError: No replica keeps the objective.
    """
    parts = parts_of(trace, extent, spared_days=0.0 if tuner is None else LEARNED_DAYS)
    if isinstance(parts, TuningRefused):
        return parts
    # Settings are for sizes: when there is no replica at all is the user's choice.
    awake = replace(workload, idling=None)
    setting = Setting(trace, awake, usual_pool(workload), parts.older, parts.newer, arrivals, 1, Cluster())
    replays = Replays(setting, shipped, tuner)
    allowed = list(dict.fromkeys(settings.within(workload.stated) for settings in grid or grid_for(workload)))
    return choose(workload.policy, allowed, goal_of(workload.objective), parts, replays, left_seconds)


class Replays:
    """Replays settings on either part; loads and forecasts are made once for each."""

    def __init__(self, setting: Setting, shipped: Network | None, tuner: Tuner | None) -> None:
        self._setting, self._shipped, self._tuner = setting, shipped, tuner
        self._made: dict[Half, tuple[Case, Foresight]] = {}

    def prepare(self, half: Half) -> None:
        """Draw the load of a part, and make its forecasts."""
        name = NAMES[half]
        foresight = foresight_of(self._setting, name, self._shipped, self._tuner)
        self._made[half] = self._setting.case(name, 0), foresight

    def __call__(self, half: Half, settings: PolicySettings) -> Trial:
        """Replay settings on a part that was prepared."""
        case, foresight = self._made[half]
        kind = Modelscaler(foresight, case.load.start, settings, case.cluster.lag_seconds)
        timeline = replay(case, kind, first_replicas(case))
        return Trial(outcome_of(timeline), block_costs(timeline))


def block_costs(timeline: Timeline) -> Floats:
    """Return the mean hourly cost of each block of a run; one block at least."""
    costs = timeline.hourly_cost
    count = max(round(len(costs) * timeline.step_seconds / BLOCK_SECONDS), 1)
    return np.array([float(block.mean()) for block in np.array_split(costs, count)])
