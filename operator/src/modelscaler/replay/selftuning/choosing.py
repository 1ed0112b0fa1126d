"""Choose settings on the older part of a history, and adopt them if they hold on the newer one. Pure but for the time left.

The reactive rule is always among what is tried, and is taken when it beats what is in use while nothing else does: a
ModelDeployment cannot stay worse than the reactive rule by much (docs/self-tuning.md).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from modelscaler.api.words import TuningReason
from modelscaler.domain import PolicySettings
from modelscaler.replay.selftuning.jobs import Recommendation, TuningRefused
from modelscaler.replay.selftuning.parts import Parts
from modelscaler.replay.tuning import Goal, Trial, Tried, chosen_of, is_worth_adopting, keeps

Half: TypeAlias = Literal["older", "newer"]

SPREAD: Final = 5
NEWER_RUNS: Final = 3
"""Of the settings in use, of the best and of the best reactive ones: there must be time left for them."""

MARGIN: Final = 1.25
"""Runs differ in length, and so do preparations."""


class Replays(Protocol):
    """Replays settings on a part of the history."""

    def prepare(self, half: Half) -> None:
        """Make what all runs on a part share: its load, and forecasts, which may take longer than all of those runs."""
        ...

    def __call__(self, half: Half, settings: PolicySettings) -> Trial:
        """Replay settings on a part that was prepared."""
        ...


@dataclass(slots=True)
class Runs:
    """What was tried so far, and how long a run and a preparation take at most."""

    replays: Replays
    left_seconds: Callable[[], float]
    longest_seconds: float = 0.0
    prepared_seconds: float = 0.0
    tried: dict[Half, dict[PolicySettings, Trial]] = field(default_factory=dict)

    def enough_for(self, runs: int, preparations: int = 0) -> bool:
        """Tell whether so many more runs and preparations fit into the time that is left."""
        needed_seconds = runs * self.longest_seconds + preparations * self.prepared_seconds
        return self.left_seconds() > needed_seconds * MARGIN

    def prepare(self, half: Half) -> None:
        """Make a part ready for runs."""
        self.prepared_seconds = self._took(lambda: self.replays.prepare(half))
        self.tried[half] = {}

    def run(self, half: Half, settings: PolicySettings) -> None:
        """Try settings, once."""
        if settings not in self.tried[half]:
            self.longest_seconds = max(self.longest_seconds, self._took(lambda: self._try(half, settings)))

    def _try(self, half: Half, settings: PolicySettings) -> None:
        self.tried[half][settings] = self.replays(half, settings)

    def _took(self, work: Callable[[], None]) -> float:
        """Do work and return how long it took, in seconds of the time that is left; 0 where that has no end."""
        before = self.left_seconds()
        work()
        return before - self.left_seconds() if math.isfinite(before) else 0.0


def in_order(current: PolicySettings, grid: Sequence[PolicySettings]) -> list[PolicySettings]:
    """Return what is tried, first what a decision needs, then the others, spread over the grid: time may run out."""
    plain = PolicySettings(forecaster="Reactive")
    reactive = [settings for settings in grid if settings.forecaster == "Reactive"] or [plain]
    others = [settings for start in range(SPREAD) for settings in grid[start::SPREAD]]
    return list(dict.fromkeys([current, *reactive, *others]))


def choose(
    current: PolicySettings,
    grid: Sequence[PolicySettings],
    goal: Goal,
    parts: Parts,
    replays: Replays,
    left_seconds: Callable[[], float],
) -> Recommendation | TuningRefused:
    """Return which settings to use from now on.

    Args:
        current: Those in use.
        grid: Those to try; where none is reactive, the plain reactive rule besides.
        goal: What to keep.
        parts: What is replayed: for the message.
        replays: Replays settings.
        left_seconds: Returns how much time is left.
    """
    runs, wanted = Runs(replays, left_seconds), in_order(current, grid)
    runs.prepare("older")
    for settings in wanted:
        if not runs.enough_for(NEWER_RUNS + 1, preparations=1):
            break
        runs.run("older", settings)
    older = [Tried(settings, trial.outcome) for settings, trial in runs.tried["older"].items()]
    reactive = [tried for tried in older if tried.settings.forecaster == "Reactive"]
    if not reactive or older[0].settings != current:
        return _out_of_time(len(older), len(wanted))
    best, plain = chosen_of(older, goal).settings, chosen_of(reactive, goal).settings
    runs.prepare("newer")
    for settings in (current, plain, best):
        if not runs.enough_for(1):
            break
        runs.run("newer", settings)
    newer = runs.tried["newer"]
    if current not in newer or plain not in newer:
        return _out_of_time(len(older), len(wanted))
    return _decided(current, [best, plain], newer, goal, parts, (len(older), len(wanted)))


def _out_of_time(tried: int, wanted: int) -> TuningRefused:
    return TuningRefused(
        TuningReason.OUT_OF_TIME,
        f"the time ended after {tried} of {wanted} settings, before those in use and the reactive rule were compared on both "
        "parts of the history: a larger --tuning-seconds gives more",
    )


def _decided(
    current: PolicySettings,
    candidates: Sequence[PolicySettings],
    newer: Mapping[PolicySettings, Trial],
    goal: Goal,
    parts: Parts,
    counts: tuple[int, int],
) -> Recommendation:
    before = newer[current]
    taken = next(
        (
            settings
            for settings in candidates
            if settings != current
            and settings in newer
            and (keeps(newer[settings].outcome, goal.floor) or not keeps(before.outcome, goal.floor))
            and is_worth_adopting(newer[settings], before, goal.violating_share)
        ),
        current,
    )
    after = newer[taken]
    old_cost, new_cost = before.outcome.mean_hourly_cost, after.outcome.mean_hourly_cost
    ratio = new_cost / old_cost if old_cost > 0.0 else 1.0
    mended = before.outcome.violating_share > goal.violating_share
    reason = TuningReason.KEPT if taken == current else TuningReason.MENDED if mended else TuningReason.CHEAPER
    return Recommendation(
        settings=taken,
        reason=reason,
        message=_message(reason, taken, ratio, (before, after), parts, counts),
        days=parts.days,
        cost_ratio=ratio,
        violating_share=after.outcome.violating_share,
        tried=counts[0],
    )


def _message(
    reason: TuningReason,
    taken: PolicySettings,
    ratio: float,
    outcomes: tuple[Trial, Trial],
    parts: Parts,
    counts: tuple[int, int],
) -> str:
    before, after = (each.outcome.violating_share for each in outcomes)
    tried, wanted = counts
    on = f"on the newer {parts.newer.days:.3g} of {parts.days:.3g} days"
    match reason:
        case TuningReason.KEPT:
            said = f"{worded(taken)} stays: {before:.2%} violating {on}, and nothing tried was better beyond luck"
        case TuningReason.MENDED:
            said = (
                f"{worded(taken)}: {after:.2%} violating {on} where it was {before:.2%}, at {ratio:.2f} times the cost"
            )
        case _:
            said = f"{worded(taken)}: {ratio:.2f} times the cost {on}, with {after:.2%} violating where it was {before:.2%}"
    short = f"; the time ended after {tried} of {wanted} settings" if tried < wanted else f"; {tried} settings tried"
    gaps = f"; {parts.missing_share:.1%} of the history was missing, and the load taken to run straight there"
    return said + short + (gaps if parts.missing_share > 0.0 else "")


def worded(settings: PolicySettings) -> str:
    """Return settings in words, those that are as by default left out."""
    said = ["the reactive rule" if settings.forecaster == "Reactive" else "the forecast"]
    if settings.forecaster == "Forecast" and settings.quantile is not None:
        said.append(f"quantile {settings.quantile:g}")
    if settings.forecaster == "Forecast" and settings.recourse_quantile is not None:
        said.append(f"{settings.recourse_quantile:g} at least by the planned variant")
    if settings.headroom:
        said.append(f"headroom {settings.headroom:+.0%}")
    if settings.scale_down_seconds is not None:
        said.append(f"the larger size kept for {settings.scale_down_seconds:g} s")
    return ", ".join(said)
