"""Events for people who `kubectl describe`: one per transition, never one per tick. Pure."""

import hashlib
from datetime import datetime
from typing import Any

from modelscaler.api import GROUP
from modelscaler.api.v1alpha1 import ModelDeploymentStatus
from modelscaler.controller.decide import Outcome
from modelscaler.controller.summaries import Entry

MAX_NOTE_CHARACTERS = 1000
WHEN_TRUE_IS_BAD = frozenset({"Fallback", "ScalingLimited"})
QUIET = frozenset({"Paused"})
STEADY_REASONS = frozenset({"Steady", "Paused"})


def announcements(old: ModelDeploymentStatus, outcome: Outcome) -> list[tuple[str, str, str]]:
    """Return (type, reason, note) for what changed between a status and the next one."""
    found = [("Normal", str(reason), note) for reason, note in (outcome.step.notes if outcome.step else ())]
    decided, before = outcome.status.last_decision, old.last_decision
    if decided and decided.reason not in STEADY_REASONS and outcome.status.desired != old.desired:
        found.append(("Normal", decided.reason, decided.message))
    elif decided and before and decided.reason != before.reason and decided.reason not in STEADY_REASONS:
        found.append(("Normal", decided.reason, decided.message))
    statuses = {c.type: c.status for c in old.conditions}
    for condition in outcome.status.conditions:
        was = statuses.get(condition.type, "Unknown")
        bad = condition.status == ("True" if condition.type in WHEN_TRUE_IS_BAD else "False")
        was_bad = was == ("True" if condition.type in WHEN_TRUE_IS_BAD else "False")
        if bad != was_bad and condition.type not in QUIET:
            found.append(("Warning" if bad else "Normal", condition.reason, condition.message))
    return found


def event_body(entry: Entry, announcement: tuple[str, str, str], reporter: str, now: datetime) -> dict[str, Any]:
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
