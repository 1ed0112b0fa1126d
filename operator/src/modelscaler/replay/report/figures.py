"""What a comparison found, as JSON: every run, every choice, everything that is needed to compute it again. Pure."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from modelscaler.replay.comparison import Comparison, Grids, Judged, Ran, Setting
from modelscaler.replay.report.table import at_our_cost

COST_UNIT: Final = (
    "clairvoyantHourlyCost.test: the fewest replicas of the pool {pool} alone, without a rung, that carry the load at each "
    "tick; no optimum over placements and variants, so policies that lean on a cheaper variant may cost less than 1"
)


def figures(found: Sequence[Comparison], settings: dict[str, Any]) -> dict[str, Any]:
    """Return all comparisons with the settings they were made with."""
    return {"settings": settings, "comparisons": [_comparison(one) for one in found]}


def _comparison(found: Comparison) -> dict[str, Any]:
    policies = dict.fromkeys(one.policy for one in found.judged)
    return {
        **_setting(found.setting),
        "clairvoyantHourlyCost": dict(found.units),
        "costUnit": COST_UNIT.format(pool=found.setting.pool),
        "judged": [_judged(one) for one in found.judged],
        "tried": [_ran(one, found.grids) for one in found.tried],
        "fronts": {policy: found.front(policy) for policy in policies},
        "violatingShareAtOurCost": {policy: _number(at_our_cost(found, policy)) for policy in policies},
    }


def _setting(setting: Setting) -> dict[str, Any]:
    workload, cluster = setting.workload, setting.cluster
    return {
        "trace": setting.trace.name,
        "coldStartSeconds": setting.start_seconds,
        "reflex": workload.reflex,
        "variants": setting.variants,
        "pool": str(setting.pool),
        "tuningDays": [setting.tuning.first_day, setting.tuning.last_day],
        "testDays": [setting.test.first_day, setting.test.last_day],
        "seeds": setting.seeds,
        "firstSeed": setting.arrivals.seed,
        "meanRps": setting.arrivals.mean_rps,
        "burstiness": setting.arrivals.burstiness,
        "lagSeconds": cluster.lag_seconds,
        "queueSeconds": cluster.queue_seconds,
        "nodePools": [asdict(pool) for pool in cluster.nodes],
        "stockOuts": [asdict(out) for out in setting.stock_outs],
        "flashCrowds": [asdict(crowd) for crowd in setting.crowds],
        "metricsOutages": [asdict(outage) for outage in setting.outages],
        "objective": {
            "percentile": workload.objective.percentile,
            "latencySeconds": workload.objective.latency_seconds,
            "minMeanAccuracy": workload.objective.min_mean_accuracy,
        },
    }


def _judged(one: Judged) -> dict[str, Any]:
    return {
        "policy": one.policy,
        "settings": dict(one.settings),
        "hindsight": one.hindsight,
        "cost": one.cost,
        "violatingShare": one.violating_share,
        "violatingShareInterval": one.interval("violating_share"),
        "hourlyCostInterval": one.interval("mean_hourly_cost"),
        "seeds": [_finite(outcome.as_json()) for outcome in one.outcomes],
    }


def _ran(one: Ran, grids: Grids) -> dict[str, Any]:
    job = one.job
    settings = dict(grids[job.part][job.policy][job.place].settings)
    return {"policy": job.policy, "settings": settings, "part": job.part, **_finite(one.outcome.as_json())}


def _finite(named: dict[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in named.items()}


def _number(value: float) -> float | None:
    return value if value == value else None  # noqa: PLR0124 - NaN is no JSON
