"""The settings that self-tuning chose: written down, read back, and dropped when they were chosen for something else. Pure."""

import hashlib
import math
from datetime import datetime
from typing import Final

from modelscaler.api.v1alpha1 import TuningStatus
from modelscaler.api.words import TuningReason
from modelscaler.domain import PolicySettings, Workload
from modelscaler.status.wording import clipped, decimal, to_the_second

DIGEST_CHARACTERS: Final = 16
LEAST_HEADROOM, MOST_HEADROOM = -0.5, 10.0
MOST_SCALE_DOWN_SECONDS: Final = 3_600


def digest_of(workload: Workload) -> str:
    """Return a digest of what settings are chosen for: the objective, stated speeds and settings, the reflex."""
    chosen_for = repr((workload.objective, workload.capacities, workload.reflex))
    if workload.stated:
        chosen_for += repr(
            (sorted(workload.stated), workload.forecast.quantile, workload.scale_down.stabilization_seconds)
        )
    return hashlib.sha256(chosen_for.encode()).hexdigest()[:DIGEST_CHARACTERS]


def tuning_status(
    settings: PolicySettings,
    at: datetime,
    reason: TuningReason,
    message: str,
    tuned_for: str | None,
    figures: tuple[float, float, float] | None = None,
) -> TuningStatus:
    """Write settings down.

    Args:
        settings: Those that count from now on.
        at: When they were judged.
        reason: Why these.
        message: The same as a sentence.
        tuned_for: `digest_of` what they were chosen for; None: they are the defaults, and fit anything.
        figures: Days that were replayed, cost ratio, violating share. None: nothing was replayed.
    """
    days, cost_ratio, violating_share = figures if figures else (None, None, None)
    return TuningStatus(
        quantile=None if settings.quantile is None else f"{settings.quantile:g}",
        recourse_quantile=None if settings.recourse_quantile is None else f"{settings.recourse_quantile:g}",
        headroom=f"{settings.headroom:g}",
        forecaster=settings.forecaster,
        scale_down_seconds=None if settings.scale_down_seconds is None else round(settings.scale_down_seconds),
        time=to_the_second(at),
        reason=reason,
        message=clipped(message),
        days=None if days is None else decimal(days),
        cost_ratio=None if cost_ratio is None else decimal(cost_ratio),
        violating_share=None if violating_share is None else f"{violating_share:.6f}",
        tuned_for=tuned_for,
    )


def policy_from(tuning: TuningStatus | None) -> PolicySettings:
    """Read settings back; the defaults where there are none, or where any cannot be read (edited by hand)."""
    if tuning is None:
        return PolicySettings()
    try:
        quantile, recourse = (_quantile(text) for text in (tuning.quantile, tuning.recourse_quantile))
        headroom = float(tuning.headroom)
    except ValueError:
        return PolicySettings()
    seconds = tuning.scale_down_seconds
    if not LEAST_HEADROOM <= headroom <= MOST_HEADROOM or (seconds is not None and seconds > MOST_SCALE_DOWN_SECONDS):
        return PolicySettings()
    return PolicySettings(quantile, recourse, headroom, tuning.forecaster, None if seconds is None else float(seconds))


def _quantile(text: str | None) -> float | None:
    """Read a quantile. Raises ValueError when it is none."""
    if text is None:
        return None
    value = float(text)
    if not (math.isfinite(value) and 0.0 < value < 1.0):
        raise ValueError(f"quantile: got {text!r}, expected a number between 0 and 1")
    return value


def latest(one: TuningStatus | None, other: TuningStatus | None) -> TuningStatus | None:
    """Return the one that was judged last, the second where they are as old."""
    if one is None or other is None:
        return one or other
    return one if one.time > other.time else other


def tuning_now(found: TuningStatus | None, wanted: bool, stated: Workload, now: datetime) -> TuningStatus | None:
    """Return the settings that count now: those found, unless they are not wanted or were chosen for something else.

    Args:
        found: The last ones; None: there never were any.
        wanted: Whether the spec lets settings be tuned.
        stated: The workload as spec and profile state it now.
        now: The time.
    """
    if found is None:
        return None
    if not wanted:
        message = "spec.scaling.selfTuning is Off: the defaults count"
        off = tuning_status(PolicySettings(), now, TuningReason.OFF, message, None)
        return found if found.reason == TuningReason.OFF else off
    if found.reason == TuningReason.OFF:
        return None
    if found.tuned_for is None or found.tuned_for == digest_of(stated):
        return found
    message = "the objective or the stated speeds have changed: the defaults count until the history was replayed anew"
    return tuning_status(PolicySettings(), now, TuningReason.SPEC_CHANGED, message, None)


def settings_changed(old: TuningStatus | None, new: TuningStatus | None) -> bool:
    """Tell whether other settings count than before."""
    return policy_from(old) != policy_from(new)
