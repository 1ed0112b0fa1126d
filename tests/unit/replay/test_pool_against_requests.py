"""A simulated pool against a simulation of every single request, and against the server's own scheduler."""

from decimal import Decimal

import numpy as np
import pytest

from modelscaler.domain import Floats, PoolKey
from modelscaler.replay.batching import Speed
from modelscaler.replay.pool import Arriving, Pool, PoolSettings, Rung, Tally
from modelserver.engine.ladder import Ladder
from modelserver_fakes import loaded_variant
from request_simulator import Phase, arrivals, sojourns
from serving_simulator import Simulation

SLOT_SECONDS = 0.25
QUEUE_SECONDS = 5.0
SHAPES = {
    "fixed time a fifth of the time per request": (0.2, 16),
    "as much": (1.0, 8),
    "three times, small batches": (3.0, 4),
    "three times, large batches": (3.0, 16),
    "ten times": (10.0, 16),
}


def speed(shape: str, single_seconds: float = 0.02) -> Speed:
    """Return a replica that takes `single_seconds` for a batch of one."""
    ratio, most = SHAPES[shape]
    per_request = single_seconds / (1.0 + ratio)
    return Speed(per_request, ratio * per_request, float(most))


def pooled(
    planned: Speed,
    at: Floats,
    replicas: int,
    target_seconds: float,
    fast: Speed | None = None,
    floor: float | None = None,
) -> Tally:
    """Return what becomes of the arrivals in a simulated pool."""
    quick = Rung(fast, 0.88) if fast else None
    settings = PoolSettings(
        PoolKey("cpu", "full"), Rung(planned, 0.9), quick, floor, target_seconds, QUEUE_SECONDS, 0.1, 20.0
    )
    slots = np.bincount((at / SLOT_SECONDS).astype(np.int64))
    pool, tally = Pool(settings), Tally()
    for first in range(0, len(slots), 20):
        tally.add(pool.advance(Arriving.of(slots[first : first + 20]), replicas, SLOT_SECONDS))
    return tally


def late_shares(
    planned: Speed, phases: list[Phase], replicas: int, *target_seconds: float
) -> list[tuple[float, float]]:
    """Return the share of violating requests for each objective: of single ones, of the pool."""
    at = arrivals(phases, 1)
    stays = sojourns(planned, at, replicas, QUEUE_SECONDS)
    shares = []
    for target in target_seconds:
        tally = pooled(planned, at, replicas, target)
        shares.append((float((stays > target).mean()), (tally.late + tally.refused) / tally.offered))
    return shares


@pytest.mark.parametrize("load", [0.6, 0.8, 0.9, 0.95, 1.05])
@pytest.mark.parametrize("shape", SHAPES)
def test_late_share_is_that_of_single_requests_when_several_replicas_share_the_load(shape: str, load: float) -> None:
    replica = speed(shape)

    for true, simulated in late_shares(replica, [Phase(30.0, load * replica.largest_rps * 5)], 5, 0.1, 0.2):
        assert simulated == pytest.approx(true, rel=0.2, abs=0.01)


@pytest.mark.parametrize("load", [0.8, 0.95])
@pytest.mark.parametrize("shape", [shape for shape, (ratio, _) in SHAPES.items() if ratio >= 1.0])
def test_late_share_is_near_that_of_single_requests_when_one_replica_carries_the_load(shape: str, load: float) -> None:
    replica = speed(shape)

    [(true, simulated)] = late_shares(replica, [Phase(120.0, load * replica.largest_rps)], 1, 0.1)

    assert simulated == pytest.approx(true, rel=0.5, abs=0.006)


@pytest.mark.parametrize("load", [0.6, 0.8, 0.95])
def test_late_share_is_never_below_that_of_single_requests_when_a_lone_replica_has_little_fixed_time(
    load: float,
) -> None:
    replica = speed("fixed time a fifth of the time per request")

    [(true, simulated)] = late_shares(replica, [Phase(120.0, load * replica.largest_rps)], 1, 0.1)

    assert true <= simulated < true + 0.2


@pytest.mark.parametrize("single_seconds", [0.02, 0.08])
@pytest.mark.parametrize("shape", SHAPES)
def test_late_share_is_that_of_single_requests_when_a_burst_doubles_the_load(shape: str, single_seconds: float) -> None:
    replica = speed(shape, single_seconds)
    rps = 0.6 * replica.largest_rps * 4
    phases = [Phase(15.0, rps), Phase(10.0, 2.0 * rps), Phase(25.0, rps)]

    [(true, simulated)] = late_shares(replica, phases, 4, 10.0 * single_seconds)

    assert true > 0.05
    assert simulated == pytest.approx(true, rel=0.1)


@pytest.mark.parametrize("load", [0.5, 0.8, 0.95])
def test_requests_in_the_system_are_those_of_single_requests_when_the_load_is_steady(load: float) -> None:
    replica = speed("three times, large batches")
    at = arrivals([Phase(40.0, load * replica.largest_rps * 4)], 2)

    tally = pooled(replica, at, 4, 1.0)

    assert tally.waiting_seconds == pytest.approx(sojourns(replica, at, 4, QUEUE_SECONDS).sum(), rel=0.15)


@pytest.mark.parametrize("load", [0.6, 0.9, 1.2, 1.8])
def test_fast_answers_are_about_those_of_the_server_when_the_reflex_acts(load: float) -> None:
    planned, fast = speed("three times, large batches"), speed("three times, large batches", 0.008)
    at = arrivals([Phase(10.0, load * planned.largest_rps * 2)], 3)

    late, degraded = _served_by_the_server(planned, fast, at, 2, 0.2, "0.5")
    tally = pooled(planned, at, 2, 0.2, fast)

    assert (tally.late + tally.refused) / tally.offered == pytest.approx(late, abs=0.005)
    assert tally.degraded / tally.served == pytest.approx(degraded, rel=0.25, abs=0.05)


def test_a_long_burst_is_late_as_the_servers_is_when_the_budget_runs_out() -> None:
    planned, fast = speed("as much", 0.08), speed("as much", 0.032)
    at = arrivals([Phase(30.0, 0.5 * planned.largest_rps), Phase(60.0, 1.6 * planned.largest_rps)], 6)

    late, degraded = _served_by_the_server(planned, fast, at, 1, 0.8, "0.89")
    tally = pooled(planned, at, 1, 0.8, fast, 0.89)

    assert late > 0.1
    assert (tally.late + tally.refused) / tally.offered == pytest.approx(late, rel=0.3)
    assert tally.degraded / tally.offered == pytest.approx(degraded, rel=0.1)


def test_what_a_replica_has_saved_is_lost_when_it_goes() -> None:
    fast = Rung(speed("as much", 0.008), 0.88)
    settings = PoolSettings(
        PoolKey("cpu", "full"), Rung(speed("as much"), 0.9), fast, 0.89, 0.2, QUEUE_SECONDS, 0.1, 20.0
    )
    pool = Pool(settings)
    pool.advance(Arriving.of(np.full(20, 20)), 4, SLOT_SECONDS)
    before = pool.saved

    pool.advance(Arriving.of(np.zeros(20, dtype=np.int64)), 1, SLOT_SECONDS)

    assert before == pytest.approx(400 * 0.01, rel=0.02)
    assert pool.saved == pytest.approx(before / 4, rel=0.02)


def test_accuracy_stays_at_the_floor_when_the_budget_runs_out() -> None:
    planned, fast = speed("as much"), speed("as much", 0.008)
    at = arrivals([Phase(60.0, 1.6 * planned.largest_rps)], 4)

    tally = pooled(planned, at, 1, 0.2, fast, floor=0.895)

    assert 0.895 - 1e-9 <= tally.accuracy / tally.served < 0.896
    assert (tally.late + tally.refused) / tally.offered > 0.2


@pytest.mark.parametrize("load", [0.3, 0.9, 1.5])
def test_every_request_is_accounted_for_when_time_is_up(load: float) -> None:
    replica = speed("ten times")
    settings = PoolSettings(PoolKey("cpu", "full"), Rung(replica, 0.9), None, None, 0.1, QUEUE_SECONDS, 0.1, 20.0)
    pool, tally = Pool(settings), Tally()
    for count in np.random.default_rng(5).poisson(load * replica.largest_rps * SLOT_SECONDS, (20, 20)):
        tally.add(pool.advance(Arriving.of(count), 1, SLOT_SECONDS))

    assert tally.served + tally.refused + pool.queued == pytest.approx(tally.offered)
    assert pool.queued <= QUEUE_SECONDS * replica.largest_rps + 1e-6


def _served_by_the_server(
    planned: Speed, fast: Speed, at: Floats, replicas: int, target_seconds: float, floor: str
) -> tuple[float, float]:
    """Return the shares of late and of degraded answers when the server's own scheduler decides."""
    ladder = Ladder(("full", "fast"), Decimal(floor), round(1000 * target_seconds))
    variants = [
        loaded_variant(name, accuracy, of.per_request_seconds, of.overhead_seconds, int(of.most))
        for name, accuracy, of in (("full", 0.9, planned), ("fast", 0.88, fast))
    ]
    late = degraded = 0
    for replica in range(replicas):
        simulation = Simulation(ladder, variants, timeout_seconds=None, noise=0.0, max_queue_rows=8192)
        outcome = simulation.serve(at[replica::replicas].tolist())
        late += len(outcome.arrivals) - sum(
            when - outcome.arrivals[which] <= target_seconds for which, (when, _) in outcome.answered.items()
        )
        degraded += sum(variant == "fast" for _, variant in outcome.answered.values())
    return late / len(at), degraded / len(at)
