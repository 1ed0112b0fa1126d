"""`modelscaler explain`: from a decision on the example to the table that people read."""

import io
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

import builders
from modelscaler.api.v1alpha1 import ActivePool, Condition, ModelDeploymentStatus
from modelscaler.api.words import Binding, ConditionReason, GrantReason
from modelscaler.cli import main
from modelscaler.controller.decide import Inputs, Settings, decide
from modelscaler.controller.summaries import Entry
from modelscaler.domain import (
    Allowance,
    PolicyState,
    PoolKey,
    PoolObservation,
    RouteObservation,
    Value,
    WorkloadKey,
    Zero,
)
from modelscaler.explain import explain
from modelscaler.planner.plan import plan
from modelscaler.planner.weighing import weigh
from modelscaler.render import RenderDefaults
from modelscaler.status import ForecastHealth, settle, status_body
from modelscaler.status.candidates import candidates_status
from modelscaler.workload import parse_resource

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "01-search-ranker" / "modeldeployment.yaml"
SETTINGS = Settings(15.0, 30.0, 30.0, RenderDefaults(server_image="server"), 60.0)
HEALTHY = ForecastHealth(True, ConditionReason.LEARNED, "the learned model serves")
GPU, CPU = PoolKey("gpu", "full"), PoolKey("cpu", "int8")
ON_GPU = ModelDeploymentStatus(active=ActivePool(placement="gpu", variant="full", replicas=1, ready_replicas=1))
ACCEPTED = RouteObservation(accepted=True)


def decided(
    rps: float,
    *pools: PoolObservation,
    previous: ModelDeploymentStatus | None = None,
    seconds: float = 0.0,
    route: RouteObservation | None = None,
) -> ModelDeploymentStatus:
    """Return the status after one decision on the example, behind a gateway if it has a route; 40 % more load is forecast."""
    now = builders.NOW + timedelta(seconds=seconds)
    body = yaml.safe_load(EXAMPLE.read_text())
    if route is not None:
        body["spec"]["serving"]["gateway"] = {"parentRefs": [{"name": "edge"}]}
    resource = parse_resource(body)
    seen = builders.observation(
        Value(rps, now) if rps else Zero(now), *pools, now=now, selected=GPU if pools else None, route=route
    )
    entry = Entry(
        WorkloadKey("shop", "search-ranker"), "u", 1, 1, resource, None, previous or ModelDeploymentStatus(), False
    )
    forecast = builders.forecast(1.4 * rps, made_at=now, spread=0.1)
    return decide(Inputs(now, entry, None, None, seen, forecast, HEALTHY), SETTINGS).status


def printed(status: ModelDeploymentStatus, **metadata: str) -> str:
    """Return what `kubectl get mdep -o yaml` prints."""
    body = {"apiVersion": "modelscaler.dev/v1alpha1", "kind": "ModelDeployment", "status": status_body(status)}
    return yaml.safe_dump(body | {"metadata": {"name": "search-ranker", "namespace": "shop"} | metadata})


def test_sentence_facts_and_candidates_are_told_when_a_decision_was_made() -> None:
    told = explain("shop/search-ranker", decided(40.0))

    assert told.startswith(
        "shop/search-ranker: forecast 61 rps at 0.9 within 42 s, measured 40 rps; gpu-full carries 41.6 rps per replica"
    )
    assert "  forecast     61 requests/s within 42 s\n" in told
    assert (
        "  runner-up    cpu-int8 x 4 at 0.12 per hour, 0.04 more: it would cost 0.12 per hour instead of 0.08\n" in told
    )
    assert TABLE in told


def test_what_the_load_rises_to_is_told_when_it_does() -> None:
    level = decided(40.0)
    assert level.last_decision is not None
    risen = level.last_decision.model_copy(update={"rising_rps": "90"})

    assert "rising to" not in explain("shop/search-ranker", level)
    assert "  rising to    90 requests/s\n" in explain(
        "shop/search-ranker", level.model_copy(update={"last_decision": risen})
    )


COST = "Cost: it would cost 0.12 per hour instead of 0.08"
TABLE = f"""
  candidate   needed  replicas  rps/replica  with ladder  per hour  starts in  carries  why
  gpu-full *  2       2         41.6         84.7         0.08      12 s       yes      bound by Demand
  cpu-int8    4       4         15.7         -            0.12      10 s       yes      {COST}
"""


@pytest.mark.parametrize("two", [False, True])
def test_page_about_explaining_shows_what_is_told(two: bool) -> None:
    status = decided_for_two() if two else decided(40.0)
    told, _, conditions = explain("shop/search-ranker", status).partition("\n\n  Accepted=")

    assert told in (ROOT / "docs" / "explain.md").read_text()
    assert "Paused=False" in conditions


def decided_for_two(rps: float = 70.0) -> ModelDeploymentStatus:
    """Return the status after the load has outgrown the one GPU that serves behind a gateway."""
    return decided(rps, builders.pool(GPU, 1), previous=ON_GPU, route=ACCEPTED)


TAKEN = "bound by Demand"
CHEAPER = "MaxReplicas: alone it would answer 14.7 of 98 rps cheaper for good"
DEARER = "Cost: alone it would cost 0.21 per hour instead of 0.19"
TABLE_OF_TWO = f"""
  candidate              needed  replicas  rps/replica  with ladder  per hour  starts in    carries               why
  gpu-full + cpu-int8 *  1 + 5   1 + 5     41.6 / 15.7  -            0.19      12 s / 10 s  yes                   {TAKEN}
  gpu-full               3       2         41.6         84.7         0.08      12 s         with cheaper answers  {CHEAPER}
  cpu-int8               7       7         15.7         -            0.21      10 s         yes                   {DEARER}
"""


def test_two_pools_are_told_first_and_then_what_each_would_be_alone_when_both_are_planned() -> None:
    assert TABLE_OF_TWO in explain("shop/search-ranker", decided_for_two())


def test_runner_up_says_the_same_as_its_row_when_two_pools_are_planned() -> None:
    decision = decided_for_two().last_decision
    assert decision is not None
    second = decision.runner_up
    assert second is not None

    (row,) = [c for c in decision.candidates[1:] if (c.placement, c.variant) == (second.placement, second.variant)]

    assert (row.replicas, row.hourly_cost, row.why_not) == (second.replicas, second.hourly_cost, second.why_not)


def test_two_pools_are_told_as_wanted_and_as_needed_when_one_bridges_the_start_of_the_other() -> None:
    """Two CPUs do beside both GPUs, but one of these is not ready."""
    pools = builders.pool(GPU, 2, ready=1), builders.pool(CPU, 5)
    decision = decided(70.0, *pools, previous=decided_for_two(), seconds=30.0, route=ACCEPTED).last_decision
    assert decision is not None
    both, *_, cpu = decision.candidates

    assert both.side is not None
    assert (both.needed, both.replicas, both.side.needed, both.side.replicas) == (2, 2, 2, 5)
    assert (both.hourly_cost, both.carries) == ("0.23", "Yes")
    assert (cpu.bound_by, cpu.why_not) == (
        Binding.COST,
        "alone it would cost 0.21 per hour instead of the 0.14 that two shrink to",
    )


def test_two_pools_count_on_the_weaker_of_their_ladders_when_both_have_one() -> None:
    capacities = (
        builders.capacity(builders.CPU_FULL, 20.0),
        builders.capacity(builders.CPU_INT8, 10.0, reflex_only=True),
        builders.capacity(builders.GPU_FULL, 4.0),
        builders.capacity(builders.GPU_INT8, 1.0, reflex_only=True),
    )
    workload = builders.workload(routed=True, reflex=True, capacities=capacities)
    seen = builders.observation(1.0, builders.pool(GPU, 1), selected=GPU, route=ACCEPTED)
    arguments = (workload, seen, builders.forecast(260.0), PolicyState(active=GPU), 15.0)
    both, *alone = candidates_status(weigh(*arguments), plan(*arguments)[0])
    rates = {one.placement: (float(one.replica_rps), float(one.ladder_rps or 0.0)) for one in alone}
    speedup = rates["cpu"][1] / rates["cpu"][0]

    assert both.side is not None
    assert rates["gpu"][1] / rates["gpu"][0] > speedup > 1.5
    assert float(both.ladder_rps or 0.0) == pytest.approx(rates["gpu"][0] * speedup, rel=0.01)
    assert float(both.side.ladder_rps or 0.0) == rates["cpu"][1]


def test_candidates_are_kept_when_two_pools_stand_and_the_load_flickers() -> None:
    pools = builders.pool(GPU, 2, ready=1), builders.pool(CPU, 5)
    route = RouteObservation(accepted=True, side=CPU, side_share=0.65)
    status = decided(70.0, *pools, previous=decided_for_two(), seconds=30.0, route=route)

    assert status.last_decision is not None
    assert status.last_decision.candidates[0].side is not None
    for seconds, rps in ((45.0, 71.0), (60.0, 69.0), (75.0, 70.5)):
        later = decided(rps, *pools, previous=status, seconds=seconds, route=route)
        assert later.last_decision == status.last_decision
        assert settle(status, later, builders.NOW + timedelta(seconds=seconds), 30.0) is None


def test_constraint_is_told_when_a_candidate_cannot_carry_the_demand() -> None:
    cpu = decided(110.0, previous=None).last_decision
    assert cpu is not None

    told = {(one.placement, one.variant): one for one in cpu.candidates}
    assert told["cpu", "int8"].carries == "No"
    assert told["cpu", "int8"].bound_by == Binding.MAX_REPLICAS
    assert told["cpu", "int8"].needed > told["cpu", "int8"].replicas == 8
    assert "rps short" in str(told["cpu", "int8"].why_not)


def test_candidates_are_kept_when_the_decision_stands() -> None:
    first = decided(40.0)
    serving = builders.pool(GPU, 2)

    later = decided(40.0, serving, previous=first, seconds=15.0)
    same = decided(40.0, serving, previous=later, seconds=30.0)

    assert later.last_decision is not None
    assert same.last_decision == later.last_decision
    assert settle(later, same, builders.NOW + timedelta(seconds=30.0), 30.0) is None


def test_candidates_change_with_the_decision() -> None:
    first = decided(20.0)

    grown = decided(60.0, builders.pool(GPU, 1), previous=first, seconds=15.0).last_decision

    assert first.last_decision is not None
    assert grown is not None
    assert [c.needed for c in first.last_decision.candidates] != [c.needed for c in grown.candidates]
    assert grown.candidates[0].replicas == 2


def test_the_one_taken_comes_first_and_the_runner_up_says_the_same() -> None:
    workload, seen = builders.workload(), builders.observation(300.0)
    arguments = (workload, seen, builders.forecast(300.0), PolicyState(), 15.0)

    made, weighed = plan(*arguments)[0], weigh(*arguments)

    assert weighed[0].option.candidate.pool == made.target.pool
    assert [one.lost_by is None for one in weighed] == [True, False, False, False]
    assert made.runner_up is not None
    second = next(one for one in weighed if one.option.candidate.pool == made.runner_up.pool)
    assert second.why_not == made.why_not_runner_up
    costs = [one.option.hourly_cost for one in weighed[1:] if one.option.feasible]
    assert costs == sorted(costs)


def test_who_has_the_accelerators_is_told_when_a_candidate_may_have_none() -> None:
    outranked = Allowance("gpu", 0, 1, GrantReason.OUTRANKED)
    seen = builders.observation(300.0, allowances=(outranked,))

    weighed = weigh(builders.workload(), seen, builders.forecast(300.0), PolicyState(), 15.0)

    assert weighed[0].option.candidate.pool.placement == "cpu"
    refused = [one for one in weighed if one.option.candidate.pool.placement == "gpu"]
    assert {one.lost_by for one in refused} == {Binding.HIGHER_PRIORITY}
    assert all("higher priority elsewhere" in str(one.why_not) for one in refused)


def test_no_more_than_eight_candidates_are_told() -> None:
    placements = tuple(builders.placement(f"p{number}", 0.1 + 0.01 * number) for number in range(12))
    capacities = tuple(builders.capacity(PoolKey(placement.name, "int8")) for placement in placements)
    workload = builders.workload(placements=placements, capacities=capacities)
    arguments = (workload, builders.observation(100.0), builders.forecast(100.0), PolicyState(), 15.0)

    told = candidates_status(weigh(*arguments), plan(*arguments)[0])

    assert [one.placement for one in told] == [f"p{number}" for number in range(8)]


def test_conditions_are_told_when_there_was_no_decision_yet() -> None:
    refused = Condition(
        type="Accepted",
        status="False",
        reason="InvalidSpec",
        message="spec.scaling.maxReplicas: got 1, expected at least minReplicas",
        observed_generation=1,
        last_transition_time="2026-01-01T00:00:00Z",
    )
    told = explain("shop/ranker", ModelDeploymentStatus(conditions=[refused]))
    assert told.startswith("shop/ranker: no decision yet\n")
    assert "Accepted=False  InvalidSpec: spec.scaling.maxReplicas: got 1" in told


def test_figures_are_told_as_they_are_when_they_were_edited_by_hand() -> None:
    status = decided(300.0)
    told = explain("x", status.model_copy(update={"served_accuracy": "0.9", "degraded_share": "little"}))
    assert "0.9 accurate on average, 'little' (no number) of them by a cheaper variant" in told


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_file_is_explained_when_kubectl_printed_it(
    wrapped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(decided(40.0))
    if wrapped:
        text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(text)]})
    (tmp_path / "mdep.yaml").write_text(text)

    assert main(["explain", "-f", str(tmp_path / "mdep.yaml")]) == 0

    told = capsys.readouterr().out
    assert told.startswith("shop/search-ranker: forecast 61 rps")
    assert TABLE in told


def test_standard_input_is_explained_when_the_file_is_a_dash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    both = "---\n".join([printed(decided(40.0)), printed(ModelDeploymentStatus(), name="other")])
    monkeypatch.setattr("sys.stdin", io.StringIO(both))

    assert main(["explain", "other", "-f", "-"]) == 0

    assert capsys.readouterr().out == "shop/other: no decision yet\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["explain"], "got no name, expected that of a ModelDeployment, or --file FILE"),
        (["explain", "other", "-f"], "no ModelDeployment other, expected one, as kubectl prints it"),
    ],
)
def test_explaining_is_refused_when_nothing_can_be_found(
    given: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mdep.yaml").write_text(printed(ModelDeploymentStatus()))

    assert main([*given, *([str(tmp_path / "mdep.yaml")] if "-f" in given else [])]) == 1

    assert expected in capsys.readouterr().err


def test_every_pool_is_told_to_be_of_no_use_when_nobody_asks() -> None:
    spec = builders.workload(idling=builders.idling(60.0))
    state = PolicyState(active=builders.GPU_INT8, quiet_since=builders.NOW - timedelta(seconds=60))
    asleep = builders.observation(0.0, builders.pool(builders.GPU_INT8, 0), held=True, activator_ready=True)
    made, _ = plan(spec, asleep, None, state, 15.0)
    rows = candidates_status(weigh(spec, asleep, None, state, 15.0), made)

    taken, *others = rows
    assert (taken.variant, taken.needed, taken.replicas, taken.hourly_cost) == ("int8", 0, 0, "0")
    assert (taken.carries, taken.why_not) == ("Yes", None)
    assert len(others) == 3
    assert all(one.why_not and one.why_not.endswith("an hour and answer nobody") for one in others)
    assert {one.bound_by for one in others} == {Binding.COST}
