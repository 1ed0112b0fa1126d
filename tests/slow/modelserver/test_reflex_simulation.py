from decimal import Decimal
from statistics import mean

import pytest

from modelserver.engine.ladder import Ladder
from modelserver_fakes import loaded_variant
from serving_simulator import FULL_CAPACITY, Outcome, Phase, Simulation

BOTH = Ladder(("full", "int8"), Decimal("0.975"))
BASE = Phase(4, 0.5 * FULL_CAPACITY)
BURST_START, BURST_END = 4.0, 7.0


def burst(factor: float) -> list[Phase]:
    return [BASE, Phase(BURST_END - BURST_START, factor * FULL_CAPACITY), Phase(7, 0.5 * FULL_CAPACITY)]


@pytest.fixture(scope="module")
def twice_the_capacity() -> Outcome:
    return Simulation(BOTH).run(burst(2.0))


def test_next_to_nobody_waits_too_long_when_a_burst_is_twice_the_full_capacity(twice_the_capacity: Outcome) -> None:
    assert twice_the_capacity.violations(0.3) < 0.005


def test_many_wait_too_long_when_there_is_no_ladder() -> None:
    alone = Simulation(Ladder(("full",))).run(burst(2.0))

    assert alone.violations(0.3) > 0.1


def test_answers_are_full_again_when_the_burst_has_been_over_for_five_seconds(twice_the_capacity: Outcome) -> None:
    assert twice_the_capacity.degraded_share(BURST_START, BURST_END) > 0.5
    assert twice_the_capacity.degraded_share(BURST_END + 5, BURST_END + 7) == 0


def test_every_answer_is_full_when_load_is_low(twice_the_capacity: Outcome) -> None:
    assert twice_the_capacity.degraded_share(0, BURST_START) == 0


def test_the_mean_stays_at_the_floor_when_bursts_are_too_large_for_it() -> None:
    floor = Decimal("0.985")

    starved = Simulation(Ladder(("full", "int8"), floor)).run(burst(4.0))

    assert starved.degraded_share(BURST_START, BURST_END) > 0
    assert starved.mean_accuracy() >= float(floor)
    assert starved.lowest_budget >= 0


def test_the_floor_is_kept_when_a_server_starts_in_a_burst() -> None:
    floor = Decimal("0.98")

    outcome = Simulation(Ladder(("full", "int8"), floor)).run([Phase(2, 2 * FULL_CAPACITY)])

    assert outcome.mean_accuracy() >= float(floor)
    assert outcome.degraded_share(0, 2) > 0.3, "half of the rows may be degraded at this floor"


def test_violations_stay_rare_when_the_objective_is_tight_and_the_machine_noisy() -> None:
    tight = Simulation(BOTH, timeout_seconds=0.1, noise=0.3).run(burst(2.0))

    assert tight.violations(0.1) < 0.005


def test_two_workers_take_twice_as_much_when_load_doubles() -> None:
    phases = [Phase(each.seconds, 2 * each.rows_per_second) for each in burst(2.0)]

    outcome = Simulation(BOTH, workers=2).run(phases)

    assert outcome.violations(0.3) < 0.005
    assert outcome.degraded_share(0, BURST_START) == 0


def test_the_queue_does_not_overflow_when_it_holds_less_than_the_objective_would_allow() -> None:
    outcome = Simulation(BOTH, timeout_seconds=2.0, max_queue_rows=128).run(burst(2.0))

    assert outcome.violations(2.0) < 0.005


def test_variants_change_rarely_when_load_is_at_the_edge() -> None:
    outcome = Simulation(BOTH).run([Phase(8, 1.05 * FULL_CAPACITY)])

    changes = sum(before[1] != after[1] for before, after in zip(outcome.batches, outcome.batches[1:], strict=False))
    assert changes < 0.1 * len(outcome.batches)


HALF_A_CORE = 0.5
RANKER_FULL = loaded_variant(
    "full", 0.9464, per_row_seconds=0.01222 / HALF_A_CORE, overhead_seconds=0.0, max_batch_rows=2
)
RANKER_INT8 = loaded_variant(
    "int8", 0.9463, per_row_seconds=0.00557 / HALF_A_CORE, overhead_seconds=0.00035 / HALF_A_CORE, max_batch_rows=2
)
"""The search ranker's speeds as `modelserver benchmark` measured them on one core of a 2-core EPYC, on half a core."""


@pytest.mark.parametrize(("rps", "late_without"), [(37.0, 0.03), (45.0, 0.8), (60.0, 0.9)])
def test_one_replica_carries_the_load_of_two_while_the_other_is_away_when_it_has_a_rung(
    rps: float, late_without: float
) -> None:
    def late(*ladder: str) -> float:
        speeds = (RANKER_FULL, RANKER_INT8)[: len(ladder)]
        return mean(
            Simulation(Ladder(ladder, None, 350), speeds, timeout_seconds=None, seed=seed)
            .run([Phase(30.0, rps)])
            .violations(0.35)
            for seed in (1, 2, 3, 4, 5)
        )

    assert late("full") > late_without
    assert late("full", "int8") < 0.005
