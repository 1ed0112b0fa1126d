"""Who gets the accelerators that several ModelDeployments share: by priority, then by what each unit buys. Pure.

Classes of equal priority are served one after the other, the highest first; each is solved exactly, as a knapsack with one
choice per claim (Kellerer, Pferschy and Pisinger, Knapsack Problems, 2004, chapter 11), by HiGHS. Greedy by value per unit is
exact only for steps of one unit and falling marginal values (Fox, Operations Research 14, 1966), which replicas of several
accelerators are not; so it is what is done only when the time is up.

Free of starvation means here: a claim that holds nothing counts for more the longer it waits, without end, and what it waited
for counts as much more for a while. So within a class everyone has its turn, the sooner the more it is worth, and the shares of
time come out about as the worths: of worths 1, 2, 4 and 8 for one unit 5, 12, 24 and 58 %, with five handovers a day. But no
saving, however long it waited, takes what carries load that nothing else does: in a class with such a claim the waiting of
those that only save counts for no more than `AGEING_SECONDS`.

Units are counted over all nodes together: whether one node has all the units of a replica is for the scheduler to say.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from modelscaler.api.words import GrantReason
from modelscaler.domain import WorkloadKey

AGEING_SECONDS = 6 * 3600.0
"""After so long without a unit a claim counts for twice as much, after twice as long for three times, and so on.

So long what was waited for counts as much more once it is held.
"""

KEEPING = 1.1
"""What is held counts for so much more than what is not: handing a unit over costs a start."""

SCALE = 1000.0
"""The dearest choice has this value in the solver, whose absolute gap is 1e-6."""

ROUNDING = 1e-9
"""A worth that is larger by no more than this share is not larger."""

Account = tuple[str, str]
"""What limits units: ("", resource) for all there are, (namespace, resource) for a quota."""


@dataclass(frozen=True, slots=True)
class Supply:
    """Units per resource.

    Attributes:
        units: What is free or held by the claims, per resource; a resource that is missing could not be counted.
        quotas: The same within a namespace, per (namespace, resource); one that is missing is not limited.
    """

    units: Mapping[str, int]
    quotas: Mapping[Account, int] = field(default_factory=dict)

    @property
    def accounts(self) -> dict[Account, int]:
        """The units of each account."""
        return {("", resource): units for resource, units in self.units.items()} | dict(self.quotas)


@dataclass(frozen=True, slots=True)
class Use:
    """A placement that a claim may use.

    Attributes:
        placement: Its name.
        resource: The accelerator's resource name.
        units_per_replica: Units that one replica takes, at least 1.
        worth: What one replica is worth, what two are worth together, and so on, up to as many as are wanted; in one currency
            for all claims (say, price per hour of the next best choice without the accelerator, less the price of this one).
        held: Replicas it has now.
    """

    placement: str
    resource: str
    units_per_replica: int
    worth: tuple[float, ...]
    held: int = 0

    def __post_init__(self) -> None:
        if self.units_per_replica < 1:
            raise ValueError(
                f"units_per_replica of {self.placement}: expected at least 1, got {self.units_per_replica}"
            )
        if not all(math.isfinite(each) for each in self.worth):
            raise ValueError(f"worth of {self.placement}: expected finite numbers, got {self.worth}")


@dataclass(frozen=True, slots=True)
class Claim:
    """What one ModelDeployment would do with accelerators: one of `uses`, since one pool serves at a time.

    `waiting_seconds` is how long it has wanted a unit and held none; 0 when it holds one. `waited_seconds` is how long it had
    waited for what it holds, as long as that counts: else who waited less would take it back at once. `carries` says that there
    is load which nothing else carries; else it only saves.
    """

    key: WorkloadKey
    uses: tuple[Use, ...]
    priority: int = 0
    waiting_seconds: float = 0.0
    waited_seconds: float = 0.0
    carries: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """At most `replicas` of `placement`, and of every other accelerator placement none; no placement: none at all."""

    placement: str | None
    replicas: int
    reason: GrantReason


@dataclass(frozen=True, slots=True)
class Arbitration:
    """A grant for each claim, and whether all of them are proven best; False: the time was up and some are greedy."""

    grants: Mapping[WorkloadKey, Grant]
    exact: bool


@dataclass(frozen=True, slots=True)
class _Pick:
    """So many replicas of one use of one claim."""

    claim: Claim
    use: Use
    replicas: int
    worth: float

    @property
    def units(self) -> int:
        return self.replicas * self.use.units_per_replica

    @property
    def accounts(self) -> tuple[Account, Account]:
        return ("", self.use.resource), (self.claim.key.namespace, self.use.resource)

    @property
    def rank(self) -> tuple[float, float, WorkloadKey, str, int]:
        """Sort by worth per unit, then by waiting, then by name."""
        return (
            -self.worth / self.units,
            -self.claim.waiting_seconds,
            self.claim.key,
            self.use.placement,
            self.replicas,
        )


_Picks = Mapping[WorkloadKey, _Pick]


def arbitrate(
    claims: Sequence[Claim],
    supply: Supply,
    limit_seconds: float = 1.0,
    monotonic: Callable[[], float] = time.monotonic,
) -> Arbitration:
    """Return who may have how many replicas on accelerators.

    Never more than the supply, whatever the solver says. Where a resource could not be counted every claim may keep what it
    holds of it, and gets no more.

    Args:
        claims: One for each ModelDeployment; the order does not matter.
        supply: What there is.
        limit_seconds: For all classes together; a class that is not solved by then is served greedily.
        monotonic: Clock of that limit.

    Raises:
        ValueError: A ModelDeployment has two claims.
    """
    _check_one_each(claims)
    ends_at = monotonic() + limit_seconds
    left = _accounts(supply)
    grants: dict[WorkloadKey, Grant] = {}
    exact = True
    for _, members in groupby(
        sorted(claims, key=lambda claim: (-claim.priority, claim.key)), lambda claim: claim.priority
    ):
        ranks = _patient(tuple(members))
        choices = tuple(pick for claim in ranks for pick in _choices(claim, supply, left))
        best = _solved(choices, left, ends_at - monotonic())
        exact = exact and best is not None
        picks = _greedy(choices, left) if best is None else best
        grants |= {claim.key: _grant(claim, picks.get(claim.key), supply, left) for claim in ranks}
        left = _after(left, picks.values())
    return Arbitration(grants, exact)


def _patient(claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """Return a class with bounded waits of those that only save, where others need units to carry their load."""
    if not any(claim.carries for claim in claims):
        return claims
    return tuple(claim if claim.carries else _bounded(claim) for claim in claims)


def _bounded(claim: Claim) -> Claim:
    return replace(
        claim,
        waiting_seconds=min(claim.waiting_seconds, AGEING_SECONDS),
        waited_seconds=min(claim.waited_seconds, AGEING_SECONDS),
    )


def _check_one_each(claims: Iterable[Claim]) -> None:
    twice = sorted(str(key) for key, count in Counter(claim.key for claim in claims).items() if count > 1)
    if twice:
        raise ValueError(f"claims: expected one for each ModelDeployment, got more for {', '.join(twice)}")


def _accounts(supply: Supply) -> dict[Account, int]:
    """Return the units of each account, never below none."""
    return {account: max(units, 0) for account, units in supply.accounts.items()}


def _choices(claim: Claim, supply: Supply, left: Mapping[Account, int]) -> Iterator[_Pick]:
    """Yield what a claim could be given: each size that fits alone and is worth more than every smaller one."""
    for use in claim.uses:
        best = 0.0
        for replicas in range(1, _most(claim, use, supply, left) + 1):
            pick = _Pick(claim, use, replicas, weighted(claim, use, replicas))
            if pick.worth > best * (1.0 + ROUNDING):
                best = pick.worth
                yield pick


def _most(claim: Claim, use: Use, supply: Supply, left: Mapping[Account, int]) -> int:
    most = len(use.worth) if use.resource in supply.units else min(use.held, len(use.worth))
    for account in (("", use.resource), (claim.key.namespace, use.resource)):
        if account in left:
            most = min(most, left[account] // use.units_per_replica)
    return most


def weighted(claim: Claim, use: Use, replicas: int) -> float:
    """Return what so many replicas count for: their worth, more for what is held or was waited for."""
    worth = (0.0, *use.worth)
    kept = worth[min(replicas, use.held)]
    ageing = 1.0 if any(each.held for each in claim.uses) else _ageing(claim.waiting_seconds)
    return kept * KEEPING * _ageing(claim.waited_seconds) + (worth[replicas] - kept) * ageing


def _ageing(waiting_seconds: float) -> float:
    return 1.0 + max(waiting_seconds, 0.0) / AGEING_SECONDS


def _solved(choices: Sequence[_Pick], left: Mapping[Account, int], limit_seconds: float) -> _Picks | None:
    """Return the picks of the largest worth, None when they were not found and proven in time."""
    if not choices:
        return {}
    if limit_seconds <= 0.0:
        return None
    worth = np.array([pick.worth for pick in choices])
    rows, most = _constraints(choices, left)
    found = milp(
        -worth * (SCALE / worth.max()),
        integrality=np.ones(len(choices)),
        bounds=Bounds(0.0, 1.0),
        constraints=LinearConstraint(rows, ub=most),
        options={"time_limit": limit_seconds, "mip_rel_gap": 0.0},
    )
    if found.status != 0:
        return None
    taken = [pick for pick, chosen in zip(choices, found.x, strict=True) if chosen > 0.5]
    picks = {pick.claim.key: pick for pick in taken}
    return picks if len(picks) == len(taken) and _fits(taken, left) else None


def _constraints(choices: Sequence[_Pick], left: Mapping[Account, int]) -> tuple[csr_array, np.ndarray]:
    """Return the rows of the knapsack, one for each claim and for each account, and their right-hand sides."""
    keys = {key: row for row, key in enumerate(dict.fromkeys(pick.claim.key for pick in choices))}
    accounts = {account: len(keys) + row for row, account in enumerate(left)}
    entries = [(keys[pick.claim.key], column, 1) for column, pick in enumerate(choices)]
    entries += [
        (accounts[account], column, pick.units)
        for column, pick in enumerate(choices)
        for account in pick.accounts
        if account in accounts
    ]
    row, column, value = zip(*entries, strict=True)
    shape = (len(keys) + len(accounts), len(choices))
    return csr_array((value, (row, column)), shape=shape, dtype=float), np.array([1] * len(keys) + [*left.values()])


def _greedy(choices: Sequence[_Pick], left: Mapping[Account, int]) -> _Picks:
    """Return picks by worth per unit: a claim's first, then larger ones of the same placement while they fit."""
    picks: dict[WorkloadKey, _Pick] = {}
    used: Counter[Account] = Counter()
    for pick in sorted(choices, key=lambda pick: pick.rank):
        before = picks.get(pick.claim.key)
        if before is not None and (before.use is not pick.use or before.replicas > pick.replicas):
            continue
        more = pick.units - (before.units if before else 0)
        if all(used[account] + more <= left[account] for account in pick.accounts if account in left):
            picks[pick.claim.key] = pick
            used.update(dict.fromkeys(pick.accounts, more))
    return picks


def _fits(picks: Iterable[_Pick], left: Mapping[Account, int]) -> bool:
    return all(units >= 0 for units in _after(left, picks).values())


def _after(left: Mapping[Account, int], picks: Iterable[_Pick]) -> dict[Account, int]:
    """Return what the picks leave."""
    rest = dict(left)
    for pick in picks:
        for account in pick.accounts:
            if account in rest:
                rest[account] -= pick.units
    return rest


def _grant(claim: Claim, pick: _Pick | None, supply: Supply, left: Mapping[Account, int]) -> Grant:
    """Return the grant for a pick, with the reason why it is not more; `left` is what the classes above left."""
    placement, replicas = (pick.use.placement, pick.replicas) if pick else (None, 0)
    return Grant(placement, replicas, _reason(claim, pick, supply, left))


def _reason(claim: Claim, pick: _Pick | None, supply: Supply, left: Mapping[Account, int]) -> GrantReason:
    wanted = _best(claim, Supply({use.resource: use.units_per_replica * len(use.worth) for use in claim.uses}), {})
    got = pick.worth if pick else 0.0
    if got >= wanted * (1.0 - ROUNDING):
        return GrantReason.AS_WANTED
    if any(use.resource not in supply.units for use in claim.uses):
        return GrantReason.UNKNOWN
    if got < _best(claim, supply, left) * (1.0 - ROUNDING):
        return GrantReason.OUTBID
    return (
        GrantReason.OUTRANKED
        if got < _best(claim, supply, _accounts(supply)) * (1.0 - ROUNDING)
        else GrantReason.TOO_FEW
    )


def _best(claim: Claim, supply: Supply, left: Mapping[Account, int]) -> float:
    """Return what a claim would have alone."""
    return max((pick.worth for pick in _choices(claim, supply, left)), default=0.0)
