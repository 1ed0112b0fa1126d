"""Run one policy over one case: decide, start and stop replicas, let requests arrive, note what happened. Deterministic."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from modelscaler.backtest.trace import Ints
from modelscaler.domain import PoolKey, RouteTarget
from modelscaler.planner.savings import carried_on, covered_share, settled
from modelscaler.replay.case import Case
from modelscaler.replay.holding import Holding
from modelscaler.replay.incidents import MetricsOutage
from modelscaler.replay.metering import Metering
from modelscaler.replay.nodes import Nodes
from modelscaler.replay.pool import Arriving, Pool, Tally, refused
from modelscaler.replay.sight import Policy, PolicyKind, PoolSight, Sight, Targets
from modelscaler.replay.timeline import Timeline

STEP_SECONDS: Final = 5.0
"""Replicas change at steps of this length, shorter where a policy decides more often; requests arrive in far shorter slots."""

BEFORE_STEPS: Final = 720
"""Of the load's first rate, which the metrics show from before the replay: an hour at the usual step."""


def replay(case: Case, kind: PolicyKind, first_replicas: int) -> Timeline:
    """Replay a case under a policy; what comes before the part that counts is left out.

    Args:
        case: What is replayed.
        kind: The policy with its settings.
        first_replicas: Replicas of the case's pool that serve when the replay begins.
    """
    return (
        _Run(case, kind.start(case.told or case.workload, case.pool), first_replicas)
        .timeline()
        .since(case.run_in_seconds)
    )


class _Run:
    """The simulated cluster while one policy runs it."""

    def __init__(self, case: Case, policy: Policy, first_replicas: int) -> None:
        self._case, self._policy = case, policy
        self._step_seconds = min(policy.interval_seconds, STEP_SECONDS)
        self._slots = round(self._step_seconds / case.load.slot_seconds)
        self._steps = len(case.load.counts) // self._slots
        self._random = np.random.default_rng(case.seed)
        self._pools = {case.pool: Pool(case.settings(case.pool), [0.0] * first_replicas)}
        self._nodes = {pool.placement: Nodes(pool) for pool in case.cluster.nodes}
        if (first := self._nodes.get(case.pool.placement)) is not None:
            first.there_at = [0.0] * first.pool.nodes_for(first_replicas)
        self._starts: dict[PoolKey, float] = {}
        self._saved = 0.0
        self._serving: PoolKey | None = case.pool
        self._route: RouteTarget | None = None
        self._holding = Holding(case.workload.idling.most_held if case.workload.idling else 0.0)
        self._metering = Metering(self._step_seconds, case.cluster.lag_seconds)
        self._remember(max(first_replicas, 1))
        self._log = _Log(self._steps)

    def timeline(self) -> Timeline:
        counts = self._case.load.counts[: self._steps * self._slots].reshape(self._steps, self._slots)
        totals, largest = counts.sum(axis=1).tolist(), counts.max(axis=1).tolist()
        next_decision = 0.0
        for step in range(self._steps):
            seconds = step * self._step_seconds
            self._retry(seconds)
            if seconds >= next_decision - 1e-9:
                self._apply(self._policy.decide(self._sight(seconds)), seconds)
                next_decision += self._policy.interval_seconds
            self._provide(seconds)
            self._advance(step, seconds, Arriving(counts[step].tolist(), totals[step], largest[step]))
        return self._log.timeline(self._step_seconds)

    def _remember(self, replicas: int) -> None:
        """Let the monitoring system have seen the load before, as it is at first: nobody begins blind, or broke."""
        arriving = np.full(self._slots, float(self._case.load.expected_rps[0]) * self._case.load.slot_seconds)
        calm = Pool(self._case.settings(self._case.pool)).advance(
            Arriving.of(arriving), replicas, self._case.load.slot_seconds
        )
        for _ in range(BEFORE_STEPS):
            self._metering.note(calm, replicas, 0.0)
        for _ in range(round(self._case.saved_seconds / self._step_seconds)):
            self._save(calm)
        first = self._pools[self._case.pool]
        first.serving, first.saved = replicas, min(self._saved, replicas * first.settings.most_saved)

    def _save(self, tally: Tally) -> None:
        """Keep the account of all pools' answers, as the operator does; what nobody could read adds nothing."""
        floor = self._case.workload.objective.min_mean_accuracy
        if floor is not None:
            self._saved = carried_on(self._saved, self._step_seconds, tally.accuracy - floor * tally.served)

    def _outage(self, seconds: float) -> MetricsOutage | None:
        outages = self._case.cluster.outages
        return next((each for each in outages if each.from_seconds <= seconds < each.to_seconds), None)

    def _sight(self, seconds: float) -> Sight:
        outage = self._outage(seconds)
        pools = tuple(
            PoolSight(
                pool=key,
                replicas=len(pool.ready_at),
                ready=(ready := pool.ready(seconds)),
                starting=len(pool.ready_at) - ready,
                unschedulable=pool.unschedulable(),
                unready_seconds=pool.unready_seconds(seconds),
                budgets=None if outage else pool.budgets,
                overdraft=pool.overdraft,
            )
            for key, pool in self._pools.items()
        )
        starts, held = self._usual_starts(seconds), self._holding.active
        return Sight(seconds, pools, self._serving, self._metering, self._route, starts, outage, held)

    def _usual_starts(self, seconds: float) -> dict[PoolKey, float]:
        """Return how long replicas were seen to take, also of pools that are gone; without nodes their own start is all."""
        for key, pool in self._pools.items():
            took = pool.usual_start_seconds(seconds) if key.placement in self._nodes else None
            if took is not None:
                self._starts[key] = took
        return dict(self._starts)

    def _apply(self, targets: Targets, seconds: float) -> None:
        for key, replicas in targets.replicas.items():
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = Pool(self._case.settings(key))
            if replicas != len(pool.ready_at):
                pool.resize(replicas, seconds, self._startable(key, replicas, seconds), self._start_seconds(pool))
        self._serving, self._route, self._holding.active = targets.serving, targets.route, targets.held
        if self._serving is not None and not self._holding.active:
            self._pools[self._serving].queued += self._holding.let_go()
        self._remove([key for key in self._pools if key not in targets.replicas])
        self._tell_overdrafts(seconds)

    def _tell_overdrafts(self, seconds: float) -> None:
        """Say how far replicas may overdraw their budgets, as the operator does, whoever scales."""
        blind = self._outage(seconds) is not None
        held = sum(pool.most_held if blind else pool.saved for pool in self._pools.values())
        size = sum(
            pool.lent_to(seconds, self._starts.get(key, pool.settings.start_seconds)) * pool.settings.most_saved
            for key, pool in self._pools.items()
        )
        covered = covered_share(self._saved - held, size)
        for pool in self._pools.values():
            pool.tell(settled(pool.overdraft, covered), seconds)

    def _remove(self, keys: Iterable[PoolKey]) -> None:
        """Take pools away; what still waits there is answered by whoever serves."""
        for key in keys:
            gone = self._pools.pop(key)
            heir = self._pools.get(self._serving) if self._serving else next(iter(self._pools.values()), None)
            if heir is not None:
                heir.queued += gone.queued

    def _retry(self, seconds: float) -> None:
        """Start what could not be started, as soon as there is a node."""
        for key, pool in self._pools.items():
            if (waiting := pool.unschedulable()) and (startable := self._startable(key, waiting, seconds)):
                pool.start(startable, seconds + self._start_seconds(pool))

    def _provide(self, seconds: float) -> None:
        """Let nodes come and go as replicas need them."""
        for placement, nodes in self._nodes.items():
            asked = sum(len(pool.ready_at) for pool in self._on(placement))
            nodes.adapt(asked, seconds, self._obtainable(placement, seconds))

    def _startable(self, key: PoolKey, most: int, seconds: float) -> int:
        """Return how many new replicas of a pool find a node, up to so many."""
        if not self._obtainable(key.placement, seconds):
            return 0
        nodes = self._nodes.get(key.placement)
        if nodes is None:
            return most
        placed = sum(len(pool.ready_at) - pool.unschedulable() for pool in self._on(key.placement))
        return min(most, nodes.room(placed, seconds))

    def _on(self, placement: str) -> list[Pool]:
        return [pool for key, pool in self._pools.items() if key.placement == placement]

    def _obtainable(self, placement: str, seconds: float) -> bool:
        outs = self._case.cluster.stock_outs
        return not any(o.placement == placement and o.from_seconds <= seconds < o.to_seconds for o in outs)

    def _start_seconds(self, pool: Pool) -> float:
        spread = self._case.cluster.start_spread
        return pool.settings.start_seconds * float(self._random.uniform(1.0 - spread, 1.0 + spread))

    def _advance(self, step: int, seconds: float, arriving: Arriving) -> None:
        middle = seconds + self._step_seconds / 2.0
        ready = {key: pool.ready(middle) for key, pool in self._pools.items()}
        shares = {} if self._holding.active else self._shares(ready)
        total = self._untaken(arriving) if not shares else Tally()
        queued = self._holding.requests
        for key, pool in self._pools.items():
            share = shares.get(key, 0.0)
            if ready[key] and (share or pool.queued > 0.0):
                total.add(pool.advance(arriving.shared(share), ready[key], self._case.load.slot_seconds))
            elif share:
                total.add(refused(arriving.shared(share)))
            queued += pool.queued
        self._save(total if self._outage(seconds) is None else Tally())
        self._metering.note(self._holding.measured(total), sum(ready.values()), queued)
        self._log.note(step, total, queued, self._pools, ready, self._serving)

    def _untaken(self, arriving: Arriving) -> Tally:
        """Return what becomes of arrivals that no pool gets."""
        return self._holding.take(arriving) if self._holding.active else refused(arriving)

    def _shares(self, ready: dict[PoolKey, int]) -> dict[PoolKey, float]:
        """Return what share of the arrivals each pool gets; empty when nobody is there to take any."""
        if self._serving is not None:
            return self._routed(self._serving) if self._serving in ready else {}
        able = {
            key: count * self._pools[key].settings.planned.speed.largest_rps for key, count in ready.items() if count
        }
        return {key: rps / sum(able.values()) for key, rps in able.items()}

    def _routed(self, serving: PoolKey) -> dict[PoolKey, float]:
        """Return the shares as the Service and the route have them, whoever is ready."""
        side = self._route.side if self._route else None
        if self._route is None or side is None or side == serving:
            return {serving: 1.0}
        return {serving: 1.0 - self._route.side_share, side: self._route.side_share}


class _Log:
    """What happened, as it happens."""

    def __init__(self, steps: int) -> None:
        self._sums: list[tuple[float, ...]] = []
        self._queued, self._cost = np.zeros(steps), np.zeros(steps)
        self._serving = np.full(steps, -1, dtype=np.int64)
        self._steps = steps
        self._pools: dict[PoolKey, tuple[Ints, Ints]] = {}

    def note(
        self,
        step: int,
        tally: Tally,
        queued: float,
        pools: dict[PoolKey, Pool],
        ready: dict[PoolKey, int],
        serving: PoolKey | None,
    ) -> None:
        answers = (tally.served, tally.degraded, tally.accuracy, tally.lost_accuracy)
        self._sums.append((tally.offered, tally.late, tally.refused, *answers))
        self._queued[step] = queued
        cost = 0.0
        for key, pool in pools.items():
            if key not in self._pools:
                self._pools[key] = (np.zeros(self._steps, dtype=np.int64), np.zeros(self._steps, dtype=np.int64))
            serve, start = self._pools[key]
            replicas = len(pool.ready_at)
            serve[step], start[step] = ready[key], replicas - ready[key]
            cost += replicas * pool.settings.replica_hourly_cost
        self._cost[step] = cost
        if serving is not None:
            self._serving[step] = list(self._pools).index(serving)

    def timeline(self, step_seconds: float) -> Timeline:
        sums = np.array(self._sums, dtype=np.float64).reshape(-1, 7).T.copy()
        offered, late, turned_away, served, degraded, accuracy, lost_accuracy = sums
        return Timeline(
            step_seconds=step_seconds,
            offered=offered,
            served=served,
            late=late,
            refused=turned_away,
            degraded=degraded,
            accuracy=accuracy,
            lost_accuracy=lost_accuracy,
            queued=self._queued,
            pools=tuple(self._pools),
            ready=np.array([serve for serve, _ in self._pools.values()]),
            starting=np.array([start for _, start in self._pools.values()]),
            hourly_cost=self._cost,
            serving=self._serving,
        )
