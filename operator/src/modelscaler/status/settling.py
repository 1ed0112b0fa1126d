"""Whether a new status is worth a write. In the steady state nothing is written.

Decisions, conditions, pools and what the policy must remember are written at once. Figures that move all the time (load,
forecast, latency) go along with the next write, or are refreshed when they moved noticeably and the last ones are old.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from modelscaler.api.v1alpha1 import LoadStatus, ModelDeploymentStatus, PolicyStatus
from modelscaler.api.words import DecisionReason
from modelscaler.status.wording import moment

# What share of itself a figure must move by to be refreshed for its own sake. A tail latency flickers by tens of percent and a
# queue by all of it: the one must double, the other only goes along. (Missing the objective is a condition, and told at once.)
NOTICEABLE_SHARES: Final = {"offered": 0.1, "planned": 0.1, "latency": 0.5}
# How accurate answers are goes along with it.
NOTICEABLE_DEGRADED_SHARE: Final = 0.01

# These change what people do next, so neither their coming nor their going waits for a refresh.
EXCEPTIONAL: Final = frozenset(
    {DecisionReason.METRICS_MISSING, DecisionReason.FALLBACK, DecisionReason.PAUSED, DecisionReason.INFEASIBLE}
)


def settle(
    old: ModelDeploymentStatus, new: ModelDeploymentStatus, now: datetime, refresh_seconds: float
) -> ModelDeploymentStatus | None:
    """Return the status to write; None when the one that is stored will do.

    Args:
        old: The status that is stored.
        new: The status as it should be.
        now: The time.
        refresh_seconds: Moving figures are refreshed no more often than this.
    """
    if _urgent(old) != _urgent(new) or _decision_matters(old, new) or _forgets(old.policy, new.policy):
        return new
    if _quiet_matters(old.policy, new.policy, now, refresh_seconds):
        return new
    return new if _refresh_due(old.load, now, refresh_seconds) and _moved(old, new) else None


def _urgent(status: ModelDeploymentStatus) -> dict[str, Any]:
    """Return what is written at once when it changes."""
    moving = ("load", "forecast", "last_decision", "policy", "served_accuracy", "degraded_share")
    calm = status.model_copy(update=dict.fromkeys(moving))
    policy = status.policy or PolicyStatus()
    return {
        **calm.model_dump(),
        "missing_ticks": policy.missing_ticks,
        "cheaper_since": policy.cheaper_since,
        "mix_better_since": policy.mix_better_since,
        "planned_generation": policy.planned_generation,
        "accelerator_wanted_since": policy.accelerator_wanted_since,
        "accelerator_held_since": policy.accelerator_held_since,
    }


def _decision_matters(old: ModelDeploymentStatus, new: ModelDeploymentStatus) -> bool:
    before, after = old.last_decision, new.last_decision
    if before == after or before is None or after is None:
        return before != after
    return before.reason in EXCEPTIONAL or after.reason in EXCEPTIONAL


def _forgets(old: PolicyStatus | None, new: PolicyStatus | None) -> bool:
    """Tell whether the stored memory lacks something; holding more than needed is harmless."""
    old, new = old or PolicyStatus(), new or PolicyStatus()
    pairs = (
        ([r.replicas for r in old.recommendations], [r.replicas for r in new.recommendations]),
        ([r.replicas for r in old.side_recommendations], [r.replicas for r in new.side_recommendations]),
        (old.changes, new.changes),
    )
    return not all(_ends_with(kept, wanted) for kept, wanted in pairs)


def _quiet_matters(old: PolicyStatus | None, new: PolicyStatus | None, now: datetime, refresh_seconds: float) -> bool:
    """Tell whether since when it has been quiet is worth a write: no more as soon as it is over, but only once it lasts.

    A load that comes and goes would be written with every tick.
    """
    before, after = (old or PolicyStatus()).quiet_since, (new or PolicyStatus()).quiet_since
    since = moment(after) if after else None
    lasts = since is not None and (now - since).total_seconds() >= refresh_seconds
    return before != after and (before is not None or lasts)


def _ends_with(whole: Sequence[object], tail: Sequence[object]) -> bool:
    return len(tail) <= len(whole) and list(whole[len(whole) - len(tail) :]) == list(tail)


def _refresh_due(load: LoadStatus | None, now: datetime, refresh_seconds: float) -> bool:
    read_at = moment(load.time) if load and load.time else None
    return read_at is None or (now - read_at).total_seconds() >= refresh_seconds


def _moved(old: ModelDeploymentStatus, new: ModelDeploymentStatus) -> bool:
    if _words(old) != _words(new):
        return True
    if _degrades_otherwise(_number(old.degraded_share), _number(new.degraded_share)):
        return True
    before, after = _figures(old), _figures(new)
    return any(_noticeable(before[name], after[name], share) for name, share in NOTICEABLE_SHARES.items())


def _degrades_otherwise(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(after - before) >= NOTICEABLE_DEGRADED_SHARE


def _words(status: ModelDeploymentStatus) -> tuple[str | None, ...]:
    decision, forecast = status.last_decision, status.forecast
    return (
        decision.reason if decision else None,
        decision.binding_constraint if decision else None,
        forecast.method if forecast else None,
    )


def _figures(status: ModelDeploymentStatus) -> dict[str, float | None]:
    load, forecast = status.load or LoadStatus(), status.forecast
    return {
        "offered": _number(load.offered_rps),
        "planned": _number(forecast.planned_rps) if forecast else None,
        "latency": load.latency_milliseconds,
    }


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None  # edited by hand


def _noticeable(before: float | None, after: float | None, share: float) -> bool:
    if before is None or after is None:
        return before is not after
    return before != after and abs(after - before) >= share * max(abs(before), abs(after))
