"""A meter that says what a test tells it to."""

from dataclasses import dataclass

from builders import CPU_INT8
from modelscaler.domain import PoolKey
from modelscaler.replay.sight import PoolSight, Sight


@dataclass
class ToldMeter:
    """Answers the same for every window, but for the shorter ones where `brief` is told."""

    rps: float = 0.0
    ongoing: float = 0.0
    busy: float = 0.0
    waiting: float = 0.0
    violating: float = 0.0
    brief_rps: float | None = None
    brief_ongoing: float | None = None
    brief_seconds: float = 10.0

    def offered_rps(self, window_seconds: float) -> float:
        brief = self.brief_rps if window_seconds <= self.brief_seconds else None
        return self.rps if brief is None else brief

    def concurrency(self, window_seconds: float) -> float:
        brief = self.brief_ongoing if window_seconds <= self.brief_seconds else None
        return self.ongoing if brief is None else brief

    def busy_share(self, window_seconds: float) -> float:
        return self.busy

    def queued(self) -> float:
        return self.waiting

    def violating_share(self, window_seconds: float) -> float:
        return self.violating


def sight(
    meter: ToldMeter, replicas: int, ready: int | None = None, seconds: float = 600.0, pool: PoolKey = CPU_INT8
) -> Sight:
    """Return what a policy sees of one pool; all replicas are ready unless said otherwise."""
    up = replicas if ready is None else ready
    return Sight(seconds, (PoolSight(pool, replicas, up, replicas - up),), pool, meter)
