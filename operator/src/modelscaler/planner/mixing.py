"""When two pools shall serve at once, and how large each. Pure.

Only where requests come through a gateway whose route can share them. The serving pool is the base; one pool on another
placement may run beside it. What has to be started because load rises is started where it is cheapest, at once; what runs
already is divided otherwise only when that saves as much as any switch must, for as long as pays for starting it (ski rental,
see `switching.py`). The pool that takes longer to start keeps its size meanwhile, and the other follows the load. What is not
known takes nothing away, even where two pools are dearer for a moment than the budget while one takes over from the other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from modelscaler.api.words import Binding
from modelscaler.domain import Observation, PolicyState, Workload, is_unknown
from modelscaler.planner.behavior import limit_change, scale_down_window_seconds, since
from modelscaler.planner.choice import SPARE, Option
from modelscaler.planner.pairing import (
    Mix,
    Need,
    bridged,
    cheapest,
    fast_of,
    grown,
    is_accurate,
    limits_kept,
    need_of,
)
from modelscaler.planner.switching import WORTHWHILE_RELIEF, Selection, option_of, saves


@dataclass(frozen=True, slots=True)
class Mixing:
    """What two pools shall do. `mix` None: one pool serves, as selected.

    `better_since` is since when another division has been better, `waiting` whether its time has not come, and `held_by` what
    kept sizes from changing.
    """

    mix: Mix | None = None
    better_since: datetime | None = None
    waiting: bool = False
    held_by: Binding | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What is decided from: the options, what one pool would do, and what the scale-down window remembers.

    `at_least` is how many replicas there must be while the load is not known, and `trouble` what users miss now, None when
    nothing.
    """

    workload: Workload
    observation: Observation
    state: PolicyState
    listed: Sequence[Option]
    selection: Selection
    recent_rps: float
    at_least: int
    trouble: Binding | None

    @property
    def single(self) -> Option:
        """What one pool would do."""
        return self.selection.option

    @property
    def single_does(self) -> bool:
        """Whether one pool carries the load, what lasts of it with the planned variant."""
        return self.single.feasible and self.single.degraded_rps <= 0.0

    @property
    def base(self) -> Option | None:
        """The serving pool, where it can be relied on."""
        return _usable(option_of(self.listed, self.state.active))

    @property
    def side(self) -> Option | None:
        """The pool beside it, where it can be relied on."""
        return _usable(option_of(self.listed, self.state.side.pool)) if self.state.side else None

    def replicas(self, option: Option) -> int:
        """Return how many replicas of a pool are asked for now."""
        return self.observation.pool(option.candidate.pool).replicas

    def need(self, base: Option, side: Option) -> Need:
        """Return what two pools must carry: the demand, and what the scale-down window remembers of it."""
        return need_of(base, side, self._recent_rps(base, side))

    def cheapest(self, base: Option, side: Option, slow_replicas: int | None = None, growth: float = 1.0) -> Mix:
        """Return the cheapest sizes of two pools for the load."""
        return cheapest(self.workload, base, side, self.need(base, side).times(growth), slow_replicas)

    def alone(self, option: Option, base: Option, side: Option) -> Option:
        """Return one pool as it would be alone, sized also for what the scale-down window remembers of two."""
        candidate, recent_rps = option.candidate, self._recent_rps(base, side)
        replicas = max(option.replicas, candidate.clipped(candidate.needed(recent_rps, recent_rps)))
        return option._replace(replicas=replicas, hourly_cost=replicas * candidate.replica_hourly_cost)

    def _recent_rps(self, base: Option, side: Option) -> float:
        if self.side is not side:
            return self.recent_rps
        window_seconds = scale_down_window_seconds(self.workload)
        most = max(
            (n for _, n in since(self.state.side_recommendations, self.observation.now, window_seconds)), default=0
        )
        return max(most - 1, 0) * fast_of(base, side).candidate.rps_per_replica


def mixing(scene: Scene) -> Mixing:
    """Decide whether a second pool runs beside the serving one."""
    base, route = scene.base, scene.observation.route
    if not scene.workload.routed or route is None or not route.accepted:
        return Mixing()
    if base is None or not scene.replicas(base) or scene.state.switch is not None:
        return Mixing()
    if scene.side is not None:
        return _beside(scene, base, scene.side)
    return _alone(scene, base) if not is_unknown(scene.observation.offered) else Mixing()


def _alone(scene: Scene, base: Option) -> Mixing:
    """Decide while one pool serves."""
    single, serving = scene.single, scene.replicas(base)
    if single is not base or single.wanted > serving or not scene.single_does:
        grown = _best_mix(scene, base, serving)
        return _bounded(scene, grown) if grown is not None and _helps(scene, grown) else Mixing()
    best = _best_mix(scene, base, None) if scene.observation.load_is_known else None
    if best is None or not best.feasible or not saves(best.hourly_cost, single.hourly_cost):
        return Mixing()
    begun = scene.state.mix_better_since or scene.observation.now
    if not _paid(scene, begun, _price_of_mix(scene, best), single.hourly_cost - best.hourly_cost):
        return Mixing(better_since=begun, waiting=True)
    return replace(_bounded(scene, best), better_since=begun)


def _beside(scene: Scene, base: Option, side: Option) -> Mixing:
    """Decide while two pools serve."""
    as_is = Mix(base, side, scene.replicas(base), scene.replicas(side))
    if is_unknown(scene.observation.offered):
        return Mixing(replace(as_is, base_replicas=max(as_is.base_replicas, scene.at_least - as_is.side_replicas)))
    kept, best = _kept(scene, as_is), scene.cheapest(base, side)
    trouble = scene.trouble if scene.observation.load_is_known else Binding.METRICS
    if trouble is not None and kept.feasible:
        return Mixing(grown(scene.workload, kept, as_is.fast_replicas), held_by=trouble)
    if not kept.feasible or not is_accurate(scene.workload, kept):
        return _mended(scene, best)
    return _rearranged(scene, kept, best)


def _mended(scene: Scene, best: Mix) -> Mixing:
    """Decide where the two pools do not do as they are divided."""
    if math.isinf(best.shortfall_rps) or not is_accurate(scene.workload, best):
        return Mixing()
    one = scene.alone(scene.single, best.base, best.side)
    dearer = not best.feasible or saves(one.hourly_cost, best.hourly_cost)
    return Mixing() if scene.single_does and dearer else _bounded(scene, best)


def _rearranged(scene: Scene, kept: Mix, best: Mix) -> Mixing:
    """Keep the division until another, or one pool, has been cheaper for long enough."""
    one = scene.alone(scene.single, kept.base, kept.side)
    mixed = (best.hourly_cost, _price_of_mix(scene, best), True)
    alone = (one.hourly_cost, _price_of(scene, one, one.replicas), False)
    rivals = [mixed] * (best.feasible and is_accurate(scene.workload, best)) + [alone] * scene.single_does
    cost, price, is_mixed = min(rivals, default=(kept.hourly_cost, 0.0, True))
    if not saves(cost, kept.hourly_cost) or not _saves_now(scene, kept, is_mixed):
        return _bounded(scene, kept)
    begun = scene.state.mix_better_since or scene.observation.now
    if not _paid(scene, begun, price, kept.hourly_cost - cost):
        return replace(_bounded(scene, kept), better_since=begun, waiting=True)
    return replace(_bounded(scene, best) if is_mixed else Mixing(), better_since=begun)


def _saves_now(scene: Scene, kept: Mix, is_mixed: bool) -> bool:
    """Tell whether another division, or one pool, is also cheaper for the demand of now, whatever the window remembers.

    Nothing is started for a load that is over.
    """
    need = need_of(kept.base, kept.side, 0.0)
    as_divided = cheapest(scene.workload, kept.base, kept.side, need, kept.slow_replicas)
    other = cheapest(scene.workload, kept.base, kept.side, need) if is_mixed else scene.single
    return saves(other.hourly_cost, as_divided.hourly_cost)


def _best_mix(scene: Scene, base: Option, serving: int | None) -> Mix | None:
    """Return the best mix with any other placement; `serving` keeps the base at its size where it starts more slowly."""
    found = []
    for option in scene.listed:
        side = _usable(option) if option.candidate.pool.placement != base.candidate.pool.placement else None
        if side is not None:
            found.append(scene.cheapest(base, side, serving if fast_of(base, side) is side else None))
    return min((mix for mix in found if is_accurate(scene.workload, mix)), key=lambda mix: mix.rank, default=None)


def _kept(scene: Scene, as_is: Mix) -> Mix:
    """Return the sizes for the load with the slower pool as it is, with some room before the other shrinks."""
    kept = scene.cheapest(as_is.base, as_is.side, as_is.slow_replicas)
    if kept.fast_replicas >= as_is.fast_replicas:
        return kept
    roomy = scene.cheapest(as_is.base, as_is.side, as_is.slow_replicas, 1.0 + SPARE)
    return kept.sized(kept.slow_replicas, max(kept.fast_replicas, min(roomy.fast_replicas, as_is.fast_replicas)))


def _bounded(scene: Scene, mix: Mix) -> Mixing:
    """Return the sizes to ask for now: no replica that waits for a node is withdrawn, a start is bridged, rates are kept."""
    as_is = Mix(mix.base, mix.side, scene.replicas(mix.base), scene.replicas(mix.side))
    waiting = replace(
        mix,
        base_replicas=max(mix.base_replicas, as_is.base_replicas if mix.base.candidate.stuck else 0),
        side_replicas=max(mix.side_replicas, as_is.side_replicas if mix.side.candidate.stuck else 0),
    )
    ready = scene.observation.pool(mix.slow.candidate.pool).ready
    return _limited(scene, bridged(scene.workload, waiting, scene.need(mix.base, mix.side), ready), as_is)


def _limited(scene: Scene, mix: Mix, as_is: Mix) -> Mixing:
    """Keep the change of all replicas together within the rate policies; the pool that starts sooner gives way first.

    Limits come before rates, as for one pool: what is beyond one that can be kept, since it was lowered, goes at once.
    """
    now, before = as_is.base_replicas + as_is.side_replicas, mix.base_replicas + mix.side_replicas
    state = scene.state
    allowed, held_by = limit_change(scene.workload, now, before, (), state.changes, scene.observation.now)
    allowed = min(allowed, max(scene.workload.max_replicas, before))
    slow, fast, excess = mix.slow_replicas, mix.fast_replicas, before - allowed
    spared = _towards(fast, as_is.fast_replicas, excess)
    limited = mix.sized(_towards(slow, as_is.slow_replicas, excess - (fast - spared)), spared)
    pairs = zip(limits_kept(scene.workload, limited), limits_kept(scene.workload, mix), strict=True)
    return Mixing(limited, held_by=held_by) if all(kept or not could for kept, could in pairs) else Mixing(mix)


def _towards(wanted: int, present: int, excess: int) -> int:
    """Return `wanted` less the excess (or more, where that is negative), but not beyond `present`."""
    if excess > 0:
        return max(wanted - excess, min(wanted, present))
    return min(wanted - excess, max(wanted, present))


def _helps(scene: Scene, mix: Mix) -> bool:
    """Tell whether a mix does what one pool does not, or does it for less."""
    if scene.single_does:
        return mix.feasible and saves(mix.hourly_cost, scene.single.hourly_cost)
    carried = scene.need(mix.base, mix.side).far_rps - mix.shortfall_rps  # -inf where the limits allow no mix
    return mix.feasible or carried >= scene.single.carried_rps * (1.0 + WORTHWHILE_RELIEF)


def _usable(option: Option | None) -> Option | None:
    return option if option and option.candidate.available and option.candidate.meets_objective else None


def _paid(scene: Scene, begun: datetime, price: float, saving: float) -> bool:
    """Tell whether a saving has lasted so long that it would have paid for starting what it needs."""
    return (scene.observation.now - begun).total_seconds() >= price / saving


def _price_of_mix(scene: Scene, mix: Mix) -> float:
    return _price_of(scene, mix.base, mix.base_replicas) + _price_of(scene, mix.side, mix.side_replicas)


def _price_of(scene: Scene, option: Option, replicas: int) -> float:
    """Return what new replicas cost while they start, in hourly cost times seconds."""
    new = max(replicas - scene.replicas(option), 0)
    return new * option.candidate.replica_hourly_cost * option.candidate.start_seconds
