"""How two pools share requests, and how far either may shrink. Pure.

The route divides requests in proportion to what the ready replicas of both pools carry. Either shrinks to no fewer replicas
than carry the share of the planned demand that the route gives it now, as the API server has it: so the side pool gets no
requests before it is ready and no replica goes before its requests go elsewhere, whoever grows and whoever shrinks.
"""

from dataclasses import dataclass

from modelscaler.domain import Demand, PoolKey, PoolObservation, RouteObservation, RouteTarget
from modelscaler.planner.candidates import ROUNDING, Candidate

WEIGHTS = 1000
"""What the weights add up to: a share is written to a thousandth."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pools that share requests as they are seen, with what is known of their replicas (None: not in the spec any more)."""

    base: PoolObservation
    side: PoolObservation
    base_candidate: Candidate | None
    side_candidate: Candidate | None
    demand: Demand
    route: RouteObservation | None

    @property
    def side_share(self) -> float:
        """Share of the requests that the side pool gets now."""
        return self.route.share_of(self.side.pool) if self.route else 0.0

    @property
    def base_share(self) -> float:
        """Share that the base must be ready for: all, unless a gateway has taken up the route."""
        return 1.0 - self.side_share if self.route and self.route.accepted else 1.0

    def sizes(self, base: int, side: int) -> tuple[int, int]:
        """Return how many replicas either may have now on the way to so many.

        No fewer than there are while a gateway knows old weights only; where there is no route (any more), the side pool stays
        until the base carries everything.
        """
        if self.route and not self.route.current:
            return max(base, self.base.replicas), max(side, self.side.replicas)
        if self.route is None and not self._carry(self.base.ready, 0):
            return max(base, self.base.replicas), max(side, self.side.replicas)
        return (
            max(base, min(self.base.replicas, self._least(self.base_candidate, self.base, self.base_share))),
            max(side, min(self.side.replicas, self._least(self.side_candidate, self.side, self.side_share))),
        )

    def target(self, base: int, side: int) -> RouteTarget:
        """Return how requests shall be shared on the way to so many replicas.

        Replicas that are to go get none if those that stay and are ready carry the demand; those that go now get none at all.
        """
        ready = min(self.base.ready, base), min(self.side.ready, side)
        if not self._carry(*ready):
            base, side = self.sizes(base, side)
            ready = min(self.base.ready, base), min(self.side.ready, side)
        return shared(self.side.pool, *(n * rps for n, rps in zip(ready, self._rates, strict=True)))

    @property
    def _rates(self) -> tuple[float, float]:
        base, side = self.base_candidate, self.side_candidate
        known = [c.rps_per_replica for c in (base, side) if c is not None]
        unknown = known[0] if known else 1.0
        return base.rps_per_replica if base else unknown, side.rps_per_replica if side else unknown

    def _carry(self, base: int, side: int) -> bool:
        (first, second), demand = self._rates, self.demand
        own = base * first + side * second
        helped = own * min(_help(self.base_candidate), _help(self.side_candidate))
        return own >= demand.own_rps * (1.0 - ROUNDING) and helped >= demand.planned_rps * (1.0 - ROUNDING)

    def _least(self, candidate: Candidate | None, seen: PoolObservation, share: float) -> int:
        """Return the fewest replicas for a share of the demand; weights are rounded, so a thousandth of it does not count."""
        share = max(share - 1.0 / WEIGHTS, 0.0)
        if candidate is None:
            return seen.replicas if share else 0
        return candidate.needed(self.demand.planned_rps * share, self.demand.own_rps * share)


def alone() -> RouteTarget:
    """Return the route of a pool that gets all requests."""
    return RouteTarget(WEIGHTS)


def shared(side: PoolKey, base_rps: float, side_rps: float) -> RouteTarget:
    """Return the weights for what two pools carry; a pool that carries anything gets a thousandth at least."""
    if side_rps <= 0.0:
        return alone()
    if base_rps <= 0.0:
        return RouteTarget(0, side, WEIGHTS)
    weight = min(max(round(WEIGHTS * side_rps / (base_rps + side_rps)), 1), WEIGHTS - 1)
    return RouteTarget(WEIGHTS - weight, side, weight)


def _help(candidate: Candidate | None) -> float:
    return candidate.rung_rps_per_replica / candidate.rps_per_replica if candidate else 1.0
