"""The simulated cluster of `pool_simulator.py` behind a gateway whose route shares requests between two pools."""

from dataclasses import dataclass, replace

from modelscaler.capacity.latency import sustainable_rps
from modelscaler.domain import Observation, PoolKey, Reading, RouteObservation, RouteTarget, Step
from pool_simulator import Cluster


@dataclass
class RoutedCluster(Cluster):
    """Requests come through a route; `accepted` says whether a gateway has taken it up."""

    route: RouteTarget | None = None
    accepted: bool = True

    def observe(self, offered: Reading | float | None) -> Observation:
        """Return what the operator sees, the route too."""
        if self.route is None:
            return super().observe(offered)
        route = RouteObservation(self.accepted, self.route.side, self.route.side_share)
        return replace(super().observe(offered), route=route)

    def select(self, step: Step) -> None:
        """Do what a step says of the Service and the route."""
        super().select(step)
        self.route = step.route or self.route

    def shares(self) -> dict[PoolKey, float]:
        """Return the share of the requests that each pool gets."""
        if self.selected is None:
            return {}
        share = self.route.side_share if self.route else 0.0
        shares = {self.selected: 1.0 - share}
        if self.route and self.route.side:
            shares[self.route.side] = shares.get(self.route.side, 0.0) + share
        return {pool: given for pool, given in shares.items() if given > 0.0}

    def serving_rps(self) -> float:
        """Return the load at which the first pool has as much as its ready pods carry, as requests are shared now."""
        speeds = {c.pool: sustainable_rps(c, self.workload.objective) for c in self.workload.capacities}
        return min((self.ready(pool) * speeds[pool] / share for pool, share in self.shares().items()), default=0.0)

    def hourly_cost(self) -> float:
        """Return the price of all replicas asked for."""
        return sum(n * self.workload.placement(pool.placement).hourly_cost for pool, n in self.replicas.items())
