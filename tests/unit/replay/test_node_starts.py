"""Nodes that come when replicas need them: who waits, for how long, and how they are asked for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modelscaler_benchmarks.replay
from modelscaler.backtest.trace import Trace
from modelscaler.cli import main
from modelscaler.domain import PolicySettings, PoolKey, Workload
from modelscaler.replay.case import Case, Cluster, usual_pool
from modelscaler.replay.incidents import IncidentError, StockOut
from modelscaler.replay.load import Arrivals, Part, load_of
from modelscaler.replay.nodes import NodePool, Nodes, node_pool
from modelscaler.replay.outcome import outcome_of
from modelscaler.replay.policies.oracle import Oracle
from modelscaler.replay.policies.ours import Modelscaler
from modelscaler.replay.run import replay
from modelscaler.replay.sight import Policy, Sight, Targets
from modelscaler.replay.standard import FAST, POOL, standard_workload
from modelscaler.replay.timeline import Timeline
from modelscaler.workload.files import read_workload

HOUR = 1.0 / 24.0
POD_SECONDS = 60.0
NODE_SECONDS = 120.0
PAIRS = NodePool("cpu", NODE_SECONDS, 2)
TWO_PLACEMENTS = Path(modelscaler_benchmarks.replay.__file__).with_name("two_placements.yaml")


def case(*nodes: NodePool, stock_outs: tuple[StockOut, ...] = (), start_spread: float = 0.0) -> Case:
    trace = Trace("shop", 3600.0, datetime(2026, 3, 2, tzinfo=UTC), np.full(48, 50.0))
    cluster = Cluster(start_spread=start_spread, stock_outs=stock_outs, nodes=nodes)
    load = load_of(trace, Part(0.0, HOUR), Arrivals())
    return Case(standard_workload(POD_SECONDS, with_rung=True), POOL, load, cluster)


@dataclass(frozen=True)
class Planned:
    """Asks for so many of each pool from a time on: the last of `steps` that has come."""

    steps: Mapping[float, Mapping[PoolKey, int]]
    seen: list[Sight] = field(default_factory=list)
    name: str = "planned"
    settings: Mapping[str, float | str] = field(default_factory=dict)

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        return _Planned(self, pool)


@dataclass(frozen=True)
class _Planned:
    kind: Planned
    pool: PoolKey
    interval_seconds: float = 15.0

    def decide(self, sight: Sight) -> Targets:
        self.kind.seen.append(sight)
        return Targets(self.kind.steps[max(at for at in self.kind.steps if at <= sight.seconds)], self.pool)


def sizes(steps: Mapping[float, int]) -> Planned:
    return Planned({at: {POOL: replicas} for at, replicas in steps.items()})


def serve_from(run: Timeline, replicas: int, after_seconds: float = 0.0) -> float:
    ready = run.ready.sum(axis=0)
    return float(run.seconds[np.flatnonzero((ready >= replicas) & (run.seconds >= after_seconds))[0]])


def same(one: Timeline, other: Timeline) -> bool:
    return all(np.array_equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))


def test_replica_waits_for_node_and_start_when_it_is_beyond_what_nodes_hold() -> None:
    run = replay(case(PAIRS), sizes({0.0: 3, 600.0: 5}), first_replicas=3)

    assert serve_from(run, 4) == 600.0 + POD_SECONDS, "the first replicas' second node has room for one more"
    assert serve_from(run, 5) == 600.0 + NODE_SECONDS + POD_SECONDS


def test_nodes_of_the_first_replicas_are_there_when_the_replay_begins() -> None:
    run = replay(case(PAIRS), sizes({0.0: 4}), first_replicas=3)

    assert serve_from(run, 4) == POD_SECONDS


def test_second_replica_waits_no_longer_when_its_node_is_on_its_way() -> None:
    run = replay(case(PAIRS), sizes({0.0: 2, 600.0: 3, 660.0: 4}), first_replicas=2)

    assert serve_from(run, 3) == serve_from(run, 4) == 600.0 + NODE_SECONDS + POD_SECONDS


def test_nodes_come_together_when_they_are_asked_for_together() -> None:
    run = replay(case(PAIRS), sizes({0.0: 2, 600.0: 9}), first_replicas=2)

    assert serve_from(run, 3) == serve_from(run, 9) == 600.0 + NODE_SECONDS + POD_SECONDS


@pytest.mark.parametrize(("away_seconds", "waits_seconds"), [(585.0, 0.0), (615.0, NODE_SECONDS)])
def test_later_replica_waits_again_only_when_the_node_was_empty_for_its_idle_time(
    away_seconds: float, waits_seconds: float
) -> None:
    back = 600.0 + away_seconds
    run = replay(case(PAIRS), sizes({0.0: 3, 600.0: 2, back: 3}), first_replicas=3)

    assert serve_from(run, 3, after_seconds=back) == back + waits_seconds + POD_SECONDS


def test_node_stays_for_its_idle_time_when_nobody_needs_it_once_it_has_come() -> None:
    run = replay(case(PAIRS), sizes({0.0: 2, 600.0: 3, 630.0: 2, 1200.0: 3}), first_replicas=2)

    assert run.ready.sum(axis=0)[: round(1200.0 / run.step_seconds)].max() == 2
    assert serve_from(run, 3) == 1200.0 + POD_SECONDS


def test_waiting_replica_takes_the_room_that_another_pool_leaves() -> None:
    swap = Planned({0.0: {POOL: 2}, 600.0: {POOL: 2, FAST: 1}, 630.0: {POOL: 1, FAST: 1}})

    run = replay(case(PAIRS), swap, first_replicas=2)

    started = run.seconds[np.flatnonzero(run.ready[run.pools.index(FAST)])[0]]
    assert started == pytest.approx(630.0 + POD_SECONDS, abs=run.step_seconds)


def test_policies_see_a_replica_without_a_node_as_unschedulable() -> None:
    policy = sizes({0.0: 2, 600.0: 5})
    replay(case(PAIRS), policy, first_replicas=2)
    seen = {sight.seconds: sight.pool(POOL) for sight in policy.seen}

    assert (seen[615.0].unschedulable, seen[615.0].starting) == (3, 3)
    assert (seen[735.0].unschedulable, seen[735.0].starting) == (0, 3)


def test_starts_are_seen_to_take_as_long_as_they_did_with_the_wait_for_a_node() -> None:
    policy = sizes({0.0: 2, 600.0: 4, 1200.0: 5})
    replay(case(PAIRS), policy, first_replicas=2)
    seen = {sight.seconds: sight.starts for sight in policy.seen}
    assert seen[600.0] == seen[615.0] == {}, "what is not ready yet has not taken any time"
    assert seen[1200.0] == {POOL: NODE_SECONDS + POD_SECONDS}

    replay(case(), alone := sizes({0.0: 2, 600.0: 4}), first_replicas=2)
    assert not any(sight.starts for sight in alone.seen), "without nodes its own start is all there is"


def test_each_replica_takes_its_own_time_when_more_are_added_before_the_last_are_ready() -> None:
    ramp = {0.0: 2} | {600.0 + 150.0 * step: 3 + step for step in range(10)}
    policy = sizes(ramp)
    replay(case(replace(PAIRS, replicas_per_node=1)), policy, first_replicas=2)
    longest = NODE_SECONDS + POD_SECONDS
    assert {round(took) for sight in policy.seen for took in sight.starts.values()} == {round(longest)}
    assert max(sight.pool(POOL).unready_seconds for sight in policy.seen) <= longest


def test_replica_that_was_withdrawn_before_it_was_ready_took_no_time() -> None:
    policy = sizes({0.0: 2, 600.0: 4, 615.0: 2})
    replay(case(PAIRS), policy, first_replicas=2)
    assert not any(sight.starts for sight in policy.seen)


def test_start_of_a_pool_that_is_gone_is_remembered() -> None:
    both = Planned({0.0: {POOL: 2, FAST: 1}, 900.0: {POOL: 2}})
    replay(case(PAIRS), both, first_replicas=2)
    assert {FAST} == set(both.seen[-1].starts)


def test_node_is_asked_for_once_the_placement_is_in_stock_again() -> None:
    out = StockOut("cpu", 300.0, 1200.0)
    run = replay(case(PAIRS, stock_outs=(out,)), sizes({0.0: 3, 600.0: 5}), first_replicas=3)

    assert serve_from(run, 4) == 1200.0 + POD_SECONDS, "none starts meanwhile, also where there is room"
    assert serve_from(run, 5) == 1200.0 + NODE_SECONDS + POD_SECONDS


def test_replay_is_as_without_nodes_when_they_have_room_for_all() -> None:
    """To the bit, random starts included."""
    policy = sizes({0.0: 2, 300.0: 6, 600.0: 3, 900.0: 8})

    plain, roomy = (
        replay(case(*nodes, start_spread=0.1), policy, first_replicas=2)
        for nodes in ((), (NodePool("cpu", NODE_SECONDS, 100),))
    )

    assert same(plain, roomy)


def test_replay_is_as_without_nodes_when_they_are_of_another_placement() -> None:
    policy = sizes({0.0: 2, 300.0: 6})

    assert same(*(replay(case(*nodes), policy, 2) for nodes in ((), (NodePool("gpu", NODE_SECONDS, 1),))))


def test_clairvoyant_asks_as_much_earlier_as_a_node_takes() -> None:
    steps = np.repeat([50.0, 50.0, 400.0, 400.0], 15)
    load = load_of(Trace("step", 60.0, datetime(2026, 3, 2, tzinfo=UTC), steps), Part(0.0, HOUR), Arrivals())
    single = NodePool("cpu", NODE_SECONDS, 1)
    told = Case(standard_workload(POD_SECONDS, with_rung=False), POOL, load, Cluster(start_spread=0.0, nodes=(single,)))

    late, early = (
        outcome_of(replay(told, Oracle(load, 0.0, node_seconds), first_replicas=2))
        for node_seconds in (0.0, told.cluster.node_start_seconds("cpu"))
    )

    assert late.violating_share > 0.01
    assert early.violating_share < 1e-3


def test_our_planner_serves_from_another_placement_while_a_node_of_the_usual_one_starts() -> None:
    workload = read_workload(TWO_PLACEMENTS, None)
    rps = np.repeat([300.0, 1500.0], 60)
    load = load_of(Trace("step", 60.0, datetime(2026, 3, 2, tzinfo=UTC), rps), Part(0.0, 2.0 * HOUR), Arrivals())
    slow = Cluster(nodes=(NodePool("gpu", 1200.0, 4), NodePool("cpu", 60.0, 8)))

    run = replay(
        Case(workload, usual_pool(workload), load, slow),
        Modelscaler(None, load.start, PolicySettings()),
        first_replicas=2,
    )

    assert {pool.placement for pool in run.pools} == {"gpu", "cpu"}
    later = slice(round(4200.0 / run.step_seconds), None)
    assert run.violating[later].sum() < 0.01 * run.offered[later].sum()


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(1, 60)), max_size=40), st.integers(1, 5))
def test_there_is_room_for_all_that_are_placed_whatever_is_asked_for(
    steps: list[tuple[int, bool, int]], each: int
) -> None:
    nodes, placed, seconds = Nodes(NodePool("cpu", 40.0, each, idle_seconds=60.0)), 0, 0.0
    for replicas, obtainable, later in steps:
        placed = min(placed, replicas)
        placed += min(replicas - placed, nodes.room(placed, seconds))
        nodes.adapt(replicas, seconds, obtainable)
        assert nodes.room(placed, seconds) >= 0
        seconds += 5.0 * later


def test_nodes_are_read_as_they_are_written() -> None:
    assert node_pool("gpu:180:4") == NodePool("gpu", 180.0, 4)


@pytest.mark.parametrize(
    "text", ["gpu", "gpu:180", ":180:4", "gpu:0:4", "gpu:3601:4", "gpu:3m:4", "gpu:180:0", "gpu:180:1.5", "gpu:180:4:1"]
)
def test_nodes_are_refused_when_they_are_written_wrongly(text: str) -> None:
    with pytest.raises(IncidentError, match=f"got '{text}', expected PLACEMENT:SECONDS:REPLICAS_PER_NODE"):
        node_pool(text)


TEN_MINUTES = "\n".join(["timestamp,requests_per_second", *(f"{600 * step},80" for step in range(3 * 144))])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["gpu:180:4"], "node-start: got placement 'gpu', expected one of cpu"),
        (["cpu:180:4", "cpu:60:4"], "node-start: got placement 'cpu' again, expected each once at most"),
        (["cpu:180:4", "--tune"], "--node-start with --tune: got nodes of cpu"),
    ],
)
def test_nodes_are_refused_when_they_would_change_nothing(
    given: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "steady.csv").write_text(TEN_MINUTES)
    options = [part for each in given for part in ((each,) if each.startswith("--") else ("--node-start", each))]

    assert main(["replay", str(tmp_path / "steady.csv"), "--days", "0.1", *options]) == 1

    assert expected in capsys.readouterr().err


def test_usage_is_refused_when_nodes_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["replay", "load.csv", "--node-start", "cpu:soon:4"])

    assert "argument --node-start: got 'cpu:soon:4', expected PLACEMENT:SECONDS" in capsys.readouterr().err


def test_report_says_how_long_nodes_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "steady.csv").write_text(TEN_MINUTES)
    usual = ["--days", "0.1", "--seeds", "1", "--policies", "oracle", "--most-settings", "1", "--no-retuning"]
    outputs = ["--processes", "1", "--json", str(tmp_path / "r.json")]

    assert main(["replay", str(tmp_path / "steady.csv"), *usual, *outputs, "--node-start", "cpu:180:4"]) == 0

    words = "nodes of cpu: 180 s to start, replicas on each: 4"
    assert f"; {words}. Cost" in capsys.readouterr().out
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["settings"]["node_start"] == [words]
    (pool,) = document["comparisons"][0]["nodePools"]
    assert pool == {"placement": "cpu", "start_seconds": 180.0, "replicas_per_node": 4, "idle_seconds": 600.0}
