"""Everything the load generator counts, per second and in total."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Outcome:
    """How one request ended.

    `status` is that of the last answer; None when the last attempt got none. A request is lost when `ok` is False: no 2xx
    answer within its deadline, retries included. `resets` counts connections that broke after the request was sent,
    whether or not a retry saved it.
    """

    ok: bool = False
    status: int | None = None
    latency_seconds: float = 0.0
    retries: int = 0
    refused: int = 0
    rejections: int = 0
    resets: int = 0
    version: str = ""
    reason: str = ""


@dataclass(slots=True)
class Second:
    """One second of load.

    `offered` arrived within it; the other counts are of requests and attempts that ended within it. `inflight` is how many
    were under way at its end, `replicas` how many the Service selected. Latencies are those of answered requests.
    """

    second: int
    at: float = 0.0
    offered: int = 0
    ok: int = 0
    lost: int = 0
    retried: int = 0
    rejections: int = 0
    refused: int = 0
    resets: int = 0
    inflight: int = 0
    replicas: int = 0
    versions: dict[str, int] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)

    def record(self, outcome: Outcome) -> None:
        """Count a request that ended."""
        self.ok += outcome.ok
        self.lost += not outcome.ok
        self.retried += outcome.retries > 0
        self.rejections += outcome.rejections
        self.refused += outcome.refused
        self.resets += outcome.resets
        if outcome.ok:
            self.latencies_ms.append(round(outcome.latency_seconds * 1000, 1))
            self.versions[outcome.version] = self.versions.get(outcome.version, 0) + 1


def percentile(values: list[float], percent: float) -> float | None:
    """Return the nearest-rank percentile, None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    rank = max(-(-percent * len(ordered) // 100), 1)  # ceiling
    return ordered[int(rank) - 1]


@dataclass(slots=True)
class Totals:
    """A whole run.

    `late_ms` is the longest that a request was sent after its time: the generator's own lag, not the server's.
    `reasons` counts why requests were lost.
    """

    seconds: list[Second] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    late_ms: float = 0.0

    def sum_of(self, count: str) -> int:
        """Return the sum of one of the counts of `Second`."""
        return sum(getattr(second, count) for second in self.seconds)

    @property
    def latencies_ms(self) -> list[float]:
        """Latencies of all answered requests."""
        return [latency for second in self.seconds for latency in second.latencies_ms]

    @property
    def versions(self) -> dict[str, int]:
        """Answers per model version (variant)."""
        counts: Counter[str] = Counter()
        for second in self.seconds:
            counts.update(second.versions)
        return dict(counts)

    def within(self, target_ms: float) -> float | None:
        """Return the share of offered requests answered within `target_ms`; a lost one is not. None of nothing."""
        ended = self.sum_of("ok") + self.sum_of("lost")
        return sum(latency <= target_ms for latency in self.latencies_ms) / ended if ended else None

    def summary(self) -> dict[str, Any]:
        """Return the totals as one flat JSON object."""
        counts = ("offered", "ok", "lost", "retried", "rejections", "refused", "resets")
        latencies = self.latencies_ms
        return {
            **{name: self.sum_of(name) for name in counts},
            "p50_ms": percentile(latencies, 50),
            "p99_ms": percentile(latencies, 99),
            "versions": self.versions,
            "lost_reasons": dict(self.reasons),
            "late_ms": round(self.late_ms, 1),
        }
