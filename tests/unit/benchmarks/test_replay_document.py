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
from modelscaler_benchmarks.replay.document import losses, tables

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

    assert "| shop | 60 | 2.00 | 0.100% | 10 (5) | hpa 2.000% | dynamo 4.000% | none |" in table


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
    assert "hpa with hindsight costs 1.40 where ours cost 1.50" in said
    assert "ours turns 50 times a day, HPA 5 times" in said
    assert "miss the objective, 0.200%" in said
    better = comparison(with_rung=True, modelscaler=outcome(1.1, 0.0), hpa=outcome(1.4, 0.001))
    assert losses([better]).endswith("- nowhere in these runs")


def test_losses_say_so_when_answers_are_less_accurate_than_asked_for() -> None:
    careless = replace(outcome(1.1, 0.0), mean_accuracy=0.9491)

    said = losses([comparison(with_rung=True, modelscaler=careless, hpa=outcome(1.4, 0.001))])

    assert said.endswith("- shop, 60 s: answers are 0.9491 accurate on average, 0.9496 is asked for")
