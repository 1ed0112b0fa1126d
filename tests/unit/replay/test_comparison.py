"""How policies are compared: which settings are chosen, what a front is, what is violated at a cost."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from modelscaler.backtest.trace import DAY_SECONDS, Trace
from modelscaler.domain import Objective, PolicySettings
from modelscaler.replay.case import Cluster
from modelscaler.replay.comparison import Choice, Comparison, Grids, Job, Judged, Ran, Setting, choices, judged
from modelscaler.replay.load import Arrivals, Part
from modelscaler.replay.outcome import Outcome
from modelscaler.replay.policies.static import Static
from modelscaler.replay.run import replay
from modelscaler.replay.standard import POOL, standard_workload
from modelscaler.replay.tuning import (
    ALL_ROOM,
    LADDER_GRID,
    PLAIN_GRID,
    Goal,
    Trial,
    Tried,
    best_of,
    chosen_of,
    goal_of,
    grid_for,
    is_worth_adopting,
    used_share,
)

DAY = Trace("shop", 3600.0, datetime(2026, 3, 2, tzinfo=UTC), np.full(96, 10.0))
STATIC = {"a": (Static(1, "a"), Static(2, "a"))}
GRIDS: Grids = {"tuning": STATIC, "test": STATIC}


def outcome(cost: float, violating_share: float, accuracy: float = 0.95, lost_accuracy: float = 0.0) -> Outcome:
    return Outcome(
        offered=1e6,
        violating=1e6 * violating_share,
        refused=0.0,
        violating_seconds=0.0,
        mean_hourly_cost=cost,
        mean_accuracy=accuracy,
        degraded_share=0.0,
        lost_accuracy=lost_accuracy,
        scale_events=0,
        direction_changes=0,
        flips=0,
        recovery_seconds=0.0,
        days=1.0,
    )


def setting() -> Setting:
    workload = standard_workload(60.0, with_rung=True)
    return Setting(DAY, workload, POOL, Part(1.0, 2.0), Part(2.0, 3.0), Arrivals(), 2, Cluster())


def comparison(tried: Sequence[Ran], found: Sequence[Judged] = ()) -> Comparison:
    return Comparison(setting(), GRIDS, {"tuning": 1.0, "test": 2.0}, tuple(tried), tuple(found))


@pytest.mark.parametrize(("first_day", "hours"), [(1.0, 6.0), (0.1, 2.4), (0.0, 0.0)])
def test_replay_begins_before_the_part_that_counts_as_far_as_there_is_load(first_day: float, hours: float) -> None:
    part = Part(first_day, first_day + 0.2)
    case = replace(setting(), test=part).case("test", 0)
    counted = replay(case, Static(3, "three"), first_replicas=1)

    assert case.run_in_seconds == pytest.approx(hours * 3600.0)
    assert len(counted.offered) * counted.step_seconds == pytest.approx(0.2 * DAY_SECONDS)
    assert counted.ready.shape == counted.starting.shape == (1, len(counted.offered))
    assert counted.seconds[0] == 0.0
    assert counted.offered.sum() == pytest.approx(case.load.counts[case.load.slot(case.run_in_seconds) :].sum())


def test_setting_has_a_rung_only_when_a_cheaper_variant_can_answer_in_each_replica() -> None:
    laddered, single = standard_workload(60.0, with_rung=True), standard_workload(60.0, with_rung=False)
    workloads = (laddered, replace(laddered, reflex=False), single, replace(single, reflex=True))

    said = [replace(setting(), workload=workload).variants for workload in workloads]
    assert said == ["rung", "several", "one", "one"]


def test_cheapest_is_chosen_when_several_keep_the_objective() -> None:
    tried = [
        Tried("dear", outcome(3.0, 0.0)),
        Tried("cheap", outcome(2.0, 0.00009)),
        Tried("late", outcome(1.0, 0.0002)),
    ]

    assert best_of(tried, Goal()).settings == "cheap"


def test_more_may_be_late_where_the_objective_promises_less() -> None:
    promises = [goal_of(Objective(percentile, 0.4, 0.0, None)).violating_share for percentile in (0.99, 0.95, 0.999)]
    assert promises == [0.001, 0.005, 0.0001]
    tried = [Tried("dear", outcome(2.0, 0.0)), Tried("late", outcome(1.0, 0.0004))]
    assert best_of(tried, Goal()).settings == "dear"
    assert best_of(tried, Goal(violating_share=0.005)).settings == "late"


def test_safest_is_chosen_when_several_cost_nearly_the_same_and_the_calmest_of_equally_safe_ones() -> None:
    tried = [
        Tried("late", replace(outcome(2.0, 0.00008), direction_changes=10)),
        Tried("restless", replace(outcome(2.01, 0.00002), direction_changes=90)),
        Tried("calm", replace(outcome(2.015, 0.000021), direction_changes=30)),
        Tried("safe and dear", outcome(2.1, 0.0)),
    ]

    assert best_of(tried, Goal()).settings == "calm"
    assert best_of(tried, Goal(), near_equal=0.0).settings == "late"


def test_fewer_late_answers_count_for_more_than_accuracy_that_servers_keep_themselves() -> None:
    tried = [
        Tried("late", outcome(1.0, 0.00009, accuracy=0.9495, lost_accuracy=0.0005)),
        Tried("less accurate", outcome(1.0, 0.0, accuracy=0.9494, lost_accuracy=0.0006)),
    ]
    assert best_of(tried, Goal(0.949)).settings == "less accurate"


def test_least_violating_is_chosen_when_none_keeps_the_objective() -> None:
    tried = [Tried("late", outcome(1.0, 0.2)), Tried("less", outcome(5.0, 0.01))]

    assert best_of(tried, Goal()).settings == "less"


def test_cheaper_answers_leave_a_tenth_of_what_is_allowed_when_settings_are_chosen_for_days_to_come() -> None:
    tried = [
        Tried("cheap", outcome(1.0, 0.0, accuracy=0.94905, lost_accuracy=0.00095)),
        Tried("spare", outcome(2.0, 0.0, accuracy=0.94915, lost_accuracy=0.00085)),
    ]

    assert best_of(tried, Goal(0.949)).settings == "spare"
    assert best_of(tried, Goal(0.949), ALL_ROOM).settings == "cheap"
    assert best_of(tried, Goal()).settings == "cheap"


def test_closest_is_chosen_when_none_leaves_enough_of_what_is_allowed() -> None:
    tried = [
        Tried("inaccurate", outcome(1.0, 0.0, accuracy=0.948, lost_accuracy=0.002)),
        Tried("cheap", outcome(2.0, 0.0, accuracy=0.94902, lost_accuracy=0.00098)),
        Tried("closest", outcome(3.0, 0.0007, accuracy=0.9494, lost_accuracy=0.0006)),
        Tried("late", outcome(4.0, 0.002, accuracy=0.95)),
    ]

    assert best_of(tried, Goal(0.949)).settings == "closest"


SPIKE = [
    Tried("for the spike", outcome(4.0, 0.0)),
    Tried("for its slope", outcome(1.6, 0.002)),
    Tried("for the days", outcome(1.1, 0.007)),
    Tried("hardly for the days", outcome(1.0, 0.008)),
]


def test_objective_of_all_days_will_do_when_more_would_cost_over_twice_as_much() -> None:
    assert best_of(SPIKE, Goal()).settings == "for the spike"
    assert chosen_of(SPIKE, Goal()).settings == "for the days", "a quarter of what may be late is left for what comes"
    bearable = [replace(SPIKE[0], outcome=outcome(2.1, 0.0)), *SPIKE[1:]]
    assert chosen_of(bearable, Goal()).settings == "for the spike"
    assert chosen_of([SPIKE[0], SPIKE[3]], Goal()).settings == "for the spike", "no others keep it with room"


def test_least_violating_is_not_chosen_at_any_price() -> None:
    assert chosen_of(SPIKE[1:], Goal()).settings == "for its slope"
    dear = [Tried("less late", outcome(2.3, 0.0012)), *SPIKE[1:]]
    assert best_of(dear, Goal()).settings == "less late"
    assert chosen_of(dear, Goal()).settings == "for the days"


def test_inaccurate_settings_are_no_reason_to_pay_less() -> None:
    vague = Tried("vague", outcome(1.0, 0.0, accuracy=0.90))

    assert chosen_of([SPIKE[0], vague], Goal(0.94)).settings == "for the spike"


def test_any_lost_accuracy_counts_as_a_miss_when_the_floor_is_the_planned_variants_own() -> None:
    assert used_share(outcome(1.0, 0.0005, accuracy=0.95), Goal(0.95)) == pytest.approx(0.5)
    assert used_share(outcome(1.0, 0.0, accuracy=0.9499, lost_accuracy=0.0001), Goal(0.95)) == np.inf


def test_inaccurate_settings_are_passed_over_when_there_is_a_floor() -> None:
    tried = [Tried("vague", outcome(1.0, 0.0, accuracy=0.90)), Tried("exact", outcome(2.0, 0.0, accuracy=0.95))]

    assert best_of(tried, Goal(0.94)).settings == "exact"
    assert best_of(tried, Goal()).settings == "vague"


def test_settings_are_chosen_on_the_older_part_unless_with_hindsight() -> None:
    tried = [
        Ran(Job("tuning", 0, "a", 0), outcome(1.0, 0.0)),
        Ran(Job("tuning", 0, "a", 1), outcome(2.0, 0.0)),
        Ran(Job("test", 0, "a", 0), outcome(1.0, 0.5)),
        Ran(Job("test", 0, "a", 1), outcome(2.0, 0.0)),
    ]

    assert choices(tried, Goal()) == [Choice("a", 0, False), Choice("a", 1, True)]


def test_choices_are_judged_under_every_seed() -> None:
    runs = [Ran(Job("test", number, "a", 1), outcome(2.0 + number, 0.01 * number)) for number in (0, 1)]

    (one,) = judged([Choice("a", 1, True)], runs, GRIDS, unit=2.0)

    assert one.settings == {"replicas": 2}
    assert one.cost == pytest.approx(1.25)
    assert one.violating_share == pytest.approx(0.005)
    least, most = one.interval("mean_hourly_cost")
    assert least < 2.5 < most


def test_front_leaves_out_what_costs_more_and_violates_more() -> None:
    shares = {2.0: 0.1, 3.0: 0.2, 4.0: 0.001, 1.0: 0.5}
    found = comparison([Ran(Job("test", 0, "a", place), outcome(*pair)) for place, pair in enumerate(shares.items())])

    assert found.front("a") == [(0.5, 0.5), (1.0, 0.1), (2.0, 0.001)]


def test_front_leaves_out_settings_whose_answers_were_not_accurate_enough() -> None:
    vague, exact = outcome(2.0, 0.0, accuracy=0.94), outcome(4.0, 0.0)
    found = comparison([Ran(Job("test", 0, "a", place), one) for place, one in enumerate((vague, exact))])

    assert found.front("a") == [(2.0, 0.0)]


def test_violations_at_a_cost_lie_between_the_points_of_the_front() -> None:
    found = comparison(
        [Ran(Job("test", 0, "a", 0), outcome(2.0, 0.1)), Ran(Job("test", 0, "a", 1), outcome(4.0, 0.001))]
    )

    assert found.violating_at("a", 1.5) == pytest.approx(0.01)
    assert found.violating_at("a", 9.0) == pytest.approx(0.001)
    assert np.isnan(found.violating_at("a", 0.9))


def trial(costs: Sequence[float], violating_share: float = 0.0) -> Trial:
    return Trial(outcome(float(np.mean(costs)), violating_share), np.array(costs))


def test_settings_are_adopted_when_they_save_every_day() -> None:
    assert is_worth_adopting(trial([9.0, 8.9, 9.1]), trial([10.0, 10.1, 9.9]))


def test_settings_are_not_adopted_when_the_saving_may_be_luck() -> None:
    assert not is_worth_adopting(trial([5.0, 12.0, 10.0]), trial([10.0, 10.0, 10.0]))


def test_settings_are_not_adopted_when_they_save_little() -> None:
    assert not is_worth_adopting(trial([9.8, 9.8, 9.8]), trial([10.0, 10.0, 10.0]))


def test_settings_are_not_adopted_when_they_miss_the_objective() -> None:
    assert not is_worth_adopting(trial([5.0, 5.0], violating_share=0.01), trial([10.0, 10.0]))


def test_dearer_settings_are_adopted_when_the_current_ones_miss_the_objective() -> None:
    assert is_worth_adopting(trial([12.0, 12.0]), trial([10.0, 10.0], violating_share=0.01))


@pytest.mark.parametrize("grid", [LADDER_GRID, PLAIN_GRID])
def test_grid_is_small_and_has_the_reactive_rule(grid: Sequence[PolicySettings]) -> None:
    assert len(grid) <= 50
    assert len(set(grid)) == len(grid)
    assert replace(PolicySettings(), forecaster="Reactive", scale_down_seconds=300.0) in grid


def test_settings_differ_in_what_matters_when_there_is_a_ladder_and_when_there_is_none() -> None:
    assert grid_for(standard_workload(60.0, with_rung=True)) == LADDER_GRID
    plain = grid_for(standard_workload(60.0, with_rung=False))
    assert len({replace(settings, recourse_quantile=None) for settings in plain}) == len(plain)
