"""Whether no replica is kept: only where it is known that nobody asks, nor is expected to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import (
    CPU_FULL,
    CPU_INT8,
    GPU_INT8,
    NOW,
    capacity,
    forecast,
    idling,
    observation,
    placement,
    pool,
    reading,
    rules,
    single_pool,
    workload,
)
from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import (
    Absent,
    AtLeast,
    Observation,
    PolicySettings,
    PolicyState,
    QuantileForecast,
    RouteObservation,
    Schedule,
    Side,
    SourceError,
    Stale,
    Switch,
    Value,
    VariantOption,
    Workload,
)
from modelscaler.planner.idling import quiet_since, rests
from modelscaler.planner.memory import recalled
from modelscaler.planner.plan import plan
from modelscaler.planner.weighing import weigh
from planner_cases import CASES, Situation, routed_situation_of, situation_of

LEAD_SECONDS = 30.0
START_SECONDS = 20.0
MINUTE = timedelta(seconds=60)
SPEC = single_pool(idling=idling(300.0))
QUIET = PolicyState(active=CPU_INT8, quiet_since=NOW - 5 * MINUTE)


def seen(offered: Any = 0.0, **overrides: Any) -> Observation:
    """Return what is seen of one ready replica beside an activator."""
    fields: dict[str, Any] = {"selected": CPU_INT8, "activator_ready": True}
    return observation(offered, overrides.pop("pool", pool()), **(fields | overrides))


def is_idle(
    spec: Workload = SPEC,
    looked: Observation | None = None,
    ahead: QuantileForecast | None = None,
    state: PolicyState = QUIET,
) -> bool:
    return plan(spec, looked or seen(), ahead, state, LEAD_SECONDS)[0].idle


def since(
    looked: Observation | None = None, state: PolicyState = QUIET, ahead: QuantileForecast | None = None
) -> datetime | None:
    return plan(SPEC, looked or seen(), ahead, state, LEAD_SECONDS)[1].quiet_since


def test_no_replica_is_planned_when_nobody_has_asked_for_long_enough() -> None:
    made, state = plan(SPEC, seen(), None, QUIET, LEAD_SECONDS)

    assert (made.target.pool, made.target.replicas, made.hourly_cost) == (CPU_INT8, 0, 0.0)
    assert (made.reason, made.binding, made.target.feasible) == (DecisionReason.IDLE, Binding.DEMAND, True)
    assert made.message == (
        "nobody has asked for 300 s, nor is expected to within 50 s: 0 replicas of cpu-int8; "
        "who comes is held until one is ready, which takes 20 s"
    )
    assert made.runner_up is not None
    assert (made.runner_up.pool, made.runner_up.replicas) == (CPU_INT8, 1)
    assert made.why_not_runner_up == "it would cost 0.1 an hour and answer nobody"
    assert state.quiet_since == QUIET.quiet_since


ASLEEP = seen(pool=pool(CPU_INT8, 0), selected=None, held=True)
AWAKE = {
    "somebody asks": seen(0.01),
    "the load is absent": seen(None),
    "the load is stale": seen(Stale(90.0)),
    "the source failed": seen(SourceError("timeout")),
    "some replicas are not seen": seen(AtLeast(0.0, 1)),
    "a request waits": seen(queued=Value(1.0, NOW)),
    "the queue is unknown": seen(queued=Absent()),
    "at least nothing waits": seen(queued=AtLeast(0.0, 1)),
}


@pytest.mark.parametrize("looked", AWAKE.values(), ids=AWAKE)
def test_replicas_stay_and_the_quiet_is_over_when_it_is_not_known_that_nobody_asks(looked: Observation) -> None:
    assert not is_idle(looked=looked)
    assert since(looked) is None


@pytest.mark.parametrize("looked", AWAKE.values(), ids=AWAKE)
def test_a_replica_is_planned_when_it_is_not_known_any_more_that_nobody_asks(looked: Observation) -> None:
    asleep = replace(ASLEEP, offered=looked.offered, queued=looked.queued)
    assert is_idle(looked=ASLEEP)
    missed = replace(QUIET, missing_ticks=3)
    assert plan(SPEC, asleep, None, missed, LEAD_SECONDS)[0].target.replicas >= 1


@pytest.mark.parametrize("offered", [Absent(), Stale(90.0), SourceError("timeout")], ids=["absent", "stale", "failed"])
def test_sleep_goes_on_for_three_ticks_without_metrics_and_does_not_begin_in_them(offered: Any) -> None:
    asleep, awake = replace(ASLEEP, offered=offered, queued=offered), seen(offered, queued=offered)
    found = []
    state = QUIET
    for _ in range(5):
        made, state = plan(SPEC, asleep, None, state, LEAD_SECONDS)
        found.append(made.idle)
    assert found == [True, True, True, False, False]
    assert not is_idle(looked=awake)


@pytest.mark.parametrize(
    "looked",
    [
        seen(activator_ready=False),
        replace(ASLEEP, activator_ready=False),
        seen(pool=pool(CPU_INT8, 1, ready=0)),
    ],
    ids=["the activator is not ready", "the activator is lost", "the pool does not serve yet"],
)
def test_replicas_stay_but_the_quiet_goes_on_when_only_somebody_to_take_requests_is_missing(
    looked: Observation,
) -> None:
    assert not is_idle(looked=looked)
    assert since(looked) == QUIET.quiet_since


@pytest.mark.parametrize("there", [pool(CPU_INT8, 0), pool(CPU_INT8, 1, ready=0)], ids=["asleep", "on its way up"])
def test_nothing_need_be_ready_when_the_activator_has_the_requests(there: Any) -> None:
    assert is_idle(looked=replace(ASLEEP, pools=(there,)))


def test_sleep_goes_on_when_the_service_was_lost_meanwhile() -> None:
    assert is_idle(looked=seen(pool=pool(CPU_INT8, 0), selected=None))


@pytest.mark.parametrize(
    ("spec", "state"),
    [
        (single_pool(), QUIET),
        (single_pool(idling=idling(301.0)), QUIET),
        (replace(SPEC, scale_down=rules(select="Disabled")), QUIET),
        (SPEC, replace(QUIET, quiet_since=None)),
        (workload(idling=idling(300.0)), replace(QUIET, switch=Switch(GPU_INT8, NOW))),
        (workload(idling=idling(300.0), capacities=(capacity(GPU_INT8, 2.0),)), QUIET),
    ],
    ids=[
        "zero is not asked for",
        "not for long enough",
        "scaling down is disabled",
        "until now somebody asked",
        "another pool is on its way",
        "the pool has left the spec",
    ],
)
def test_replicas_stay_when(spec: Workload, state: PolicyState) -> None:
    assert not is_idle(spec, state=state)


SHARED = replace(QUIET, side=Side(GPU_INT8, NOW))


@pytest.mark.parametrize(
    ("beside", "share", "idle"),
    [(pool(GPU_INT8, 1), 0.0, False), (pool(GPU_INT8, 0), 0.1, False), (pool(GPU_INT8, 0), 0.0, True)],
    ids=["it runs", "it gets requests", "it would only be started in time"],
)
def test_replicas_stay_when_another_pool_is_beside(beside: Any, share: float, idle: bool) -> None:
    route = RouteObservation(True, GPU_INT8 if share else None, share)
    looked = replace(seen(), pools=(pool(), beside), route=route)
    assert is_idle(workload(idling=idling(300.0), routed=True), looked, state=SHARED) is idle


def test_the_first_pool_is_started_when_nobody_has_asked_since_before_there_was_one() -> None:
    made, _ = plan(SPEC, replace(ASLEEP, pools=()), None, replace(QUIET, active=None), LEAD_SECONDS)
    assert (made.reason, made.target.replicas) == (DecisionReason.FIRST_PLAN, 1)


def test_quiet_begins_when_nobody_asks_for_the_first_time_and_is_over_when_somebody_does() -> None:
    restless = replace(QUIET, quiet_since=None)
    assert since(state=restless) == NOW
    assert since(seen(0.1)) is None
    assert since(state=replace(QUIET, quiet_since=NOW - MINUTE)) == NOW - MINUTE


def test_no_quiet_is_noted_when_zero_is_not_asked_for() -> None:
    assert plan(single_pool(), seen(), None, PolicyState(active=CPU_INT8), LEAD_SECONDS)[1].quiet_since is None


def test_quiet_began_now_at_the_latest_when_the_clock_was_set_back() -> None:
    ahead = replace(QUIET, quiet_since=NOW + 60 * MINUTE)
    assert not is_idle(state=ahead)
    assert since(state=ahead) == NOW


# --- what is expected


def coming(after_seconds: float, rps: float, **overrides: Any) -> QuantileForecast:
    """Return a forecast of nobody for a while, and of a load after that."""
    quiet = round(after_seconds / 15.0)
    return forecast([0.0] * quiet + [rps] * (240 - quiet), **overrides)


@pytest.mark.parametrize(
    ("rps", "usual_rps", "idle"),
    [(0.9 / 15.0, 0.0, True), (1.0 / 15.0, 0.0, False), (0.9, 100.0, True), (1.0, 100.0, False), (0.5, 1.0, False)],
    ids=["less than one request a step", "one a step", "less than a hundredth", "a hundredth", "half of the usual"],
)
def test_a_forecast_is_of_nobody_when_it_is_of_less_than(rps: float, usual_rps: float, idle: bool) -> None:
    ahead = forecast(rps, usual_rps=usual_rps)
    assert is_idle(ahead=ahead) is idle
    assert (since(ahead=ahead) is not None) is idle


@pytest.mark.parametrize(("after_seconds", "idle"), [(60.0, True), (45.0, False)])
def test_replicas_stay_when_somebody_is_expected_before_one_could_be_ready_again(
    after_seconds: float, idle: bool
) -> None:
    assert START_SECONDS + LEAD_SECONDS == 50.0
    assert is_idle(ahead=coming(after_seconds, 10.0)) is idle


def test_an_old_forecast_speaks_of_later_than_when_it_was_made() -> None:
    assert is_idle(ahead=coming(60.0, 10.0))
    assert not is_idle(ahead=coming(60.0, 10.0, made_at=NOW - MINUTE / 3))


def test_a_measured_start_counts_when_it_is_longer_than_the_stated_one() -> None:
    slow = seen(remembered_starts=((CPU_INT8, 200.0),))
    assert is_idle(looked=slow, ahead=coming(240.0, 10.0))
    assert not is_idle(looked=slow, ahead=coming(225.0, 10.0))


def test_another_variant_s_start_counts_when_the_serving_one_was_never_seen_to_start() -> None:
    assert not is_idle(looked=seen(remembered_starts=((CPU_FULL, 200.0),)), ahead=coming(225.0, 10.0))


def test_the_slowest_placement_counts_when_it_may_be_needed() -> None:
    """Else nobody would ask for a GPU in time for a load that the CPUs do not carry."""
    spec = workload(idling=idling(300.0), placements=(placement("cpu", 0.1, 20.0), placement("gpu", 0.5, 180.0)))
    assert is_idle(spec, ahead=coming(210.0, 10.0))
    assert not is_idle(spec, ahead=coming(195.0, 10.0))


def test_the_quantile_of_the_spec_is_what_is_expected() -> None:
    ahead = forecast(0.06, spread=0.5)
    assert is_idle(replace(SPEC, forecast=replace(SPEC.forecast, quantile=0.5)), ahead=ahead)
    assert not is_idle(SPEC, ahead=ahead), "0.95"


@pytest.mark.parametrize("found", [PolicySettings(quantile=0.5), PolicySettings(forecaster="Reactive")])
def test_what_self_tuning_finds_changes_nothing(found: PolicySettings) -> None:
    tuned = replace(SPEC, policy=found)
    assert not is_idle(tuned, ahead=forecast(0.06, spread=0.5))
    assert is_idle(tuned, ahead=forecast(0.01))


def test_somebody_who_waits_wakes_also_while_metrics_are_missing() -> None:
    gap = replace(ASLEEP, offered=Absent(), queued=Value(9.0, NOW))
    assert not is_idle(looked=gap)


def test_replicas_stay_when_a_start_takes_longer_than_a_request_is_held() -> None:
    assert is_idle(replace(SPEC, idling=idling(hold_seconds=START_SECONDS)))
    short = replace(SPEC, idling=idling(hold_seconds=START_SECONDS - 1.0))
    made, _ = plan(short, seen(), None, QUIET, LEAD_SECONDS)
    assert not made.idle
    assert "one is kept, since a start takes longer than scaleToZero.holdSeconds" in made.message


def test_what_keeps_a_replica_is_said() -> None:
    early = replace(QUIET, quiet_since=NOW)
    assert "one is kept until nobody has asked" in plan(SPEC, seen(), None, early, LEAD_SECONDS)[0].message
    lost = seen(activator_ready=False)
    assert "since the activator is not ready" in plan(SPEC, lost, None, QUIET, LEAD_SECONDS)[0].message


def test_somebody_is_expected_when_more_might_come_than_the_activator_holds() -> None:
    ahead_seconds = START_SECONDS + LEAD_SECONDS
    assert is_idle(ahead=forecast(9.9, usual_rps=10_000.0))
    assert 9.9 < 500.0 / ahead_seconds < 10.1
    assert not is_idle(ahead=forecast(10.1, usual_rps=10_000.0))
    few = replace(SPEC, idling=idling(most_held=10))
    assert is_idle(few, ahead=forecast(0.09, usual_rps=10_000.0))
    assert not is_idle(few, ahead=forecast(0.11, usual_rps=10_000.0))


OFFICE = Schedule("0 8 * * *", "0 18 * * *", "UTC", 3)


@pytest.mark.parametrize(
    ("hour", "minute", "second", "idle"),
    [(7, 59, 0, True), (7, 59, 15, False), (12, 0, 0, False), (17, 59, 59, False), (18, 0, 0, True)],
)
def test_replicas_stay_when_a_schedule_is_active_or_about_to_begin(
    hour: int, minute: int, second: int, idle: bool
) -> None:
    now = datetime(2026, 3, 2, hour, minute, second, tzinfo=UTC)
    state = replace(QUIET, quiet_since=now - 5 * MINUTE)
    made, _ = plan(replace(SPEC, schedules=(OFFICE,)), seen(now=now), None, state, LEAD_SECONDS)
    assert made.idle is idle
    assert made.target.replicas == (0 if idle else 3)


# --- what a plan leaves behind, and says


def test_no_accelerator_is_remembered_as_held_when_none_is_kept() -> None:
    held = replace(QUIET, accelerator_wanted_since=NOW - MINUTE, accelerator_held_since=NOW - MINUTE)
    after = plan(SPEC, seen(), None, held, LEAD_SECONDS)[1]
    assert (after.accelerator_wanted_since, after.accelerator_held_since) == (None, None)


def test_stabilisation_has_nothing_to_hold_but_one_replica_when_somebody_comes_after_a_sleep() -> None:
    state = QUIET
    for tick in range(40):
        _, state = plan(SPEC, replace(ASLEEP, now=NOW + tick * MINUTE / 4), None, state, LEAD_SECONDS)
    assert {replicas for _, replicas in state.recommendations} == {1}
    woken = replace(ASLEEP, now=NOW + 10 * MINUTE, queued=Value(20_000.0, NOW))
    assert plan(SPEC, woken, None, state, LEAD_SECONDS)[0].target.replicas == 5, "all at once"


def test_every_candidate_loses_against_nothing_when_nobody_asks() -> None:
    spec = workload(idling=idling(300.0))
    taken, *lost = weigh(spec, seen(), None, QUIET, LEAD_SECONDS)
    assert taken.option.candidate.pool == CPU_INT8
    assert {(one.lost_by, one.why_not) for one in lost} == {
        (Binding.COST, "it would cost 0.1 an hour and answer nobody"),
        (Binding.COST, "it would cost 0.5 an hour and answer nobody"),
    }


def test_one_does_not_rest_when_its_pool_has_left_the_spec() -> None:
    """It is planned for again, so it must take part where accelerators are shared."""
    left = workload(idling=idling(300.0), variants=(VariantOption("full", 0.92),))
    assert not rests(left, ASLEEP, None, QUIET, LEAD_SECONDS)
    assert rests(workload(idling=idling(300.0)), ASLEEP, None, QUIET, LEAD_SECONDS)


# --- whatever happens


def zero_case_of(seed: int) -> Situation:
    """Return a situation of one that may go to zero: quiet or not, with an activator or without, awake or asleep."""
    rng = Random(seed)  # noqa: S311 - chance, not secrecy
    found = (routed_situation_of if rng.random() < 0.3 else situation_of)(rng.randrange(10_000_000))
    offered = reading(0.0) if rng.random() < 0.8 else found.seen.offered
    lost = replace(found.seen, offered=offered, activator_ready=rng.random() < 0.8, held=rng.random() < 0.4)
    looked = replace(lost, selected=None if lost.held else lost.selected, allowances=())
    began = rng.choice([None, NOW - MINUTE, NOW - 2 * MINUTE, NOW + MINUTE])
    side = None if rng.random() < 0.7 else found.state.side
    state = replace(found.state, quiet_since=began, side=side)
    ahead = found.ahead if rng.random() < 0.3 else None
    return Situation(replace(found.spec, idling=idling(90.0)), looked, ahead, state)


ZERO_CASES = st.integers(0, 10_000_000).map(zero_case_of)
UNKNOWN = st.sampled_from([Absent(), Stale(90.0), SourceError("timeout"), AtLeast(0.0, 2)])


def test_cases_are_of_both_kinds() -> None:
    assert {case.planned().idle for case in map(zero_case_of, range(60))} == {True, False}


@CASES
@given(ZERO_CASES, UNKNOWN, st.booleans())
def test_nobody_goes_to_zero_on_what_is_not_known(case: Situation, unknown: Any, of_queue: bool) -> None:
    name = "queued" if of_queue else "offered"
    made, state = plan(case.spec, replace(case.seen, **{name: unknown}), case.ahead, case.state, 15.0)
    if case.seen.held and not of_queue:  # a sleep may go on for some ticks, which has a test of its own
        assert state.quiet_since is None or case.state.quiet_since is not None, "none begins"
        return
    assert not made.idle
    assert state.quiet_since is None
    assert made.target.replicas >= 1


@CASES
@given(ZERO_CASES)
def test_nobody_goes_to_zero_who_does_not_ask_for_it(case: Situation) -> None:
    spec = replace(case.spec, idling=None)
    made, state = plan(spec, case.seen, case.ahead, case.state, 15.0)
    assert (made.idle, state.quiet_since) == (False, None)
    assert made.target.replicas >= 1


@CASES
@given(ZERO_CASES)
def test_a_plan_is_the_same_when_nothing_has_changed(case: Situation) -> None:
    made, state = plan(case.spec, case.seen, case.ahead, case.state, 15.0)
    again, later = plan(case.spec, replace(case.seen, new_readings=False), case.ahead, state, 15.0)
    assert (made.idle, made.target.pool) == (again.idle, again.target.pool)
    assert state.quiet_since == later.quiet_since


@CASES
@given(ZERO_CASES)
def test_who_rests_takes_no_part_in_sharing_and_nobody_else_stays_away(case: Situation) -> None:
    before = recalled(case.seen, case.state)
    assert rests(case.spec, case.seen, case.ahead, before, 15.0) is case.planned().idle


@CASES
@given(ZERO_CASES)
def test_nobody_is_idle_who_has_not_been_quiet_for_long_enough_with_an_activator(case: Situation) -> None:
    if case.planned().idle:
        began = quiet_since(case.spec, case.seen, case.ahead, recalled(case.seen, case.state), 15.0)
        assert began is not None
        assert began <= NOW - timedelta(seconds=90)
        assert case.seen.activator_ready
        assert case.state.switch is None
