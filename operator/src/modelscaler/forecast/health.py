"""Whether forecasting works as it should for a series, for the condition ForecastHealthy."""

from dataclasses import dataclass

from modelscaler.api.words import ConditionReason
from modelscaler.forecast.tracked import TrackedSeries

# Of the 0.9 quantile of the peak. Below it, too little is covered to plan on, whatever served.
LEAST_COVERAGE = 0.75
LEAST_MATURED = 200


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where training stands: whether there is a model, and why the last training failed, None when it did not."""

    has_model: bool
    failure: str | None


def judged(
    tracked: TrackedSeries | None, training: TrainingState, min_history_steps: int
) -> tuple[bool, ConditionReason, str]:
    """Return whether forecasts are healthy, one word and one sentence why.

    The sentence holds no figure that moves by itself, so that a condition does not change every tick.
    """
    window = tracked.window() if tracked is not None else None
    if tracked is None or window is None or tracked.served is None:
        return (
            False,
            ConditionReason.NO_HISTORY,
            "no known load that is new enough to forecast from; planned on what is measured",
        )
    known = tracked.known_steps
    if known < min_history_steps:
        why = f"fewer than {min_history_steps} steps of known load; baselines serve until there are more"
        return False, ConditionReason.SHORT_HISTORY, why
    served = ConditionReason.LEARNED if tracked.served.learned else ConditionReason.BASELINE
    if _covers_too_little(tracked):
        return (
            False,
            served,
            "the load was above the 0.9 quantile of its peak much too often lately; calibration is catching up",
        )
    if tracked.served.learned:
        return True, served, "the learned model serves, mixed with baselines by recent loss"
    return _without_learned(tracked, training)


def _without_learned(tracked: TrackedSeries, training: TrainingState) -> tuple[bool, ConditionReason, str]:
    if not tracked.wants_learned:
        return True, ConditionReason.BASELINE, "baselines serve, as spec.scaling.forecast.model asks"
    if training.failure is not None:
        return False, ConditionReason.BASELINE, f"baselines serve: {training.failure}; training is tried again"
    if not training.has_model:
        return True, ConditionReason.BASELINE, "baselines serve until a learned model is trained"
    if tracked.learned_is_worse:
        return (
            True,
            ConditionReason.BASELINE,
            "baselines serve: they have had smaller losses than the learned model lately",
        )
    return (
        True,
        ConditionReason.BASELINE,
        "baselines serve: the learned model is not proven on this load and horizon yet",
    )


def _covers_too_little(tracked: TrackedSeries) -> bool:
    reached = tracked.steps.bit_length()
    return (
        tracked.calibration.matured >= LEAST_MATURED
        and tracked.calibration.worst_coverage(0.9, reached) < LEAST_COVERAGE
    )
