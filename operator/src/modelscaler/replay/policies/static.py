"""As many replicas as ever needed, all the time."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelscaler.domain import PoolKey, Workload
from modelscaler.replay.sight import Policy, Sight, Targets


@dataclass(frozen=True, slots=True)
class Static:
    """A fixed number of replicas."""

    replicas: int
    name: str = "static"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name."""
        return {"replicas": self.replicas}

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        return _Fixed(pool, min(self.replicas, workload.max_replicas))


@dataclass(frozen=True, slots=True)
class _Fixed:
    pool: PoolKey
    replicas: int
    interval_seconds: float = 15.0

    def decide(self, sight: Sight) -> Targets:  # noqa: ARG002 - a policy that looks at nothing
        return Targets({self.pool: self.replicas}, self.pool)
