"""The figures of a run, each measured in it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from modelscaler_demo.load.tally import Second
from modelscaler_demo.snapshot import Pool, Snapshot


@dataclass(frozen=True, slots=True)
class FixedFleet:
    """A fleet that never changes, sized by the measured capacity of a replica for the busiest moment of the days before.

    Nobody knows today's peak beforehand, so that is what a fixed fleet is sized for.
    """

    pool: Pool
    hourly_cost: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a run. Costs are means per hour in the currency of the spec; `within_share` counts lost as late."""

    requests: int
    answered: int
    lost: int
    resets: int
    retried: int
    within_share: float | None
    versions: Mapping[str, int]
    p50_ms: float | None
    p99_ms: float | None
    hourly_cost: float
    mean_replicas: float
    most_replicas: int
    peak_rps: float
    earlier_peak_rps: float
    fixed: tuple[FixedFleet, ...]
    generator_late_ms: float


def summarize(
    snapshots: Sequence[Snapshot],
    seconds: Sequence[Second],
    totals: Mapping[str, Any],
    target_ms: float,
    prices: Mapping[str, float],
    earlier_peak_rps: float,
) -> Summary:
    """Sum up a run.

    Args:
        snapshots: Moments of the day, oldest first, not empty.
        seconds: What the load generator counted.
        totals: Its own sums, as `Totals.summary` gives them.
        target_ms: The latency objective.
        prices: Hourly cost per placement.
        earlier_peak_rps: The busiest moment of the days before.
    """
    latencies = [latency for second in seconds for latency in second.latencies_ms]
    ended = totals["ok"] + totals["lost"]
    return Summary(
        requests=totals["offered"],
        answered=totals["ok"],
        lost=totals["lost"],
        resets=totals["resets"],
        retried=totals["retried"],
        within_share=sum(latency <= target_ms for latency in latencies) / ended if ended else None,
        versions=totals["versions"],
        p50_ms=totals["p50_ms"],
        p99_ms=totals["p99_ms"],
        hourly_cost=time_mean(snapshots, [cost_of(snapshot, prices) for snapshot in snapshots]),
        mean_replicas=time_mean(snapshots, [float(sum(snapshot.running.values())) for snapshot in snapshots]),
        most_replicas=max(sum(snapshot.running.values()) for snapshot in snapshots),
        peak_rps=max(snapshot.served.offered_rps for snapshot in snapshots),
        earlier_peak_rps=earlier_peak_rps,
        fixed=fixed_fleets(snapshots[-1].told.sustainable_rps, prices, earlier_peak_rps),
        generator_late_ms=totals["late_ms"],
    )


def cost_of(snapshot: Snapshot, prices: Mapping[str, float]) -> float:
    """Return what runs at a moment costs per hour, starting and draining replicas included."""
    return sum(prices.get(placement, 0.0) * count for placement, count in snapshot.running.items())


def time_mean(snapshots: Sequence[Snapshot], values: Sequence[float]) -> float:
    """Return the mean of values over time: each holds until the next moment."""
    if len(snapshots) < 2:
        return values[0]
    lengths = [later.seconds - earlier.seconds for earlier, later in pairwise(snapshots)]
    return sum(value * length for value, length in zip(values, lengths, strict=False)) / sum(lengths)


def fixed_fleets(
    sustainable_rps: Mapping[tuple[str, str], float], prices: Mapping[str, float], peak_rps: float
) -> tuple[FixedFleet, ...]:
    """Return the cheapest fixed fleet of each placement that carries the peak within the objective, cheapest first."""
    cheapest: dict[str, FixedFleet] = {}
    for (placement, variant), each in sustainable_rps.items():
        if each <= 0 or placement not in prices:
            continue
        replicas = max(math.ceil(peak_rps / each), 1)
        fleet = FixedFleet(Pool(placement, variant, replicas), replicas * prices[placement])
        if placement not in cheapest or fleet.hourly_cost < cheapest[placement].hourly_cost:
            cheapest[placement] = fleet
    return tuple(sorted(cheapest.values(), key=lambda fleet: fleet.hourly_cost))


def rows(summary: Summary, percentile: int, target_ms: float) -> list[tuple[str, str]]:
    """Write the figures as (what, how much) rows for people."""
    within = "-" if summary.within_share is None else f"{summary.within_share:.2%}"
    answers = ", ".join(f"{count} by {version or 'unnamed'}" for version, count in sorted(summary.versions.items()))
    fixed = [
        (
            f"a fixed fleet on {fleet.pool.placement}",
            f"{fleet.pool} at {fleet.hourly_cost:.3f} an hour; scaled: {summary.hourly_cost / fleet.hourly_cost:.2f} of it",
        )
        for fleet in summary.fixed
        if fleet.hourly_cost > 0
    ]
    return [
        ("requests", f"{summary.requests} sent, {summary.answered} answered, {summary.lost} lost"),
        ("connections", f"{summary.resets} broke off mid-request; {summary.retried} requests were retried elsewhere"),
        ("objective", f"{within} answered within {target_ms:.0f} ms at the client; promised: {percentile} %"),
        ("latency at the client", f"p50 {summary.p50_ms or 0:.0f} ms, p99 {summary.p99_ms or 0:.0f} ms over the day"),
        ("answers", answers or "-"),
        ("replicas", f"{summary.mean_replicas:.1f} on average, {summary.most_replicas} at most, switches included"),
        ("price", f"{summary.hourly_cost:.3f} an hour on average, starting and draining replicas included"),
        *fixed,
        (
            "busiest moment",
            f"{summary.peak_rps:.0f} requests a second today, {summary.earlier_peak_rps:.0f} in the two weeks before "
            "(what the fixed fleets are sized for)",
        ),
        ("load generator", f"never more than {summary.generator_late_ms:.0f} ms late"),
    ]
