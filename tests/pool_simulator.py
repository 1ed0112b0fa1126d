"""A small simulator of Deployments, pods and a Service on a logical clock, to walk the planner through time."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from builders import NOW, observation
from modelscaler.capacity.latency import sustainable_rps
from modelscaler.domain import (
    Absent,
    Observation,
    Plan,
    PolicyState,
    PoolKey,
    PoolObservation,
    QuantileForecast,
    Reading,
    Step,
    Workload,
)
from modelscaler.planner.ladder import ladder_of
from modelscaler.planner.plan import plan
from modelscaler.planner.transition import next_step


@dataclass
class Pod:
    """A pod; `ready_at` None while no node has room for it."""

    created_at: datetime
    ready_at: datetime | None = None


@dataclass
class Cluster:
    """Pools of pods, a Service, and how many pods each placement has room for (unlimited when not named)."""

    workload: Workload
    room: dict[str, int] = field(default_factory=dict)
    now: datetime = NOW
    selected: PoolKey | None = None
    replicas: dict[PoolKey, int] = field(default_factory=dict)
    pods: dict[PoolKey, list[Pod]] = field(default_factory=dict)

    def advance(self, seconds: float) -> None:
        """Let time pass: pods are created, placed and become ready."""
        self.now += timedelta(seconds=seconds)
        for pool, wanted in self.replicas.items():
            self.pods[pool] += [Pod(self.now) for _ in range(wanted - len(self.pods[pool]))]
        self.place()

    def place(self) -> None:
        """Give waiting pods room, the oldest pools first."""
        for pool, pods in self.pods.items():
            start = timedelta(seconds=self.workload.placement(pool.placement).start_seconds)
            for pod in pods:
                if pod.ready_at is None and self._placed(pool.placement) < self.room.get(pool.placement, 10**6):
                    pod.ready_at = self.now + start

    def lose(self, placement: str) -> None:
        """Take away all nodes of a placement: its pods are replaced by pods that have no room."""
        self.room[placement] = 0
        for pool in self.pods:
            if pool.placement == placement:
                self.pods[pool] = [Pod(self.now) for _ in self.pods[pool]]

    def ready(self, pool: PoolKey | None) -> int:
        """Return the ready pods of a pool."""
        pods = self.pods.get(pool, []) if pool else []
        return sum(pod.ready_at is not None and pod.ready_at <= self.now for pod in pods)

    def serving_rps(self) -> float:
        """Return what the ready pods carry that the Service selects, with the help of their ladder."""
        if self.selected is None:
            return 0.0
        speeds = {c.pool: sustainable_rps(c, self.workload.objective) for c in self.workload.capacities}
        place, rungs = self.selected.placement, ladder_of(self.workload, self.selected)
        return self.ready(self.selected) * max(speeds[PoolKey(place, rung)] for rung in rungs)

    def observe(self, offered: Reading | float | None) -> Observation:
        """Return what the operator sees."""
        pools = tuple(self._seen(pool) for pool in self.replicas)
        seen = observation(offered, *pools, now=self.now, selected=self.selected)
        return seen if not isinstance(seen.offered, Absent) else replace(seen, queued=Absent())

    def scale(self, step: Step) -> None:
        """Do what a step says of the pools; starting pods go before ready ones."""
        for target in step.pools:
            if target.delete:
                assert not self.pods[target.pool], f"{target.pool} is deleted with pods left"
                del self.replicas[target.pool], self.pods[target.pool]
                continue
            self.replicas[target.pool] = target.replicas
            pods = self.pods.setdefault(target.pool, [])
            by_age_ready = sorted(pods, key=lambda pod: (pod.ready_at or self.now + timedelta(days=1), pod.created_at))
            self.pods[target.pool] = by_age_ready[: target.replicas]

    def select(self, step: Step) -> None:
        """Do what a step says of the Service."""
        self.selected = step.serving or self.selected

    def _placed(self, placement: str) -> int:
        return sum(
            pod.ready_at is not None for pool, pods in self.pods.items() if pool.placement == placement for pod in pods
        )

    def _seen(self, pool: PoolKey) -> PoolObservation:
        pods, ready = self.pods[pool], self.ready(pool)
        waiting = sum(pod.ready_at is None for pod in pods)
        unready = [p for p in pods if p.ready_at is None or p.ready_at > self.now]
        return PoolObservation(
            pool=pool,
            replicas=self.replicas[pool],
            ready=ready,
            starting=len(pods) - ready - waiting,
            unschedulable=waiting,
            failure="Unschedulable" if waiting else None,
            unready_seconds=max(((self.now - p.created_at).total_seconds() for p in unready), default=0.0),
        )


@dataclass
class Operator:
    """The planner with its memory, one tick at a time."""

    cluster: Cluster
    state: PolicyState = field(default_factory=PolicyState)
    interval_seconds: float = 15.0

    def decide(self, offered: Reading | float | None, forecast: QuantileForecast | None = None) -> tuple[Plan, Step]:
        """Return what a tick would do now."""
        workload, seen = self.cluster.workload, self.cluster.observe(offered)
        made, state = plan(workload, seen, forecast, self.state, self.interval_seconds)
        return made, next_step(workload, seen, made, state)

    def tick(self, offered: Reading | float | None, forecast: QuantileForecast | None = None) -> Plan:
        """Decide, do it, and let an interval pass."""
        made, step = self.decide(offered, forecast)
        self.cluster.scale(step)
        self.cluster.select(step)
        self.state = step.state
        self.cluster.advance(self.interval_seconds)
        return made


def happen(cluster: Cluster, event: str) -> None:
    """Lose the nodes of a placement ("lose NAME"), or have them again ("heal NAME"); any other event is none of the cluster."""
    verb, _, name = event.partition(" ")
    if verb == "lose":
        cluster.lose(name)
    if verb == "heal":
        cluster.room[name] = 20
        cluster.place()
