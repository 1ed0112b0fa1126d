"""Replay generated days with one pool at a time and with two, on a GPU and a CPU placement, and print what either costs."""

import argparse
from datetime import UTC, datetime
from typing import Final

import numpy as np

from modelscaler.backtest.trace import Trace
from modelscaler.domain import (
    DirectionRules,
    Floats,
    ForecastSettings,
    Objective,
    PlacementOption,
    PolicySettings,
    PoolKey,
    ReplicaCapacity,
    VariantOption,
    Workload,
    WorkloadKey,
)
from modelscaler.replay.case import Case, Cluster
from modelscaler.replay.load import Arrivals, Part, load_of
from modelscaler.replay.outcome import Outcome, outcome_of
from modelscaler.replay.policies.ours import Modelscaler
from modelscaler.replay.run import replay

START: Final = datetime(2026, 3, 2, tzinfo=UTC)
GPU, CPU = PoolKey("gpu", "full"), PoolKey("cpu", "full")
MINUTES: Final = 2880
PEAKS_RPS: Final = (300.0, 700.0, 2000.0)
WARM_UP_SECONDS: Final = 3600.0
GPU_RPS: Final = 200.0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="how many days per peak (default 2)")
    seeds = range(parser.parse_args().seeds)
    print("peak rps | seed | pools | mean cost per hour | violating | scale events | flips")
    for peak_rps in PEAKS_RPS:
        for seed in seeds:
            for routed in (False, True):
                found = day(peak_rps, seed, routed)
                cells = (
                    f"{found.mean_hourly_cost:.2f}",
                    f"{found.violating_share:.3%}",
                    found.scale_events,
                    found.flips,
                )
                print(f"{peak_rps:g} | {seed} | {'two' if routed else 'one'}", *cells, sep=" | ", flush=True)


def day(peak_rps: float, seed: int, routed: bool) -> Outcome:
    """Return what a day comes to, after its first hour: measured load with a tenth of headroom, no forecast."""
    rps = rates(peak_rps, seed)
    load = load_of(Trace("generated", 60.0, START, rps), Part(0.0, 1.0), Arrivals(seed=seed))
    policy = Modelscaler(None, START, PolicySettings(headroom=0.1))
    run = replay(Case(workload(routed), GPU, load, Cluster(), seed), policy, 1 + int(rps[0] // GPU_RPS))
    return outcome_of(run, WARM_UP_SECONDS)


def rates(peak_rps: float, seed: int) -> Floats:
    """Return the rate of every minute of two days: a daily wave, noise that lasts 20 minutes, and 16 bursts of minutes."""
    random = np.random.default_rng(seed)
    wave = 0.35 + 0.65 * (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(MINUTES) / 1440.0)) ** 1.5
    kernel = np.exp(-np.arange(60) / 20.0)
    noise = np.exp(np.convolve(random.normal(0.0, 0.12, MINUTES), kernel, "same") * 0.3)
    bursts = np.zeros(MINUTES)
    for at in random.integers(0, MINUTES, 16):
        bursts[at : at + int(random.integers(4, 15))] += random.uniform(0.1, 0.4)
    shaped: Floats = peak_rps * (wave * noise + bursts)
    return shaped


def workload(routed: bool) -> Workload:
    """Return a workload whose GPU carries 235 requests/s for 1 an hour and whose CPU carries 41 for 0.25."""
    return Workload(
        key=WorkloadKey("benchmark", "mixing"),
        generation=1,
        variants=(VariantOption("full", 0.92),),
        placements=(PlacementOption("cpu", 0.25, 30.0), PlacementOption("gpu", 1.0, 180.0)),
        objective=Objective(0.99, 0.4, 0.0),
        capacities=(ReplicaCapacity(CPU, 0.02, 0.002, 16, "Spec"), ReplicaCapacity(GPU, 0.004, 0.002, 16, "Spec")),
        min_replicas=1,
        max_replicas=100,
        max_hourly_cost=None,
        scale_up=DirectionRules(0.0),
        scale_down=DirectionRules(300.0),
        fallback=None,
        forecast=ForecastSettings(0.95, 1_209_600.0, 86_400.0, "Auto"),
        start_deadline_seconds=600.0,
        routed=routed,
    )


if __name__ == "__main__":
    main()
