"""The planner walked through time against simulated Deployments: what must hold whatever happens."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders import CPU_INT8, GPU_INT8, capacity, forecast, observation, placement, pool, rules, single_pool, workload
from modelscaler.domain import PolicySettings, PolicyState, Workload
from modelscaler.planner.plan import plan
from pool_simulator import Cluster, Operator, happen

LOADS = st.sampled_from([0.0, 20.0, 60.0, 150.0, 400.0, 800.0, 1500.0])
TROUBLE = ("lose gpu", "heal gpu", "lose cpu", "heal cpu", "blind", "no service write", "no status write")
EVENTS = st.sampled_from([*[""] * 8, *TROUBLE])
WALKS = st.lists(st.tuples(LOADS, EVENTS), min_size=20, max_size=80)
WORKLOADS = st.sampled_from(
    [
        workload(),
        workload(scale_down=rules(0.0)),
        workload(scale_down=rules(30.0), max_hourly_cost=1.2, min_replicas=2),
        workload(scale_down=rules(0.0), max_replicas=4),
        workload(scale_down=rules(30.0), reflex=True),
        workload(scale_down=rules(0.0), max_replicas=4, reflex=True, policy=PolicySettings(headroom=0.2)),
    ]
)


# The load goes unseen, and up, as a switch for a saving is about to end: the ladder of what serves carries it.
@example(
    workload(scale_down=rules(0.0), max_replicas=4, reflex=True, policy=PolicySettings(headroom=0.2)),
    [*[(0.0, "")] * 16, *[(150.0, "")] * 3, (400.0, "blind")],
)
@settings(max_examples=150, deadline=None)
@given(WORKLOADS, WALKS)
def test_no_step_takes_serving_capacity_below_the_load_when_anything_happens(
    spec: Workload, walk: list[tuple[float, str]]
) -> None:
    cluster = Cluster(spec, room={"gpu": 20, "cpu": 20})
    operator = Operator(cluster)
    for load, event in walk:
        happen(cluster, event)
        made, step = operator.decide(None if event == "blind" else load, None)
        before = cluster.serving_rps()

        cluster.scale(step)
        assert cluster.serving_rps() >= min(before, load) - 1e-6, f"scaled away: {step}"
        if event != "no service write":
            cluster.select(step)
        assert cluster.serving_rps() >= min(before, load) - 1e-6, f"selected away: {step}"
        if event != "no status write":
            operator.state = step.state
        cluster.advance(operator.interval_seconds)

        assert made.target.accuracy >= spec.objective.min_accuracy
        assert spec.min_replicas <= made.target.replicas <= spec.max_replicas
        if spec.max_hourly_cost is not None:
            assert made.target.hourly_cost <= spec.max_hourly_cost + 1e-9


@settings(max_examples=60, deadline=None)
@given(WORKLOADS, LOADS, LOADS)
def test_plan_rests_when_demand_is_constant(spec: Workload, before: float, load: float) -> None:
    operator = Operator(Cluster(spec))
    for _ in range(10):
        operator.tick(before)
    settled = [operator.tick(load).target for _ in range(160)][-60:]

    assert len({(target.pool, target.replicas) for target in settled}) == 1
    assert list(operator.cluster.replicas) == [settled[-1].pool], "the other pools are gone"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.floats(0.9, 1.1), st.lists(st.floats(-0.02, 0.02), min_size=40, max_size=40))
def test_replicas_do_not_flicker_when_demand_flickers_around_what_they_carry(
    replicas: int, near: float, noise: list[float]
) -> None:
    operator = Operator(Cluster(single_pool(scale_down=rules(0.0))))
    seen = [operator.tick(replicas * 90.84 * near * (1.0 + wobble)).target.replicas for wobble in noise]

    falls = sum(later < earlier for earlier, later in pairwise(seen))
    assert falls <= 1


@settings(max_examples=120, deadline=None)
@given(WORKLOADS, st.integers(0, 8), st.floats(0.0, 3000.0), st.floats(0.0, 3000.0), st.floats(0.0, 1000.0))
def test_capacity_never_falls_when_more_is_forecast(
    spec: Workload, current: int, one: float, other: float, measured: float
) -> None:
    low, high = sorted((one, other))
    seen = observation(measured, *([pool(CPU_INT8, current)] if current else []))
    state = PolicyState(active=CPU_INT8 if current else None)

    less, _ = plan(spec, seen, forecast(low), state, 15.0)
    more, _ = plan(spec, seen, forecast(high), state, 15.0)

    if less.target.pool == more.target.pool:
        assert more.target.replicas >= less.target.replicas
    if more.target.feasible:
        assert more.target.latency_seconds <= spec.objective.latency_seconds * (1.0 + 1e-6)


@settings(max_examples=60, deadline=None)
@given(WORKLOADS, LOADS, st.integers(1, 30))
def test_capacity_never_falls_when_metrics_are_missing(spec: Workload, load: float, ticks: int) -> None:
    operator = Operator(Cluster(spec))
    for _ in range(20):
        operator.tick(load)
    before = operator.cluster.serving_rps()
    for _ in range(ticks):
        operator.tick(None)
        assert operator.cluster.serving_rps() >= before - 1e-6


def test_same_inputs_give_the_same_plan_and_stay_untouched() -> None:
    spec, seen, ahead = workload(), observation(120.0, pool(CPU_INT8, 2)), forecast(200.0, spread=0.2)
    state = PolicyState(active=CPU_INT8, recommendations=((seen.now - timedelta(seconds=60), 3),))
    peaks = ahead.peak_rps.copy()

    assert plan(spec, seen, ahead, state, 15.0) == plan(spec, seen, ahead, state, 15.0)
    assert (ahead.peak_rps == peaks).all()


def test_runner_up_serves_and_the_preferred_pool_returns_when_an_accelerator_goes_and_comes_back() -> None:
    spec = workload(
        placements=(placement("cpu", 0.4, 20.0), placement("gpu", 0.5, 60.0)),
        capacities=(capacity(CPU_INT8, 10.0), capacity(GPU_INT8, 2.0)),
        scale_down=rules(60.0),
    )
    cluster = Cluster(spec, room={"gpu": 4})
    operator = Operator(cluster)
    pools = []
    for tick in range(240):
        if tick == 20:
            cluster.lose("gpu")
        if tick == 100:
            cluster.room["gpu"] = 4
        operator.tick(300.0)
        pools.append(cluster.selected)
        if tick not in (20, 21, 22, 23, 24):
            assert tick < 6 or cluster.serving_rps() >= 300.0, f"tick {tick}: {cluster}"

    assert pools[19] == GPU_INT8
    assert pools[30] == pools[99] == CPU_INT8
    assert pools[-1] == GPU_INT8
    assert sum(a != b for a, b in pairwise(pools)) == 2
