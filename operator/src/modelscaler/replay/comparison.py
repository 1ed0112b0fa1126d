"""Compare policies on one recorded load: settings chosen on its older part, judged on its newer part.

Every policy is judged twice there: with the settings that the same rule chooses for all of them from their grids on the older
part, and with hindsight, the best of its grid on the newer part itself. Costs are multiples of the clairvoyant minimum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np

from modelscaler.backtest.trace import DAY_SECONDS, Trace
from modelscaler.domain import PoolKey, Workload
from modelscaler.planner.ladder import ladder_of
from modelscaler.replay.case import Case, Cluster
from modelscaler.replay.incidents import FlashCrowd, MetricsOutage, StockOut
from modelscaler.replay.load import Arrivals, Part, load_of
from modelscaler.replay.outcome import Outcome
from modelscaler.replay.policies.oracle import TICK_SECONDS, clairvoyant_hourly_cost, fewest_replicas
from modelscaler.replay.sight import PolicyKind
from modelscaler.replay.tuning import ALL_ROOM, Goal, Tried, best_of, chosen_of, keeps

RUN_IN_DAYS: Final = 0.25
"""A replay begins so long before the part that counts, as far as there is load: replicas, budgets of cheaper answers and what a
policy remembers are then those of a service that has run for a while."""

PartName: TypeAlias = Literal["tuning", "test"]
Variants: TypeAlias = Literal["rung", "one", "several"]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is compared.

    Attributes:
        trace: The recorded load.
        workload: What is scaled.
        pool: What those scale that choose replicas only.
        tuning: The part on which settings are chosen.
        test: The part on which they are judged.
        arrivals: How requests are drawn; the seed is the first of `seeds`.
        seeds: How many seeds the chosen settings are judged with.
        cluster: How the cluster behaves.
        stock_outs: What cannot be had for a while on the newer part; the older one has none.
        crowds: Flash crowds on the newer part, likewise.
        outages: When Prometheus cannot be asked there.
    """

    trace: Trace
    workload: Workload
    pool: PoolKey
    tuning: Part
    test: Part
    arrivals: Arrivals
    seeds: int
    cluster: Cluster
    stock_outs: tuple[StockOut, ...] = ()
    crowds: tuple[FlashCrowd, ...] = ()
    outages: tuple[MetricsOutage, ...] = ()

    @property
    def start_seconds(self) -> float:
        """How long a replica takes to start."""
        return self.workload.placement(self.pool.placement).start_seconds

    @property
    def variants(self) -> Variants:
        """What can answer: `rung`, where each replica holds a cheaper variant too; else `one`, or `several` to plan among."""
        if len(ladder_of(self.workload, self.pool)) > 1:
            return "rung"
        return "one" if len(self.workload.variants) == 1 else "several"

    def case(self, part: PartName, number: int) -> Case:
        """Return a part as a case, under the seed of that number."""
        seed = self.arrivals.seed + number
        arrivals = replace(self.arrivals, seed=seed)
        days = self.tuning if part == "tuning" else self.test
        run_in_seconds = min(RUN_IN_DAYS, days.first_day) * DAY_SECONDS // TICK_SECONDS * TICK_SECONDS
        replayed = replace(days, first_day=days.first_day - run_in_seconds / DAY_SECONDS)
        crowds, cluster = list[FlashCrowd](), self.cluster
        if part == "test":
            crowds = [each.later(run_in_seconds) for each in self.crowds]
            cluster = replace(
                cluster,
                stock_outs=tuple(each.later(run_in_seconds) for each in self.stock_outs),
                outages=tuple(each.later(run_in_seconds) for each in self.outages),
            )
        load = load_of(self.trace, replayed, arrivals, crowds=crowds)
        return Case(self.workload, self.pool, load, cluster, seed, run_in_seconds)


Grids: TypeAlias = Mapping[PartName, Mapping[str, Sequence[PolicyKind]]]
"""By part and by policy the settings to try; a policy's are in the same order on both parts."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a comparison.

    Attributes:
        part: On which part.
        number: Under which seed.
        policy: Whose.
        place: Which settings of its grid.
    """

    part: PartName
    number: int
    policy: str
    place: int


@dataclass(frozen=True, slots=True)
class Ran:
    """A run and what it came to."""

    job: Job
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Judged:
    """A policy under one choice of settings, on the newer part.

    Attributes:
        policy: Its name.
        settings: The chosen ones.
        hindsight: Whether they were chosen on the newer part itself.
        outcomes: Under each seed.
        unit: Mean hourly cost of the clairvoyant minimum.
    """

    policy: str
    settings: Mapping[str, float | str]
    hindsight: bool
    outcomes: tuple[Outcome, ...]
    unit: float

    @property
    def cost(self) -> float:
        """Mean cost, as a multiple of the clairvoyant minimum."""
        return float(np.mean([o.mean_hourly_cost for o in self.outcomes])) / self.unit

    @property
    def violating_share(self) -> float:
        """Share of all requests that were late or refused."""
        return sum(o.violating for o in self.outcomes) / max(sum(o.offered for o in self.outcomes), 1.0)

    def interval(self, name: str) -> tuple[float, float]:
        """Return a 95 % interval of a figure's mean over the seeds, by the t distribution; a point for one seed."""
        values = np.array([getattr(o, name) for o in self.outcomes])
        if len(values) < 2:
            return float(values[0]), float(values[0])
        half = _T_95[min(len(values), len(_T_95) + 1) - 2] * values.std(ddof=1) / np.sqrt(len(values))
        return float(values.mean() - half), float(values.mean() + half)


_T_95: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""Two-sided 95 % points of Student's t with 1, 2, … degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of all.

    Attributes:
        setting: What was compared.
        grids: The settings that were tried.
        units: Mean hourly cost of the clairvoyant minimum, by part.
        tried: Every run of a grid.
        judged: Every policy, with tuned settings and with hindsight.
    """

    setting: Setting
    grids: Grids
    units: Mapping[PartName, float]
    tried: tuple[Ran, ...]
    judged: tuple[Judged, ...]

    def front(self, policy: str) -> list[tuple[float, float]]:
        """Return what a policy's grid can do on the newer part: (cost, violating share), by cost, the dominated left out.

        Settings whose answers were not accurate enough on average are no such point.
        """
        floor = self.setting.workload.objective.min_mean_accuracy
        points = sorted(
            (ran.outcome.mean_hourly_cost / self.units["test"], ran.outcome.violating_share)
            for ran in self.tried
            if ran.job.part == "test" and ran.job.policy == policy and keeps(ran.outcome, floor)
        )
        front: list[tuple[float, float]] = []
        for cost, share in points:
            if not front or share < front[-1][1]:
                front.append((cost, share))
        return front

    def violating_at(self, policy: str, cost: float) -> float:
        """Return the violating share that a policy's front has at a cost: between its points the logarithm runs straight.

        NaN below its cheapest point; beyond its dearest it stays.
        """
        front = self.front(policy)
        if not front or cost < front[0][0]:
            return float("nan")
        costs, shares = np.array(front).T
        logs = np.log10(np.maximum(shares, LEAST_SHARE))
        return float(10.0 ** np.interp(cost, costs, logs))


LEAST_SHARE: Final = 1e-7
"""Fewer violations than this cannot be told from none."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings that were chosen for a policy: a place in its grid, with hindsight or without."""

    policy: str
    place: int
    hindsight: bool

    def jobs(self, seeds: int) -> list[Job]:
        """Return the runs on the newer part that judge it."""
        return [Job("test", number, self.policy, self.place) for number in range(seeds)]


def first_jobs(grids: Grids) -> list[Job]:
    """Return the runs from which settings are chosen: every grid on either part, under the first seed."""
    return [
        Job(part, 0, policy, place)
        for part, by_policy in grids.items()
        for policy, grid in by_policy.items()
        for place in range(len(grid))
    ]


def choices(tried: Sequence[Ran], goal: Goal) -> list[Choice]:
    """Choose settings for every policy, from how they did on the older part and with hindsight.

    Args:
        tried: Runs of all grids on both parts.
        goal: What to keep.
    """
    found = []
    for policy in dict.fromkeys(ran.job.policy for ran in tried):
        for hindsight in (False, True):
            part = "test" if hindsight else "tuning"
            mine = [ran for ran in tried if ran.job.policy == policy and ran.job.part == part]
            theirs = [Tried(ran.job.place, ran.outcome) for ran in mine]
            best = best_of(theirs, goal, ALL_ROOM, near_equal=0.0) if hindsight else chosen_of(theirs, goal)
            found.append(Choice(policy, best.settings, hindsight))
    return found


def judged(found: Sequence[Choice], runs: Sequence[Ran], grids: Grids, unit: float) -> tuple[Judged, ...]:
    """Return how every choice did on the newer part, under all seeds."""
    by_job = {ran.job: ran.outcome for ran in runs}
    seeds = 1 + max(ran.job.number for ran in runs)
    return tuple(
        Judged(
            choice.policy,
            grids["test"][choice.policy][choice.place].settings,
            choice.hindsight,
            tuple(by_job[job] for job in choice.jobs(seeds)),
            unit,
        )
        for choice in found
    )


def unit_of(setting: Setting, part: PartName) -> float:
    """Return the mean hourly cost of the clairvoyant minimum on a part, under the first seed."""
    case = setting.case(part, 0)
    return clairvoyant_hourly_cost(case.load, setting.workload, setting.pool, case.run_in_seconds)


def first_replicas(case: Case) -> int:
    """Return the replicas that every policy begins with: as many as the first tick needs."""
    return max(int(fewest_replicas(case.load, case.workload, case.pool)[0]), 1)
