"""The next safe step towards a plan: make before break, and no step that takes serving capacity below what is needed. Pure.

A switch creates the new pool, waits until it is ready for the load of now, and points the Service to it; the old pool keeps
all its replicas until a later step sees that the Service selects the new one and that it carries the load. Then the old one
is scaled to zero, and deleted when its last pod is gone. A pool that does not start is given up for a while (an outage), and
the next plan takes the runner-up.

A pool beside the serving one is started, gets requests as its replicas become ready, and loses them before its replicas go; the
serving pool gives up a replica only when the route has given its requests away (`beside.py`).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import (
    Observation,
    Plan,
    PolicyState,
    PoolKey,
    PoolObservation,
    PoolTarget,
    RouteTarget,
    Side,
    Step,
    Switch,
    Workload,
    is_out,
)
from modelscaler.planner.allowances import within_allowances
from modelscaler.planner.behavior import longest_period_seconds, with_change
from modelscaler.planner.beside import Pair, alone
from modelscaler.planner.candidates import Candidate, candidate_of, candidates
from modelscaler.planner.health import stuck_replicas
from modelscaler.planner.memory import after_recoveries, with_outage, without

Sizes: TypeAlias = dict[PoolKey, int]
Notes: TypeAlias = tuple[tuple[DecisionReason, str], ...]

NOT_READY = "NotReady"
ROUNDING = 1e-9  # loads that differ by less are the same
DEADLINE = "StartDeadlineExceeded"


def next_step(workload: Workload, observation: Observation, plan: Plan, state: PolicyState) -> Step:
    """Return the next step.

    Args:
        workload: What the user asked for.
        observation: What is seen of the pools and of the Service.
        plan: Where to go.
        state: What `plan` left behind.

    Returns:
        A step whose `pools` name every pool that exists or shall exist.
    """
    state = after_recoveries(workload, observation, state)
    scene = _Scene(workload, observation, plan, state)
    if state.active is None:
        return _first(scene)
    if plan.idle:
        return _rest(scene, state.active)
    if plan.target.pool == state.active:
        return _stay(scene, state.active)
    return _switch(scene, state.active)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a step is taken from."""

    workload: Workload
    observation: Observation
    plan: Plan
    state: PolicyState

    @property
    def now(self) -> datetime:
        return self.observation.now

    @property
    def load_rps(self) -> float:
        """The load that must be carried at any moment of a switch: what is measured, else what is planned for."""
        demand = self.plan.demand
        return demand.planned_rps if demand.measured_rps is None else demand.measured_rps

    def seen(self, pool: PoolKey) -> PoolObservation:
        return self.observation.pool(pool)

    def is_held(self, serving: PoolKey) -> bool:
        """Tell whether requests are held, since no replica of the serving pool is ready."""
        return self.observation.held and not self.seen(serving).ready

    def candidate(self, pool: PoolKey) -> Candidate | None:
        if not self.observation.allowances:
            return candidate_of(self.workload, self.observation, self.state, pool)
        found = candidates(self.workload, self.observation, self.state)
        return next((c for c in within_allowances(found, self.observation, self.state) if c.pool == pool), None)

    def needed_now(self, pool: PoolKey) -> int:
        """Replicas of a pool that carry the load; one at least, and no more than the plan wants of it."""
        candidate = self.candidate(pool)
        needed = candidate.clipped(candidate.needed(self.load_rps, self.load_rps)) if candidate else 1
        if pool == self.plan.target.pool:
            needed = min(needed, self.plan.target.replicas)
        return max(needed, 1)

    def ready_rps(self, pool: PoolKey) -> float:
        """Load that a pool's ready replicas carry, with the help of their ladder.

        A pool whose speed is not known is trusted with what it has.
        """
        ready, candidate = self.seen(pool).ready, self.candidate(pool)
        if candidate is None:
            return self.load_rps if ready else 0.0
        return ready * candidate.rung_rps_per_replica

    def beside(self, active: PoolKey) -> Candidate | None:
        """Return the pool beside the serving one while it gets requests; None also for one whose speed is not known."""
        side = self.state.side
        return self.candidate(side.pool) if side and self.pair(active, side.pool).side_share > 0.0 else None

    def pair(self, base: PoolKey, side: PoolKey) -> Pair:
        """Return two pools that share requests."""
        return Pair(
            base=self.seen(base),
            side=self.seen(side),
            base_candidate=self.candidate(base),
            side_candidate=self.candidate(side),
            demand=self.plan.demand,
            route=self.observation.route,
        )


def _first(scene: _Scene) -> Step:
    """Nothing serves: the Service selects the target from the start."""
    target = scene.plan.target
    state = replace(scene.state, active=target.pool, switch=None)
    return _step(scene, state, {target.pool: target.replicas}, serving=target.pool)


def _rest(scene: _Scene, active: PoolKey) -> Step:
    """No replica is needed: the activator takes who comes, and once the Service selects it the serving pool's replicas go."""
    replicas = 0 if scene.observation.held else scene.seen(active).replicas
    return _step(scene, replace(scene.state, side=None), {active: replicas}, serving=active, held=True)


def _stay(scene: _Scene, active: PoolKey) -> Step:
    """The serving pool is the right one: give it its size and drain every other."""
    replicas = scene.plan.target.replicas
    state, notes = scene.state, _abandoned(scene)
    if state.switch is not None:
        state = replace(state, switch=None)
    if scene.plan.binding is Binding.AVAILABILITY:
        state, trouble = _doubted(scene, state, active)
        notes += trouble
    state, beside = _beside(scene, state, active)
    notes += beside
    sizes, route = _shared(scene, state, active, replicas)
    return _step(scene, _with_change(scene, state, sizes), sizes, serving=active, notes=notes, route=route)


def _beside(scene: _Scene, state: PolicyState, active: PoolKey) -> tuple[PolicyState, Notes]:
    """Note which pool is beside the serving one: the plan's, or one that still gets requests; none that does not start."""
    wanted, present, reason = scene.plan.side, state.side, scene.plan.reason
    if present is None and wanted is not None:
        text = f"{wanted.pool} is to run beside {active} and gets requests as its replicas become ready"
        return replace(state, side=Side(wanted.pool, scene.now)), ((reason, text),)
    if present is None:
        return state, ()
    why = _why_not_up(scene, present)
    if why is not None:
        text = f"{present.pool} did not start beside {active} ({why}) and is given up for a while"
        doubted = replace(with_outage(state, present.pool, scene.observation, why), side=None)
        return doubted, ((DecisionReason.CANDIDATE_UNAVAILABLE, text),)
    if wanted is not None and wanted.pool == present.pool:
        starts_now = wanted.replicas and not scene.seen(present.pool).replicas
        return replace(state, side=Side(present.pool, scene.now)) if starts_now else state, ()
    if scene.pair(active, present.pool).side_share > 0.0:
        return state, ()
    text = f"{active} serves alone again; {present.pool} drains"
    return replace(state, side=None), ((reason, text),)


def _why_not_up(scene: _Scene, side: Side) -> str | None:
    """Return why a pool beside the serving one is not going to start; None while any replica is up, or there is hope."""
    seen, deadline_seconds = scene.seen(side.pool), scene.workload.start_deadline_seconds
    if seen.ready or not seen.replicas:
        return None
    if stuck_replicas(seen, deadline_seconds):
        return seen.failure or NOT_READY
    return DEADLINE if scene.now - side.started_at > timedelta(seconds=deadline_seconds) else None


def _shared(scene: _Scene, state: PolicyState, active: PoolKey, replicas: int) -> tuple[Sizes, RouteTarget]:
    """Return the sizes of the serving pool and of the one beside it, and how they share requests."""
    if state.side is None:
        given_up = scene.plan.side is not None  # in this step: what the plan counted on is not there
        return {active: max(replicas, scene.seen(active).replicas) if given_up else replicas}, alone()
    side, wanted = state.side.pool, scene.plan.side
    asked = wanted.replicas if wanted is not None and wanted.pool == side else 0
    pair = scene.pair(active, side)
    base, beside = pair.sizes(replicas, asked)
    return {active: base, side: beside}, pair.target(replicas, asked)


def _kept_beside(scene: _Scene, state: PolicyState, active: PoolKey, sizes: Sizes) -> tuple[Sizes, RouteTarget]:
    """Leave the pool beside the serving one as it is while another is switched to."""
    if state.side is None or state.side.pool == active:
        return sizes, alone()
    side = scene.seen(state.side.pool)
    pair = scene.pair(active, side.pool)
    return {side.pool: side.replicas, **sizes}, pair.target(pair.base.ready, pair.side.ready)


def _switch(scene: _Scene, active: PoolKey) -> Step:
    """Another pool shall serve: start it, and point the Service to it once it carries the load of now."""
    target = scene.plan.target.pool
    state, notes = _started(scene, active)
    state, trouble = _doubted(scene, state, active)
    notes += trouble
    sizes = {active: _kept(scene, active), target: max(scene.plan.target.replicas, scene.seen(target).ready)}
    sizes, route = _kept_beside(scene, state, active, sizes)
    if _may_serve(scene, active, target):
        return _flipped(scene, state, sizes, notes)
    why = _why_give_up(scene, state)
    if why is not None:
        state = replace(with_outage(state, target, scene.observation, why), switch=None)
        meanwhile = "requests are held" if scene.is_held(active) else f"{active} keeps serving"
        text = f"{target} did not start ({why}) and is given up for a while; {meanwhile}"
        notes += ((DecisionReason.CANDIDATE_UNAVAILABLE, text),)
        beside = state.side.pool if state.side else None
        kept = {pool: size for pool, size in sizes.items() if pool in (active, beside)}
        return _step(scene, state, kept, serving=active, notes=notes, route=route)
    changed = _with_change(scene, state, {active: sizes[active]})
    return _step(scene, changed, sizes, serving=active, notes=notes, route=route)


def _started(scene: _Scene, active: PoolKey) -> tuple[PolicyState, Notes]:
    """Note the start of a switch, or that it goes to another pool now."""
    state, target = scene.state, scene.plan.target
    if state.switch is not None and state.switch.target == target.pool:
        return state, ()
    meanwhile = "requests are held" if scene.is_held(active) else f"{active} serves"
    text = f"starting {target.replicas} x {target.pool}; {meanwhile} until they are ready"
    return replace(state, switch=Switch(target.pool, scene.now, scene.plan.reason)), ((scene.plan.reason, text),)


def _abandoned(scene: _Scene) -> Notes:
    switch = scene.state.switch
    if switch is None:
        return ()
    return ((scene.plan.reason, f"the switch to {switch.target} is called off; {scene.state.active} keeps serving"),)


def _doubted(scene: _Scene, state: PolicyState, active: PoolKey) -> tuple[PolicyState, Notes]:
    """Record an outage of the serving pool when replicas of it cannot run, so that it is not returned to at once."""
    seen = scene.seen(active)
    if not stuck_replicas(seen, scene.workload.start_deadline_seconds):
        return state, ()
    doubted = with_outage(state, active, scene.observation, seen.failure or NOT_READY)
    if doubted is state:
        return state, ()
    text = f"{active}: {seen.ready} of {seen.replicas} replicas run ({seen.failure or NOT_READY})"
    return doubted, ((DecisionReason.CANDIDATE_UNAVAILABLE, text),)


def _may_serve(scene: _Scene, active: PoolKey, target: PoolKey) -> bool:
    """Tell whether the Service may select the target: it carries the load, or no less of it than what serves now does.

    A target that cannot carry the load at any size that is allowed is complete all the same, but takes nothing over that the
    serving pool still carries, unless it was chosen for what counts more than the load (the accuracy, the budget). While nobody
    knows the load, it may be all that the serving pool carries, with its ladder: for a saving nothing less will do.
    """
    serves, would_serve = scene.ready_rps(active), scene.ready_rps(target)
    beside = scene.beside(active)
    if beside is not None:
        serves += scene.ready_rps(beside.pool)
        would_serve += scene.ready_rps(beside.pool) if beside.pool != target else 0.0
    if scene.seen(target).ready >= scene.needed_now(target):
        for_a_saving = scene.plan.demand.measured_rps is None and not _is_wished(scene, active, target)
        carried = serves if for_a_saving else min(serves, scene.load_rps)
        return _counts_more(scene, active, target) or would_serve >= carried * (1.0 - ROUNDING)
    return (serves < would_serve and serves < scene.load_rps) or (serves == 0.0 < would_serve)


def _counts_more(scene: _Scene, active: PoolKey, target: PoolKey) -> bool:
    """Tell whether a complete target that cannot carry the load is to serve all the same; never while the load is unknown."""
    planned = scene.plan.target
    if planned.feasible or scene.seen(target).ready < planned.replicas or scene.plan.demand.measured_rps is None:
        return False
    return _is_wished(scene, active, target)


def _is_wished(scene: _Scene, active: PoolKey, target: PoolKey) -> bool:
    """Tell whether the target grants wishes that the serving pool does not, or that one may not be used any more."""
    new, old = scene.candidate(target), scene.candidate(active)
    return old is None or (new is not None and new.wishes > old.wishes)


def _flipped(scene: _Scene, state: PolicyState, sizes: Sizes, notes: Notes) -> Step:
    """Point the Service to the target. The old pool keeps its replicas in this step; the windows start afresh."""
    target = scene.plan.target.pool
    flipped = replace(
        state,
        active=target,
        switch=None,
        outages=without(state, target),
        recommendations=(),
        changes=(),
        cheaper_since=None,
        side=None if state.side and state.side.pool == target else state.side,
        side_recommendations=(),
        mix_better_since=None,
    )
    sizes, route = _kept_beside(scene, flipped, target, sizes)
    text = f"{target} serves now, {scene.seen(target).ready} of {sizes[target]} replicas ready; {state.active} drains"
    return _step(scene, flipped, sizes, serving=target, notes=(*notes, (scene.plan.reason, text)), route=route)


def _why_give_up(scene: _Scene, state: PolicyState) -> str | None:
    """Return why the target of a switch is not going to start; None while there is hope, or nothing else to turn to.

    A pool that was given up is a target again only when the spec allows no other: its replicas wait for better times.
    """
    target, deadline_seconds = scene.plan.target.pool, scene.workload.start_deadline_seconds
    if is_out(scene.state, target, scene.now):
        return None
    seen = scene.seen(target)
    if stuck_replicas(seen, deadline_seconds):
        return seen.failure or NOT_READY
    if 0 < seen.replicas <= seen.ready:
        return None
    if state.switch and scene.now - state.switch.started_at > timedelta(seconds=deadline_seconds):
        return DEADLINE
    return None


def _kept(scene: _Scene, active: PoolKey) -> int:
    """Return the serving pool's size during a switch: never less than it has, more when the demand asks for it.

    One without replicas is gone, and stays so; but where they went because nobody asked it may be the first to answer.
    """
    seen, candidate = scene.seen(active), scene.candidate(active)
    if candidate is None or candidate.stuck or not (seen.replicas or scene.observation.held):
        return seen.replicas
    demand, beside = scene.plan.demand, scene.beside(active)
    own_rps, helped_rps = (beside.rps_per_replica, beside.rung_rps_per_replica) if beside else (0.0, 0.0)
    ready = scene.seen(beside.pool).ready if beside else 0
    needed = candidate.needed(demand.planned_rps - ready * helped_rps, demand.own_rps - ready * own_rps)
    return max(seen.replicas, candidate.clipped(needed))


def _with_change(scene: _Scene, state: PolicyState, sizes: Sizes) -> PolicyState:
    """Remember a change of the serving pool's size, and of what is beside it, for the rate policies."""
    present = [scene.seen(pool).replicas for pool in sizes]
    change = sum(sizes.values()) - sum(present)
    if not any(present) or not change:
        return state
    entry = (scene.now, change)
    changes = with_change(state.changes, entry, scene.now, longest_period_seconds(scene.workload))
    return replace(state, changes=tuple(changes))


def _step(
    scene: _Scene,
    state: PolicyState,
    sizes: Sizes,
    serving: PoolKey,
    notes: Notes = (),
    route: RouteTarget | None = None,
    *,
    held: bool = False,
) -> Step:
    """Return a step; while the Service selects the activator it does so until a replica of the serving pool is ready."""
    held = held or scene.is_held(serving)
    exists = {pool.pool for pool in scene.observation.pools}
    targets = [PoolTarget(pool, replicas) for pool, replicas in sizes.items() if replicas or pool in exists]
    targets += [_leftover(scene, pool, serving) for pool in scene.observation.pools if pool.pool not in sizes]
    shared = (route or alone()) if scene.workload.routed else None
    pools = tuple(sorted(targets, key=lambda t: t.pool))
    activator = held or scene.observation.held or scene.workload.idling is not None
    return Step(pools=pools, serving=serving, state=state, notes=notes, route=shared, held=held, activator=activator)


def _leftover(scene: _Scene, pool: PoolObservation, serving: PoolKey) -> PoolTarget:
    """Let go of a pool that neither serves nor starts, but not while it may be needed.

    That is while it is not known which pool the Service selects, and while the serving pool is not ready for the load: a pool
    that still has ready replicas is then the quickest way back. Where nobody asks there is no load.
    """
    selected = scene.observation.selected
    relieved = scene.plan.idle or scene.seen(serving).ready >= scene.needed_now(serving)
    unknown = selected is None and not scene.observation.held
    if pool.ready and (unknown or not relieved):
        return PoolTarget(pool.pool, pool.replicas)
    pods = pool.alive + pool.terminating
    return PoolTarget(pool.pool, 0, delete=not pool.replicas and not pods and selected != pool.pool)
