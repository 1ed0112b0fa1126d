"""Events for people who `kubectl describe`: one per transition, never one per tick. Pure."""

import hashlib
from datetime import datetime
from typing import Any, Literal, NamedTuple

from modelscaler.api import GROUP
from modelscaler.api.v1alpha1 import Condition, ModelDeploymentStatus
from modelscaler.api.words import ConditionType, DecisionReason, TuningReason
from modelscaler.controller.decide import Outcome
from modelscaler.controller.summaries import Entry
from modelscaler.status.tuning import settings_changed

MAX_NOTE_CHARACTERS = 1000
BAD_WHEN_TRUE = frozenset({ConditionType.FALLBACK, ConditionType.SCALING_LIMITED})
QUIET = frozenset(
    {ConditionType.PAUSED, ConditionType.APPLIED}
)  # each refusal is told by itself, with what was refused
QUIET_REASONS = frozenset({DecisionReason.STEADY, DecisionReason.PAUSED, DecisionReason.METRICS_MISSING})


class Announcement(NamedTuple):
    """An event to be: its type, its reason (one word), and a sentence."""

    kind: Literal["Normal", "Warning"]
    reason: str
    note: str


def announcements(old: ModelDeploymentStatus, outcome: Outcome) -> list[Announcement]:
    """Return what changed between a status and the next one.

    At first sight a condition that is not met yet is no news, except that the spec is refused.
    """
    notes = outcome.step.notes if outcome.step else ()
    found = [Announcement("Normal", str(reason), note) for reason, note in notes]
    found += _decided(old, outcome.status)
    found += _tuned(old, outcome.status)
    before = {condition.type: _is_bad(condition) for condition in old.conditions}
    for condition in outcome.status.conditions:
        bad = _is_bad(condition)
        was_bad = before.get(condition.type, bad and condition.type != ConditionType.ACCEPTED)
        if bad != was_bad and condition.type not in QUIET:
            kind: Literal["Normal", "Warning"] = "Warning" if bad else "Normal"
            found.append(Announcement(kind, condition.reason, condition.message))
    return found


def _decided(old: ModelDeploymentStatus, new: ModelDeploymentStatus) -> list[Announcement]:
    decision, before = new.last_decision, old.last_decision
    if decision is None or decision.reason in QUIET_REASONS:
        return []
    if new.desired == old.desired and before is not None and before.reason == decision.reason:
        return []
    return [Announcement("Normal", decision.reason, decision.message)]


def _tuned(old: ModelDeploymentStatus, new: ModelDeploymentStatus) -> list[Announcement]:
    tuning, before = new.tuning, old.tuning
    if tuning is None:
        return []
    if settings_changed(before, tuning):
        return [Announcement("Normal", tuning.reason, tuning.message)]
    if tuning.reason == TuningReason.FAILED and (before is None or before.reason != TuningReason.FAILED):
        return [Announcement("Warning", tuning.reason, tuning.message)]
    return []


def _is_bad(condition: Condition) -> bool:
    return condition.status == ("True" if condition.type in BAD_WHEN_TRUE else "False")


def event_body(entry: Entry, announcement: Announcement, reporter: str, now: datetime) -> dict[str, Any]:
    """Build an Event (events.k8s.io/v1) about a ModelDeployment."""
    kind, reason, note = announcement
    moment = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    digest = hashlib.sha256(f"{entry.uid}{reason}{note}{moment}".encode()).hexdigest()[:16]
    return {
        "metadata": {"name": f"{entry.key.name}.{digest}", "namespace": entry.key.namespace},
        "eventTime": moment,
        "type": kind,
        "reason": reason,
        "note": (note or reason)[:MAX_NOTE_CHARACTERS],
        "action": "Reconcile",
        "reportingController": f"{GROUP}/operator",
        "reportingInstance": reporter,
        "regarding": {
            "apiVersion": f"{GROUP}/v1alpha1",
            "kind": "ModelDeployment",
            "name": entry.key.name,
            "namespace": entry.key.namespace,
            "uid": entry.uid,
        },
    }
