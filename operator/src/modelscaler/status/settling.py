"""Whether a new status is worth a write. In the steady state nothing is written.

Decisions, conditions, pools and what the policy must remember are written at once. Figures that move all the time (load,
forecast, latency) go along with the next write, or are refreshed when they moved noticeably and the last ones are old.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from modelscaler.api.v1alpha1 import Decision, ForecastStatus, LoadStatus, ModelDeploymentStatus, PolicyStatus
from modelscaler.api.words import DecisionReason
from modelscaler.status.wording import moment

NOTICEABLE_SHARE: Final = 0.1

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
    return new if _refresh_due(old.load, now, refresh_seconds) and _moved(old, new) else None


def _urgent(status: ModelDeploymentStatus) -> dict[str, Any]:
    """Return what is written at once when it changes."""
    calm = status.model_copy(update={"load": None, "forecast": None, "last_decision": None, "policy": None})
    policy = status.policy or PolicyStatus()
    return {
        **calm.model_dump(),
        "missing_ticks": policy.missing_ticks,
        "cheaper_since": policy.cheaper_since,
        "planned_generation": policy.planned_generation,
    }


def _decision_matters(old: ModelDeploymentStatus, new: ModelDeploymentStatus) -> bool:
    before, after = old.last_decision, new.last_decision
    if before == after or before is None or after is None:
        return before != after
    return before.reason in EXCEPTIONAL or after.reason in EXCEPTIONAL


def _forgets(old: PolicyStatus | None, new: PolicyStatus | None) -> bool:
    """Tell whether the stored memory lacks something; holding more than needed is harmless."""
    old, new = old or PolicyStatus(), new or PolicyStatus()
    kept, wanted = [r.replicas for r in old.recommendations], [r.replicas for r in new.recommendations]
    return not (_ends_with(kept, wanted) and _ends_with(old.changes, new.changes))


def _ends_with(whole: Sequence[object], tail: Sequence[object]) -> bool:
    return len(tail) <= len(whole) and list(whole[len(whole) - len(tail) :]) == list(tail)


def _refresh_due(load: LoadStatus | None, now: datetime, refresh_seconds: float) -> bool:
    read_at = moment(load.time) if load and load.time else None
    return read_at is None or (now - read_at).total_seconds() >= refresh_seconds


def _moved(old: ModelDeploymentStatus, new: ModelDeploymentStatus) -> bool:
    if _decision_word(old.last_decision) != _decision_word(new.last_decision):
        return True
    before = _load_figures(old.load) + _forecast_figures(old.forecast)
    after = _load_figures(new.load) + _forecast_figures(new.forecast)
    if (old.forecast.method if old.forecast else "") != (new.forecast.method if new.forecast else ""):
        return True
    return any(_noticeable(a, b) for a, b in zip(before, after, strict=True))


def _decision_word(decision: Decision | None) -> tuple[str, str] | None:
    return (decision.reason, decision.binding_constraint) if decision else None


def _load_figures(load: LoadStatus | None) -> list[float | None]:
    if load is None:
        return [None, None, None]
    return [_number(load.offered_rps), load.queued, load.latency_milliseconds]


def _forecast_figures(forecast: ForecastStatus | None) -> list[float | None]:
    if forecast is None:
        return [None] * 4
    texts = (forecast.lower_rps, forecast.median_rps, forecast.planned_rps)
    return [forecast.horizon_seconds, *(_number(text) for text in texts)]


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _noticeable(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(after - before) >= NOTICEABLE_SHARE * max(abs(before), abs(after)) and before != after
