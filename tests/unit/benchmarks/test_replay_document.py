"""What the document of the comparison of policies says: which rival stands beside ours, at which cost, and where we lose."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from modelscaler.backtest.trace import Trace
from modelscaler.replay.case import Cluster
from modelscaler.replay.comparison import Comparison, Job, Judged, Ran, Setting
from modelscaler.replay.load import Arrivals, Part
from modelscaler.replay.outcome import Outcome
from modelscaler.replay.standard import POOL, standard_workload
from modelscaler_benchmarks.replay.document import losses, missed, section, tables

DAY = Trace("shop", 3600.0, datetime(2026, 3, 2, tzinfo=UTC), np.full(96, 10.0))


def outcome(cost: float, violating: float, turns: int = 10) -> Outcome:
    return Outcome(
        offered=1_000_000.0,
        violating=violating * 1_000_000.0,
        refused=0.0,
        violating_seconds=0.0,
        mean_hourly_cost=cost,
        mean_accuracy=0.95,
        degraded_share=0.01,
        lost_accuracy=0.0005,
        scale_events=20,
        direction_changes=turns,
        flips=0,
        recovery_seconds=0.0,
        days=1.0,
    )


def comparison(*, with_rung: bool, **outcomes: Outcome) -> Comparison:
    """Return a comparison in which each policy was tried with one setting, and judged with it before and with hindsight."""
    setting = Setting(
        DAY, standard_workload(60.0, with_rung), POOL, Part(1.0, 2.0), Part(2.0, 3.0), Arrivals(), 1, Cluster()
    )
    named = {name.replace("_", "-"): one for name, one in outcomes.items()}
    return Comparison(
        setting,
        {"tuning": {}, "test": {}},
        {"tuning": 1.0, "test": 1.0},
        tuple(Ran(Job("test", 0, name, 0), one) for name, one in named.items()),
        tuple(Judged(name, {}, hindsight, (one,), 1.0) for name, one in named.items() for hindsight in (False, True)),
    )


def test_rivals_are_told_apart_by_whether_they_predict_when_there_is_one_variant() -> None:
    found = comparison(
        with_rung=False,
        modelscaler=outcome(2.0, 0.001),
        hpa=outcome(1.9, 0.02, turns=5),
        keda=outcome(1.8, 0.03),
        dynamo=outcome(1.7, 0.04),
        oracle=outcome(1.0, 0.0),
    )
    (table,) = tables([found])

    assert "| shop | 60 | 2.00 | 0.100% | 10 (5) | hpa 2.000% | dynamo 4.000% | none | none |" in table


def test_cheapest_rival_that_keeps_the_objective_is_named_before_and_with_hindsight_when_there_is_one_variant() -> None:
    found = comparison(with_rung=False, modelscaler=outcome(2.0, 0.0), hpa=outcome(1.9, 0.002), keda=outcome(2.4, 0.0))
    *others, keda = found.judged
    (table,) = tables([replace(found, judged=(*others, replace(keda, outcomes=(outcome(2.2, 0.0005),))))])

    assert table.endswith("| keda 2.40 | keda 2.20 |")


def test_intervals_over_seeds_stand_beside_our_figures_when_there_are_several() -> None:
    found = comparison(with_rung=True, modelscaler=outcome(1.2, 0.0), hpa=outcome(1.1, 0.005))
    seeds = (outcome(2.4, 0.001), outcome(2.6, 0.003))
    judged = tuple(replace(one, outcomes=seeds, unit=2.0) for one in found.judged)
    (table,) = tables([replace(found, judged=judged)])

    # Two seeds: half of the interval is 12.71 standard errors, of 0.1 in cost and of 0.1 % in the share.
    assert "| shop | 60 | 1.25 ± 0.64 | 0.200% ± 1.271% **missed** |" in table


def test_misses_out_of_sample_are_counted_for_ours_and_every_rival_without_hindsight() -> None:
    late = comparison(with_rung=True, modelscaler=outcome(1.2, 0.002), hpa=outcome(1.1, 0.02), oracle=outcome(1.0, 0.0))
    fine = comparison(with_rung=False, modelscaler=outcome(1.2, 0.001), hpa=outcome(1.1, 0.02), keda=outcome(1.3, 0.0))
    kept_with_hindsight = tuple(
        replace(one, outcomes=(outcome(1.1, 0.0),)) if one.hindsight else one for one in late.judged
    )

    said = missed([replace(late, judged=kept_with_hindsight), fine])

    assert said.endswith("with the settings chosen before): ours 1 of 2, keda 0 of 1, hpa 2 of 2.")


def test_section_says_what_is_of_the_first_seed_alone_and_of_what_cost_is_a_multiple() -> None:
    found = comparison(with_rung=True, modelscaler=outcome(1.2, 0.0), hpa=outcome(1.1, 0.005))

    said = section([replace(found, grids={"tuning": {}, "test": {"hpa": ()}})], 60.0, "Two cores.")

    assert "what rivals violate at our cost, are of the first seed's runs" in said
    assert "the fewest replicas of the planned variant](replay.md#the-unit-of-cost)" in said


def test_ours_with_its_rung_stand_beside_rivals_as_they_are_when_both_were_run() -> None:
    laddered = comparison(with_rung=True, modelscaler=outcome(1.2, 0.0), hpa=outcome(1.1, 0.005))
    bare = comparison(with_rung=False, modelscaler=outcome(2.0, 0.0), hpa=outcome(1.15, 0.2))
    shared, beside, single = tables([laddered, bare])

    assert "hpa 0.500%" in shared
    assert "| shop | 60 | 1.20 | 0.000% | hpa 20.000% |" in beside
    assert single.startswith("One variant for all:")
    assert len(tables([laddered])) == 1


def test_losses_name_the_rival_when_it_is_cheaper_or_calmer_or_violates_less() -> None:
    said = losses(
        [comparison(with_rung=True, modelscaler=outcome(1.5, 0.002, turns=50), hpa=outcome(1.4, 0.001, turns=5))]
    )

    assert "shop, 60 s: hpa violates 0.100% at our cost, ours 0.200%" in said
    assert "hpa tuned before costs 1.40 and hpa with hindsight costs 1.40 where ours cost 1.50" in said
    assert "ours turns 50 times a day, HPA 5 times" in said
    assert "miss the objective, 0.200%" in said
    better = comparison(with_rung=True, modelscaler=outcome(1.1, 0.0), hpa=outcome(1.4, 0.001))
    assert losses([better]).endswith("- nowhere in these runs")


def test_losses_say_so_when_answers_are_less_accurate_than_asked_for() -> None:
    careless = replace(outcome(1.1, 0.0), mean_accuracy=0.9491)

    said = losses([comparison(with_rung=True, modelscaler=careless, hpa=outcome(1.4, 0.001))])

    assert said.endswith("- shop, 60 s: answers are 0.9491 accurate on average, 0.9496 is asked for")


def test_losses_name_flips_when_the_pool_that_serves_changes_more_than_four_times_a_day() -> None:
    for flips, named in ((8, False), (9, True)):
        ours = replace(outcome(1.1, 0.0), flips=flips, days=2.0)
        said = losses([comparison(with_rung=True, modelscaler=ours, hpa=outcome(1.4, 0.001, turns=30))])
        assert ("- shop, 60 s: ours changes the pool that serves 4.5 times a day" in said) is named


def test_losses_leave_out_who_violates_less_when_both_are_far_from_missing_the_objective() -> None:
    for ours, named in ((0.00009, False), (0.0002, True)):
        said = losses([comparison(with_rung=True, modelscaler=outcome(1.5, ours), hpa=outcome(1.5, 0.00001))])
        assert ("hpa violates 0.001% at our cost" in said) is named
