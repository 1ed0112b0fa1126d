"""Say in one sentence, then in tables, what a ModelDeployment's last decision was and why. Pure."""

from collections.abc import Sequence
from typing import Final

from modelscaler.api.v1alpha1 import (
    CandidatePool,
    CandidateStatus,
    CapacityStatus,
    Decision,
    DesiredPool,
    ModelDeploymentStatus,
    RunnerUp,
)

HEADS: Final = (
    "candidate",
    "needed",
    "replicas",
    "rps/replica",
    "with ladder",
    "per hour",
    "starts in",
    "carries",
    "why",
)
CARRIES: Final = {"Yes": "yes", "CheaperAnswers": "with cheaper answers", "No": "no"}


def explain(name: str, status: ModelDeploymentStatus) -> str:
    """Return the explanation of a status, for people."""
    decision = status.last_decision
    parts = [f"{name}: {decision.message if decision else 'no decision yet'}"]
    if decision:
        parts.append(_pairs(_facts(status, decision)))
    if decision and decision.candidates:
        parts.append(_table(decision.candidates))
    if status.conditions:
        parts.append(_pairs([(f"{c.type}={c.status}", f"{c.reason}: {c.message}") for c in status.conditions]))
    return "\n\n".join(parts)


def _facts(status: ModelDeploymentStatus, decision: Decision) -> list[tuple[str, str]]:
    rows = [
        ("decided", decision.time),
        ("reason", decision.reason),
        ("bound by", decision.binding_constraint),
        ("measured", _rps(decision.measured_rps)),
        *([("rising to", _rps(decision.rising_rps))] if decision.rising_rps else []),
        ("forecast", _rps(decision.forecast_rps) + _within(decision)),
        ("planned for", _rps(decision.planned_rps)),
    ]
    if status.active:
        pool = status.active
        rows.append(("serving", f"{pool.placement}-{pool.variant}, {pool.ready_replicas} of {pool.replicas} ready"))
    if status.side:
        side = status.side
        ready = f"{side.ready_replicas} of {side.replicas} ready"
        rows.append(("beside", f"{side.placement}-{side.variant}, {ready}, {_percent(side.share)} of requests"))
    if status.desired:
        want = status.desired
        beside = f" with {want.side.placement}-{want.side.variant} x {want.side.replicas} beside" if want.side else ""
        wanted = f"{want.placement}-{want.variant} x {want.replicas}{beside} at {want.hourly_cost} per hour"
        rows.append(("wanted", wanted))
    rows += [("one replica", text) for text in _carried(status)]
    if status.served_accuracy is not None:
        rows.append(("answers", _answers(status)))
    if status.tuning is not None:
        rows.append(("tuned", f"{status.tuning.time}, {status.tuning.reason}: {status.tuning.message}"))
    if decision.runner_up:
        rows.append(("runner-up", _runner_up(decision.runner_up, status.desired)))
    return rows


def _within(decision: Decision) -> str:
    if decision.forecast_rps is None or decision.horizon_seconds is None:
        return ""
    return f" within {decision.horizon_seconds} s"


def _runner_up(second: RunnerUp, desired: DesiredPool | None) -> str:
    pool = f"{second.placement}-{second.variant} x {second.replicas} at {second.hourly_cost} per hour"
    return f"{pool}{_difference(second.hourly_cost, desired)}: {second.why_not}"


def _difference(hourly_cost: str, desired: DesiredPool | None) -> str:
    """Return what something would cost besides what is wanted; nothing where it cannot be told."""
    try:
        more = float(hourly_cost) - float(desired.hourly_cost) if desired else float("nan")
    except ValueError:  # edited by hand
        return ""
    if abs(more) < 1e-9:
        return ", the same"
    return "" if more != more else f", {abs(more):.3g} {'more' if more > 0.0 else 'less'}"  # noqa: PLR0124 - NaN


def _carried(status: ModelDeploymentStatus) -> list[str]:
    """Return what one replica of the wanted pool carries, and by whose word; and how long it takes to start, if measured."""
    want = status.desired
    found = next(
        (c for c in status.capacity if want and (c.placement, c.variant) == (want.placement, want.variant)), None
    )
    if found is None:
        return []
    seconds = found.measured_start_seconds
    return [_speed(found), *([f"starts in {seconds} s as measured"] if seconds else [])]


def _speed(found: CapacityStatus) -> str:
    if found.source != "Measured":
        doubt = f" (give or take {_percent(found.speed_uncertainty)})" if found.speed_uncertainty else ""
        return f"carries {_rps(found.sustainable_rps)} by {found.source.lower()}{doubt}"
    certainty = f" (standard error {_percent(found.speed_uncertainty)})" if found.speed_uncertainty else ""
    speed = f"{found.speed_factor} of the stated speed{certainty}"
    return f"carries {_rps(found.sustainable_rps)} as measured, {_rps(found.stated_rps)} as stated; {speed}"


def _answers(status: ModelDeploymentStatus) -> str:
    mean = f"{status.served_accuracy} accurate on average"
    if status.degraded_share is None or _percent(status.degraded_share) == "0 %":
        return f"{mean}, all by the planned variant or better"
    return f"{mean}, {_percent(status.degraded_share)} of them by a cheaper variant than planned"


def _percent(share: str) -> str:
    try:
        return f"{float(share) * 100:.3g} %"
    except ValueError:  # edited by hand
        return f"{share!r} (no number)"


def _rps(text: str | None) -> str:
    return f"{text} requests/s" if text is not None else "unknown"


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"  {label:<{width}}  {text}" for label, text in rows)


def _table(candidates: Sequence[CandidateStatus]) -> str:
    """Return the candidates line by line, what was taken with a star."""
    rows = [HEADS, *(_row(one) for one in candidates)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(one: CandidateStatus) -> tuple[str, ...]:
    taken = one.why_not is None
    pools: list[CandidatePool] = [one, one.side] if one.side else [one]
    return (
        " + ".join(f"{pool.placement}-{pool.variant}" for pool in pools) + (" *" if taken else ""),
        " + ".join(str(pool.needed) for pool in pools),
        " + ".join(str(pool.replicas) for pool in pools),
        " / ".join(pool.replica_rps for pool in pools),
        " / ".join(pool.ladder_rps for pool in pools if pool.ladder_rps) or "-",
        one.hourly_cost,
        " / ".join(f"{pool.start_seconds} s" for pool in pools),
        CARRIES[one.carries],
        f"bound by {one.bound_by}" if taken else f"{one.bound_by}: {one.why_not}",
    )
