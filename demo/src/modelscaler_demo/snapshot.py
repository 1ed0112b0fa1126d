"""One moment of the demo as a record: what the load generator counted and what the operator says, nothing invented."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelscaler_demo.load.tally import Second, percentile

POOL_LABEL = "modelscaler.dev/pool"
WINDOW_SECONDS = 5
"""Load and latency are shown over so many seconds, so that they can be read."""


@dataclass(frozen=True, slots=True)
class Band:
    """The forecast that the plan was made on: quantiles of the peak within the horizon, in requests per second."""

    lower_rps: float
    median_rps: float
    planned_rps: float
    horizon_seconds: int
    method: str


@dataclass(frozen=True, slots=True)
class Pool:
    """So many replicas of a placement and variant."""

    placement: str
    variant: str
    replicas: int

    def __str__(self) -> str:
        return f"{self.replicas} x {self.placement}/{self.variant}"


@dataclass(frozen=True, slots=True)
class Told:
    """What a ModelDeployment's status says; None and empty where it says nothing yet."""

    active: Pool | None = None
    ready: int = 0
    desired: Pool | None = None
    hourly_cost: float | None = None
    switching_to: str = ""
    band: Band | None = None
    reason: str = ""
    message: str = ""
    decided_at: str = ""
    sustainable_rps: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """What a replica carries of each pair of placement and variant that may be planned."""
    degraded_share: float | None = None
    unavailable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """What the load generator counted lately, and the total it lost."""

    offered_rps: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    replicas: int = 0
    lost: int = 0
    inflight: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment.

    `seconds` since the day began, negative before; `running` pods per placement, starting and draining ones
    included: what is paid for; `events` happened since the last snapshot.
    """

    seconds: float
    served: Served
    told: Told
    running: Mapping[str, int] = field(default_factory=dict)
    events: tuple[str, ...] = ()

    @property
    def capacity_rps(self) -> float | None:
        """What the ready replicas carry within the objective; None while that is unknown."""
        active = self.told.active
        each = self.told.sustainable_rps.get((active.placement, active.variant)) if active else None
        return None if each is None else each * self.told.ready


def served_from(seconds: Sequence[Second]) -> Served:
    """Sum up the last few seconds of load."""
    if not seconds:
        return Served()
    recent = seconds[-WINDOW_SECONDS:]
    latencies = [latency for second in recent for latency in second.latencies_ms]
    return Served(
        offered_rps=sum(second.offered for second in recent) / len(recent),
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        replicas=recent[-1].replicas,
        lost=sum(second.lost for second in seconds),
        inflight=recent[-1].inflight,
    )


def running_from(pods: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, int]:
    """Count the pods that run, start or drain, per placement by the pool's label.

    A pod that should have been gone by `now` is on a node that died: it is an entry in the API, nothing runs.
    """
    pools = [
        pod["metadata"]["labels"][POOL_LABEL]
        for pod in pods
        if pod.get("spec", {}).get("nodeName")
        and pod.get("status", {}).get("phase") in ("Pending", "Running")
        and not _overdue(pod, now)
    ]
    placements = [pool.rpartition("-")[0] for pool in pools]
    return {placement: placements.count(placement) for placement in sorted(set(placements))}


def _overdue(pod: Mapping[str, Any], now: datetime) -> bool:
    due = pod["metadata"].get("deletionTimestamp")
    return due is not None and datetime.fromisoformat(due) < now


def told_from(resource: Mapping[str, Any] | None) -> Told:
    """Read what the demo shows from a ModelDeployment; everything may be missing early on."""
    status = (resource or {}).get("status") or {}
    active, desired, decision = (status.get(name) or {} for name in ("active", "desired", "lastDecision"))
    return Told(
        active=_pool(active),
        ready=int(active.get("readyReplicas", 0)),
        desired=_pool(desired),
        hourly_cost=float(desired["hourlyCost"]) if desired else None,
        switching_to=_name(status.get("transition") or {}),
        band=_band(status.get("forecast") or {}),
        reason=decision.get("reason", ""),
        message=decision.get("message", ""),
        decided_at=decision.get("time", ""),
        sustainable_rps={
            (row["placement"], row["variant"]): float(row["sustainableRps"])
            for row in status.get("capacity", ())
            if not row.get("reflexOnly")
        },
        degraded_share=float(status["degradedShare"]) if "degradedShare" in status else None,
        unavailable=tuple(f"{_name(row)}: {row['reason']}" for row in status.get("unavailable", ())),
    )


def _name(pool: Mapping[str, Any]) -> str:
    return f"{pool['placement']}/{pool['variant']}" if pool else ""


def _pool(pool: Mapping[str, Any]) -> Pool | None:
    return Pool(pool["placement"], pool["variant"], int(pool["replicas"])) if pool else None


def _band(forecast: Mapping[str, Any]) -> Band | None:
    if not forecast:
        return None
    return Band(
        lower_rps=float(forecast["lowerRps"]),
        median_rps=float(forecast["medianRps"]),
        planned_rps=float(forecast["plannedRps"]),
        horizon_seconds=int(forecast["horizonSeconds"]),
        method=str(forecast["method"]),
    )
