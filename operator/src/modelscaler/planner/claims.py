"""Who may have how many accelerators, from what every ModelDeployment would do with them. Pure.

What replicas on an accelerator are worth is what they save: the price per hour of the best choice without any accelerator for
the same load, less their own. One pool serves at a time, so a part of what is wanted saves nothing. Where nothing else carries
the load, each request per second that is carried counts for `CARRYING_WORTH`, and a part is worth its part: availability goes
before savings, within a priority.

What is granted (`arbitration.py`) is not yet there:

- A ModelDeployment that can serve nowhere else keeps the minimum that it has, whatever the priority of others.
- What nobody is granted stays with who holds it.
- Units that others still hold are handed over once they are given up. Nobody asks for them before, so nothing waits for them
  unscheduled, and together no more is asked for than there is.
- What nobody could count stays with who holds it, and nobody gets more.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, TypeAlias

from modelscaler.api.words import GrantReason
from modelscaler.domain import (
    Allowance,
    Observation,
    PlacementOption,
    PolicyState,
    PoolObservation,
    Workload,
    WorkloadKey,
)
from modelscaler.planner.arbitration import AGEING_SECONDS, ROUNDING, Account, Claim, Grant, Supply, Use, arbitrate
from modelscaler.planner.choice import Option, best
from modelscaler.planner.supply import Census, supply_of
from modelscaler.planner.switching import in_use, must_leave, option_of, worth_moving

CARRYING_WORTH: Final = 100.0
"""Price per hour of a request per second that nothing else carries: more than any accelerator that carries one costs."""

PREFERRED_SHARE: Final = 0.05
"""What the plan prefers, or keeps, although it saves nothing is worth this share of its price."""

LEAST_WORTH: Final = 1e-3
"""And so much at least, since a placement may cost nothing."""

Share: TypeAlias = tuple[WorkloadKey, str]
"""Of a ModelDeployment on a placement."""

Allowances: TypeAlias = dict[WorkloadKey, tuple[Allowance, ...]]


@dataclass(frozen=True, slots=True)
class Bidder:
    """A ModelDeployment with a placement on an accelerator.

    Attributes:
        workload: What the user asked for.
        observation: What is seen.
        state: What earlier decisions left behind.
        listed: Its options, sized as if there were accelerators for all.
    """

    workload: Workload
    observation: Observation
    state: PolicyState
    listed: tuple[Option, ...]

    @property
    def key(self) -> WorkloadKey:
        """Its name."""
        return self.workload.key

    @property
    def placements(self) -> tuple[PlacementOption, ...]:
        """Its placements on accelerators."""
        return tuple(p for p in self.workload.placements if p.accelerator)

    def held(self, placement: str) -> int:
        """Return the replicas that its pools on a placement shall have now."""
        return sum(pool.replicas for pool in self._pools(placement))

    def occupied(self, placement: str) -> int:
        """Return the replicas that take units there now, those that are on their way out included."""
        return sum(max(pool.replicas, pool.alive) + pool.terminating for pool in self._pools(placement))

    def accounts(self, placement: PlacementOption) -> tuple[Account, Account]:
        """Return what limits its units on a placement: all there are, and its namespace's quota."""
        resource = str(placement.accelerator)
        return ("", resource), (self.key.namespace, resource)

    def _pools(self, placement: str) -> Iterable[PoolObservation]:
        return (pool for pool in self.observation.pools if pool.pool.placement == placement)


def share_out(
    bidders: Sequence[Bidder],
    census: Census | None,
    limit_seconds: float = 1.0,
    monotonic: Callable[[], float] = time.monotonic,
) -> Allowances:
    """Return what each bidder may have on each of its placements on accelerators.

    Args:
        bidders: All ModelDeployments that may change what they have of accelerators, in any order.
        census: What was counted; None when nothing is known.
        limit_seconds: For the exact solution; after that the choice is greedy.
        monotonic: Clock of that limit.
    """
    ranked = sorted(bidders, key=lambda bidder: (-bidder.workload.priority, bidder.key))
    supply = supply_of(census, {bidder.key for bidder in ranked}, _wanted_units(ranked))
    floors = {(b.key, name): least for b in ranked for name, least in _floor(b).items()}
    claims = {bidder.key: _claim(bidder, floors) for bidder in ranked}
    rest = _Left(supply, ranked, floors).supply()
    grants = arbitrate(tuple(claims.values()), rest, limit_seconds, monotonic).grants
    targets = _with_holders(ranked, _granted(ranked, floors, grants, supply), supply)
    had = _handed_over(ranked, targets, supply)
    return {b.key: tuple(_allowances(b, claims[b.key], floors, grants[b.key], targets, had, census)) for b in ranked}


def holding(bidder: Bidder) -> tuple[Allowance, ...]:
    """Return the allowances of one about whom nothing is decided: it keeps what it has."""
    held = {placement.name: bidder.held(placement.name) for placement in bidder.placements}
    return tuple(Allowance(name, replicas, replicas, GrantReason.UNKNOWN) for name, replicas in held.items())


def _pairs(ranked: Sequence[Bidder]) -> Iterator[tuple[Bidder, PlacementOption]]:
    return ((bidder, placement) for bidder in ranked for placement in bidder.placements)


def _wanted_units(ranked: Sequence[Bidder]) -> Counter[str]:
    """Return the units per resource that all would have together at most, during a switch of variants included."""
    units: Counter[str] = Counter()
    for bidder, placement in _pairs(ranked):
        most = max((o.replicas for o in bidder.listed if o.candidate.pool.placement == placement.name), default=0)
        units[str(placement.accelerator)] += (most + bidder.occupied(placement.name)) * placement.accelerator_units
    return units


class _Left:
    """What is left of a supply, while it is dealt out."""

    def __init__(self, supply: Supply, ranked: Sequence[Bidder], dealt: Mapping[Share, int]) -> None:
        self._left = supply.accounts
        for bidder, placement in _pairs(ranked):
            self.take(bidder, placement, dealt.get((bidder.key, placement.name), 0))

    def take(self, bidder: Bidder, placement: PlacementOption, replicas: int) -> None:
        """Deal out replicas, whether there are units for them or not."""
        for account in bidder.accounts(placement):
            if account in self._left:
                self._left[account] -= replicas * placement.accelerator_units

    def room(self, bidder: Bidder, placement: PlacementOption) -> int:
        """Return for how many more replicas there are units; none of a resource that could not be counted."""
        if ("", str(placement.accelerator)) not in self._left:
            return 0
        units = min(self._left[account] for account in bidder.accounts(placement) if account in self._left)
        return max(units, 0) // placement.accelerator_units

    def supply(self) -> Supply:
        """Return what is left as a supply."""
        return Supply(
            {resource: units for (namespace, resource), units in self._left.items() if not namespace},
            {account: units for account, units in self._left.items() if account[0]},
        )


def _floor(bidder: Bidder) -> dict[str, int]:
    """Return the minimum that serves on an accelerator and could serve nowhere else, per placement."""
    serving = option_of(bidder.listed, bidder.state.active)
    if serving is None or _without(bidder):
        return {}
    name = serving.candidate.pool.placement
    return {name: min(serving.candidate.fewest, bidder.held(name))}


def _without(bidder: Bidder) -> list[Option]:
    """Return the options that can be had and need no accelerator."""
    on_accelerators = {placement.name for placement in bidder.placements}
    return [o for o in bidder.listed if o.candidate.available and o.candidate.pool.placement not in on_accelerators]


def _base(bidder: Bidder) -> Option | None:
    """Return the best choice without any accelerator, None when there is none."""
    without = _without(bidder)
    return best(without) if without else None


def _claim(bidder: Bidder, floors: Mapping[Share, int]) -> Claim:
    state, now = bidder.state, bidder.observation.now
    wanted_since = state.accelerator_wanted_since or now
    held_since = state.accelerator_held_since
    waiting = (now - wanted_since).total_seconds() if held_since is None else 0.0
    waited = 0.0
    if held_since is not None and (now - held_since).total_seconds() < AGEING_SECONDS:
        waited = (held_since - wanted_since).total_seconds()
    uses = (_use(bidder, placement, floors.get((bidder.key, placement.name), 0)) for placement in bidder.placements)
    return Claim(
        bidder.key, tuple(use for use in uses if use), bidder.workload.priority, waiting, waited, _carries(bidder)
    )


def _carries(bidder: Bidder) -> bool:
    """Tell whether there is load that only an accelerator carries, and not just a saving."""
    base = _base(bidder)
    return any(_relieves(o, base) for placement in bidder.placements for o in _wanted(bidder, placement))


def _use(bidder: Bidder, placement: PlacementOption, floor: int) -> Use | None:
    """Return what a placement is worth beyond the floor; None when nothing is wanted of it."""
    worth = _worths(bidder, placement)
    if len(worth) <= floor:
        return None
    base = worth[floor - 1] if floor else 0.0
    beyond = tuple(each - base for each in worth[floor:])
    held = max(bidder.held(placement.name) - floor, 0)
    return Use(placement.name, str(placement.accelerator), placement.accelerator_units, beyond, held)


def _worths(bidder: Bidder, placement: PlacementOption) -> tuple[float, ...]:
    """Return what 1, 2, ... replicas on a placement are worth together, up to as many as are wanted.

    Another variant than the one that is there is started beside it, so its replicas come on top until then.
    """
    base, incumbent = _base(bidder), in_use(bidder.listed, bidder.state)
    held = bidder.held(placement.name)
    worths: list[float] = []
    for option in _wanted(bidder, placement):
        pool = option.candidate.pool
        beside = held - bidder.observation.pool(pool).replicas
        change = _preference(option) if beside and option is not incumbent else 0.0
        sizes = [0.0] * beside + [_worth(option, base, n) + change for n in range(1, option.replicas + 1)]
        worths = [max(pair) for pair in zip_longest(worths, sizes, fillvalue=0.0)]
    return tuple(worths)


def _wanted(bidder: Bidder, placement: PlacementOption) -> Iterator[Option]:
    """Return the options on a placement that the plan would keep, or take."""
    without, incumbent = _without(bidder), in_use(bidder.listed, bidder.state)
    on_it = (o for o in bidder.listed if o.candidate.available and o.candidate.pool.placement == placement.name)
    return (o for o in on_it if o is incumbent or _would_take(bidder, o, incumbent, without))


def _would_take(bidder: Bidder, option: Option, incumbent: Option | None, without: Sequence[Option]) -> bool:
    """Tell whether a plan would take an option; while the load is unknown nothing is left for a saving."""
    if incumbent is None:
        return best([option, *without]) is option
    if not bidder.observation.load_is_known:
        return must_leave(incumbent, option)
    return worth_moving(option, incumbent)


def _worth(option: Option, base: Option | None, replicas: int) -> float:
    """Return what so many replicas of an option are worth, `base` being the best choice without an accelerator."""
    candidate = option.candidate
    cost = replicas * candidate.replica_hourly_cost
    saved = (base.hourly_cost if base else 0.0) - cost
    whole = max(saved, _preference(option)) if replicas == option.replicas else 0.0
    carried_rps = max(
        min(option.far.planned_rps, replicas * candidate.rung_rps_per_replica), min(replicas, candidate.fewest)
    )
    base_rps = base.carried_rps if base and base.wishes >= option.wishes else 0.0
    if not _relieves(option, base):
        return whole
    relief = max(carried_rps - base_rps, 0.0) * CARRYING_WORTH
    return max(relief + saved, whole) if relief else whole


def _relieves(option: Option, base: Option | None) -> bool:
    """Tell whether an option carries what the best choice without an accelerator does not."""
    if base is None or base.wishes < option.wishes:
        return True
    return base.carried_rps < option.carried_rps * (1.0 - ROUNDING)


def _preference(option: Option) -> float:
    """Return what an option is worth for being preferred."""
    return max(PREFERRED_SHARE * option.hourly_cost, LEAST_WORTH)


def _granted(
    ranked: Sequence[Bidder], floors: Mapping[Share, int], grants: Mapping[WorkloadKey, Grant], supply: Supply
) -> dict[Share, int]:
    """Return the replicas that each is to have; of what could not be counted, what it has."""
    targets: dict[Share, int] = {}
    for bidder, placement in _pairs(ranked):
        share, grant = (bidder.key, placement.name), grants[bidder.key]
        extra = grant.replicas if grant.placement == placement.name else 0
        counted = placement.accelerator in supply.units
        targets[share] = floors.get(share, 0) + extra if counted else bidder.held(placement.name)
    return targets


def _with_holders(ranked: Sequence[Bidder], targets: Mapping[Share, int], supply: Supply) -> dict[Share, int]:
    """Leave with those who hold them the units that nobody is granted."""
    left, kept = _Left(supply, ranked, targets), dict(targets)
    for bidder, placement in _pairs(ranked):
        share = (bidder.key, placement.name)
        more = min(bidder.held(placement.name) - targets[share], left.room(bidder, placement))
        if more > 0:
            kept[share] += more
            left.take(bidder, placement, more)
    return kept


def _handed_over(ranked: Sequence[Bidder], targets: Mapping[Share, int], supply: Supply) -> dict[Share, int]:
    """Return how many replicas each may have now: what it holds of its own, and more only of units that are free."""
    occupied = {(b.key, p.name): b.occupied(p.name) for b, p in _pairs(ranked)}
    free, had = _Left(supply, ranked, occupied), dict(targets)
    for bidder, placement in _pairs(ranked):
        share, held = (bidder.key, placement.name), bidder.held(placement.name)
        if targets[share] > held:
            more = min(targets[share] - held, free.room(bidder, placement))
            had[share] = held + more
            free.take(bidder, placement, more)
    return had


def _allowances(
    bidder: Bidder,
    claim: Claim,
    floors: Mapping[Share, int],
    grant: Grant,
    targets: Mapping[Share, int],
    had: Mapping[Share, int],
    census: Census | None,
) -> Iterator[Allowance]:
    uses = {use.placement: use for use in claim.uses}
    for placement in bidder.placements:
        share, resource = (bidder.key, placement.name), str(placement.accelerator)
        use = uses.get(placement.name)
        wanted = floors.get(share, 0) + (len(use.worth) if use else 0)
        counted = census.counted(resource) if census else None
        reason = grant.reason
        if had[share] >= wanted:
            reason = GrantReason.AS_WANTED
        elif had[share] < targets[share]:
            reason = GrantReason.HANDOVER
        elif census is None or resource not in census.resources:
            reason = GrantReason.UNKNOWN
        yield Allowance(placement.name, had[share], wanted, reason, counted)
